package upstream

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// The kinds of providers.
const (
	OpenID = "oidc"
	GitHub = "github"
)

// Provider is somebody else through whom people sign in.
type Provider struct {
	Name          string // part of the redirect address
	Kind          string // OpenID or GitHub
	Label         string // on its button
	Issuer        string
	ClientID      string
	Scopes        []string
	LinkAddresses bool // a new identity is linked to the account that has confirmed the same verified address
	CreatedAt     time.Time
	secret        secret.Text // empty for a public client
}

// HasSecret reports whether the client has a secret.
func (p Provider) HasSecret() bool { return !p.secret.Empty() }

// NewProvider is a provider to be made. An empty Issuer of GitHub, Label and Scopes have defaults.
type NewProvider struct {
	Name, Kind, Label, Issuer string
	ClientID                  string
	ClientSecret              secret.Text
	Scopes                    []string
	LinkAddresses             bool
}

// withDefaults returns a provider with the defaults filled in.
func (n NewProvider) withDefaults() NewProvider {
	if n.Kind == GitHub && n.Issuer == "" {
		n.Issuer = gitHubIssuer
	}
	if n.Label == "" {
		n.Label = n.Name
	}
	if len(n.Scopes) == 0 {
		n.Scopes = []string{"openid", "email", "profile"}
		if n.Kind == GitHub {
			n.Scopes = []string{"read:user", "user:email"}
		}
	}
	return n
}

// Change is what changes of a provider; nil keeps. Its kind and its issuer cannot change: its identities belong to them.
type Change struct {
	Label         *string
	ClientID      *string
	ClientSecret  *secret.Text
	Scopes        []string
	LinkAddresses *bool
}

// By is who changes a provider: a caller of the API, or nil for the command line.
type By = *identity.Caller

const (
	maxLabel     = 64 // characters
	maxIssuer    = 500
	maxClientID  = 256
	maxSecret    = 1024
	maxScopes    = 20
	maxProviders = 20
)

var (
	providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	scopeToken   = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,128}$`) // RFC 6749 §3.3
	vschars      = regexp.MustCompile(`^[\x20-\x7E]*$`)                    // RFC 6749, appendix A
)

func errNoProvider() error {
	return problem.New(problem.NotFound, "There is no provider with this name.")
}

// errSealed is the cause of the error for a client secret that cannot be opened.
var errSealed = errors.New("it is sealed by another key, or was moved")

// usable is Provider for a sign-in. Errors: NotFound, ErrProvider.
func (s *Service) usable(ctx context.Context, name string) (Provider, error) {
	p, err := s.Provider(ctx, name)
	if errors.Is(err, errSealed) {
		err = failed(err)
	}
	return p, err
}

// Provider returns a provider. Errors: NotFound.
func (s *Service) Provider(ctx context.Context, name string) (Provider, error) {
	if !providerName.MatchString(name) {
		return Provider{}, errNoProvider()
	}
	row, err := s.db.ProviderByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return Provider{}, errNoProvider()
	}
	if err != nil {
		return Provider{}, err
	}
	return s.providerOf(row)
}

func (s *Service) providerOf(row store.Provider) (p Provider, err error) {
	p = Provider{
		Name: row.Name, Kind: row.Kind, Label: row.Label, Issuer: row.Issuer, ClientID: row.ClientID, Scopes: strings.Fields(row.Scopes),
		LinkAddresses: row.LinkAddresses, CreatedAt: row.CreatedAt,
	}
	if row.ClientSecret == "" {
		return p, nil
	}
	plain, err := s.secrets.Open(row.ClientSecret, sealName(row))
	if err != nil {
		err = fmt.Errorf("the secret of the provider %s cannot be opened with this master key; give it again with: sesame provider update %[1]s --client-secret-file FILE: %w: %w", row.Name, errSealed, err)
	}
	p.secret = secret.New(string(plain))
	return p, err
}

// Providers lists the providers, the oldest first, whether or not their secrets can be opened.
func (s *Service) Providers(ctx context.Context) ([]Provider, error) {
	rows, err := s.db.ListProviders(ctx)
	list := make([]Provider, len(rows))
	for i, row := range rows {
		list[i], _ = s.providerOf(row)
	}
	return list, err
}

// Create makes a provider. Errors: ValidationFailed, ProviderTaken, InsufficientScope.
func (s *Service) Create(ctx context.Context, by By, n NewProvider) (Provider, error) {
	n = n.withDefaults()
	if err := s.check(by, n); err != nil {
		return Provider{}, err
	}
	row := store.Provider{
		Name: n.Name, Kind: n.Kind, Label: n.Label, Issuer: n.Issuer, ClientID: n.ClientID, Scopes: strings.Join(n.Scopes, " "),
		LinkAddresses: n.LinkAddresses, CreatedAt: s.now(),
	}
	row.ClientSecret = s.seal(row, n.ClientSecret)
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.LockAdministration(ctx); err != nil { // so that no other provider is made before this one is counted
			return err
		}
		all, err := q.ListProviders(ctx)
		if err != nil {
			return err
		}
		if len(all) >= maxProviders {
			return problem.New(problem.ValidationFailed, fmt.Sprintf("There are %d providers, the maximum.", maxProviders))
		}
		if err = q.CreateProvider(ctx, row); err != nil {
			return err
		}
		return s.record(ctx, q, audit.ProviderCreated, by, row.Name)
	})
	if errors.Is(err, store.ErrConflict) {
		return Provider{}, problem.New(problem.ProviderTaken, "Another provider has this name or this issuer.")
	}
	if err != nil {
		return Provider{}, err
	}
	return s.providerOf(row)
}

func (s *Service) seal(row store.Provider, plain secret.Text) string {
	if plain.Empty() {
		return ""
	}
	return s.secrets.Seal([]byte(plain.Reveal()), sealName(row))
}

// check returns a *problem.Error with a field for each fault, or nil.
func (s *Service) check(by By, n NewProvider) error {
	invalid := problem.New(problem.ValidationFailed, "The provider cannot have these settings.")
	if !providerName.MatchString(n.Name) || n.Name == "logo" { // which is the logo of the pages
		invalid.At("/name", "must have 1 to 64 lowercase letters, digits and hyphens, and not begin with a hyphen")
	}
	if n.Kind != OpenID && n.Kind != GitHub {
		invalid.At("/kind", "must be oidc or github")
	}
	if n.Label != strings.TrimSpace(n.Label) || utf8.RuneCountInString(n.Label) > maxLabel || names.CheckFullName(n.Label) != nil {
		invalid.At("/label", fmt.Sprintf("must have 1 to %d printable characters, and no space at its ends", maxLabel))
	}
	if reason := s.checkURL(n.Issuer); reason != "" {
		invalid.At("/issuer", reason)
	} else if len(n.Issuer) > maxIssuer || n.Kind == GitHub && strings.HasSuffix(n.Issuer, "/") {
		invalid.At("/issuer", fmt.Sprintf("must have at most %d characters, and for GitHub no slash at the end", maxIssuer))
	}
	if n.ClientID == "" || len(n.ClientID) > maxClientID || !vschars.MatchString(n.ClientID) {
		invalid.At("/client_id", fmt.Sprintf("must have 1 to %d printable ASCII characters", maxClientID))
	}
	if secret := n.ClientSecret.Reveal(); len(secret) > maxSecret || !vschars.MatchString(secret) {
		invalid.At("/client_secret", fmt.Sprintf("must have at most %d printable ASCII characters", maxSecret))
	} else if n.Kind == GitHub && secret == "" {
		invalid.At("/client_secret", "is required by GitHub")
	}
	if len(n.Scopes) > maxScopes || slices.ContainsFunc(n.Scopes, func(scope string) bool { return !scopeToken.MatchString(scope) }) {
		invalid.At("/scopes", fmt.Sprintf("must be at most %d scopes of printable ASCII characters", maxScopes))
	} else if n.Kind == OpenID && !slices.Contains(n.Scopes, "openid") {
		invalid.At("/scopes", "must name openid")
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return s.mayLink(by, n.LinkAddresses)
}

// mayLink refuses a provider that vouches for addresses to a caller whose token lacks a scope that an account can be granted: its
// owner could sign in to any account that has confirmed an address, an administrator's included. Errors: InsufficientScope.
func (s *Service) mayLink(by By, links bool) error {
	if !links {
		return nil
	}
	return s.identity.RequireScopes(by, s.identity.Scopes.Declared,
		"A provider that links accounts by address can sign in to every account, so your token needs every scope that an account can have.")
}

// Update changes a provider. Errors: NotFound, ValidationFailed, InsufficientScope.
func (s *Service) Update(ctx context.Context, by By, name string, c Change) (p Provider, err error) {
	if !providerName.MatchString(name) {
		return p, errNoProvider()
	}
	var row store.Provider
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		var err error
		if row, err = q.LockProvider(ctx, name); err != nil {
			return err
		}
		n := NewProvider{
			Name: row.Name, Kind: row.Kind, Label: row.Label, Issuer: row.Issuer, ClientID: row.ClientID, Scopes: strings.Fields(row.Scopes),
			LinkAddresses: row.LinkAddresses, ClientSecret: secret.New("kept"),
		}
		set(&n.Label, c.Label)
		set(&n.ClientID, c.ClientID)
		set(&n.LinkAddresses, c.LinkAddresses)
		if set(&n.ClientSecret, c.ClientSecret); c.Scopes != nil {
			n.Scopes = c.Scopes
		}
		// What a provider with LinkAddresses answers depends on its client, too.
		if err = s.check(by, n); err != nil {
			return err
		}
		row.Label, row.ClientID, row.Scopes, row.LinkAddresses = n.Label, n.ClientID, strings.Join(n.Scopes, " "), n.LinkAddresses
		if c.ClientSecret != nil {
			row.ClientSecret = s.seal(row, *c.ClientSecret)
		}
		if err = q.UpdateProvider(ctx, row); err != nil {
			return err
		}
		return s.record(ctx, q, audit.ProviderChanged, by, name)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errNoProvider()
	}
	if err != nil {
		return p, err
	}
	return s.providerOf(row)
}

// Delete removes a provider. The identities at its issuer stay, and are of use again when there is a provider for it. It returns how many
// there are. Errors: NotFound.
func (s *Service) Delete(ctx context.Context, by By, name string) (identities int64, err error) {
	if !providerName.MatchString(name) {
		return 0, errNoProvider()
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		row, err := q.LockProvider(ctx, name)
		if err != nil {
			return err
		}
		if identities, err = q.CountIdentities(ctx, row.Issuer); err != nil {
			return err
		}
		if err = q.DeleteProvider(ctx, name); err != nil {
			return err
		}
		return s.record(ctx, q, audit.ProviderDeleted, by, name)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errNoProvider()
	}
	return identities, err
}

// Test reads the discovery document of a provider. Errors: NotFound, ErrProvider.
func (s *Service) Test(ctx context.Context, p Provider) error {
	if p.Kind == GitHub {
		return nil
	}
	_, err := s.discover(ctx, p.Issuer)
	return err
}

// record records a change of a provider. The event names it in place of a client: it is one for us, as we are one for it.
func (s *Service) record(ctx context.Context, q *store.Queries, kind audit.Kind, by By, name string) error {
	event := audit.Event(ctx, store.User{}, by.Actor())
	event.ClientID = name
	return audit.Record(ctx, q, kind, event, s.now())
}

func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
