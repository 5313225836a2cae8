package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// DeclaredProvider is a provider that a bootstrap file declares.
type DeclaredProvider struct {
	NewProvider
	ReadSecret func() (secret.Text, error) // called if the provider has to be created or updated; nil for a public client
	Update     bool                        // whether an existing provider gets all that is declared
}

// CheckDeclared checks what needs neither the database nor the secret.
func (s *Service) CheckDeclared(d DeclaredProvider) error {
	n := d.withDefaults()
	if d.ReadSecret != nil {
		n.ClientSecret = secret.New("declared")
	}
	invalid, ok := errors.AsType[*problem.Error](s.check(nil, n))
	if !ok {
		return nil
	}
	faults := make([]error, len(invalid.Fields))
	for i, f := range invalid.Fields {
		faults[i] = fmt.Errorf("%s %s", strings.Replace(strings.TrimPrefix(f.Pointer, "/"), "client_secret", "secret_file", 1), f.Detail)
	}
	return errors.Join(faults...)
}

// Declare creates a provider, or updates it if the declaration says so. Replicas may declare the same provider at once.
func (s *Service) Declare(ctx context.Context, d DeclaredProvider) (created, updated bool, err error) {
	known, err := s.Provider(ctx, d.Name)
	missing := false
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound {
		missing, err = true, nil
	}
	if err != nil || !missing && !d.Update {
		return false, false, err
	}
	if d.ReadSecret != nil {
		if d.ClientSecret, err = d.ReadSecret(); err != nil {
			return false, false, err
		}
	}
	if missing {
		_, err = s.Create(ctx, nil, d.NewProvider)
		if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.ProviderTaken {
			if _, found := s.Provider(ctx, d.Name); found == nil { // another replica was first
				return false, false, nil
			}
		}
		return err == nil, false, err
	}
	n := d.withDefaults()
	if known.Issuer != n.Issuer || known.Kind != n.Kind {
		return false, false, fmt.Errorf("the provider %s has the issuer %s, and an issuer cannot change; choose another name, or remove the provider first", d.Name, known.Issuer)
	}
	if known.Label == n.Label && known.ClientID == n.ClientID && known.secret.Reveal() == n.ClientSecret.Reveal() &&
		slices.Equal(known.Scopes, n.Scopes) && known.LinkAddresses == n.LinkAddresses {
		return false, false, nil
	}
	_, err = s.Update(ctx, nil, d.Name, Change{
		Label: &n.Label, ClientID: &n.ClientID, ClientSecret: &n.ClientSecret, Scopes: n.Scopes, LinkAddresses: &n.LinkAddresses,
	})
	return false, err == nil, err
}
