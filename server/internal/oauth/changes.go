package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// ClientChange are the fields of a client that change; nil keeps a field.
type ClientChange struct {
	Name          *string
	Scopes        []string
	PasswordGrant *bool
	ThirdParty    *bool
	PKCEOptional  *bool
	RedirectURIs  []string
	SignOutURIs   []string
	DeviceGrant   *bool
	AccessTTL     *time.Duration
	SessionTTL    *time.Duration
	LogoutURI     *string
	Logo          []byte // an image; empty to remove the logo, nil to keep it
}

// apply returns the settings of a client after a change.
func (c ClientChange) apply(before Client) NewClient {
	after := NewClient{
		Name: before.Name, Scopes: before.Scopes, PasswordGrant: before.PasswordGrant, Public: before.Public, ThirdParty: before.ThirdParty,
		PKCEOptional: before.PKCEOptional, RedirectURIs: before.RedirectURIs, SignOutURIs: before.SignOutURIs,
		DeviceGrant: before.DeviceGrant, LogoutURI: before.LogoutURI, AccessTTL: before.AccessTTL, SessionTTL: before.SessionTTL, Logo: c.Logo,
	}
	set(&after.Name, c.Name)
	set(&after.PasswordGrant, c.PasswordGrant)
	set(&after.ThirdParty, c.ThirdParty)
	set(&after.PKCEOptional, c.PKCEOptional)
	set(&after.DeviceGrant, c.DeviceGrant)
	set(&after.AccessTTL, c.AccessTTL)
	set(&after.SessionTTL, c.SessionTTL)
	set(&after.LogoutURI, c.LogoutURI)
	for _, list := range []struct {
		into *[]string
		to   []string
	}{{&after.Scopes, c.Scopes}, {&after.RedirectURIs, c.RedirectURIs}, {&after.SignOutURIs, c.SignOutURIs}} {
		if list.to != nil {
			*list.into = list.to
		}
	}
	return after
}

func set[T any](field, to *T) {
	if to != nil {
		*field = *to
	}
}

// ClientByID returns a client. Errors: NotFound.
func (s *Service) ClientByID(ctx context.Context, id string) (Client, error) {
	client, err := s.clientByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoClient()
	}
	return client, err
}

// UpdateClient changes a client. One that loses a scope, a grant or a redirect address loses the sessions that people
// have started through it. Errors: NotFound, ValidationFailed, ClientNameTaken, InsufficientScope.
func (s *Service) UpdateClient(ctx context.Context, by By, id string, change ClientChange) (Client, error) {
	var after store.Client
	narrowed := false
	err := s.changeClient(ctx, id, func(q *store.Queries, before store.Client) error {
		n := change.apply(s.clientOf(before))
		// The client keeps scopes that it has, even if the caller lacks them.
		added := n
		added.Scopes = slices.DeleteFunc(slices.Clone(n.Scopes), func(scope string) bool { return hasScope(before.Scopes, scope) && s.declares(scope) })
		if invalid := s.checkClient(by, added); len(invalid.Fields) > 0 {
			return invalid
		}
		if opens(s.clientOf(before), n) {
			if err := s.checkTakeover(by, identity.Intersect(n.Scopes, strings.Fields(before.Scopes))); err != nil {
				return err
			}
		}
		after = s.clientRow(id, n, before.SecretHash.Reveal())
		after.CreatedAt, after.OldSecretHash, after.OldSecretUntil = before.CreatedAt, before.OldSecretHash, before.OldSecretUntil
		if change.Logo == nil {
			after.LogoHash = before.LogoHash
		} else if err := q.SetClientLogo(ctx, id, after.LogoHash, n.Logo); err != nil {
			return err
		}
		narrowed = isNarrower(before, after)
		if err := q.UpdateClient(ctx, after); err != nil {
			return err
		}
		return s.recordClient(ctx, q, audit.ClientChanged, by, id)
	})
	if err == nil && narrowed {
		ctx, done := identity.IgnoreDisconnect(ctx) // the change is committed
		defer done()
		if err = s.endMostSessions(ctx, id); err == nil {
			err = s.db.EndRemainingSessionsOfClient(ctx, id)
		}
	}
	return s.clientOf(after), err
}

func (s *Service) declares(scope string) bool {
	return slices.Contains(s.identity.Scopes.Declared, scope)
}

// isNarrower reports whether a client has lost a scope, a grant or an address.
func isNarrower(before, after store.Client) bool {
	lost := func(before, after []string) bool {
		return slices.ContainsFunc(before, func(text string) bool { return !slices.Contains(after, text) })
	}
	return before.PasswordGrant && !after.PasswordGrant || before.DeviceGrant && !after.DeviceGrant || !before.ThirdParty && after.ThirdParty ||
		lost(strings.Fields(before.Scopes), strings.Fields(after.Scopes)) || lost(lines(before.RedirectURIs), lines(after.RedirectURIs))
}

// opens reports whether a change gives others a way to get the tokens of a client.
func opens(before Client, after NewClient) bool {
	return slices.ContainsFunc(after.RedirectURIs, func(address string) bool { return !slices.Contains(before.RedirectURIs, address) }) ||
		after.PasswordGrant && !before.PasswordGrant || after.DeviceGrant && !before.DeviceGrant || !after.ThirdParty && before.ThirdParty || after.PKCEOptional && !before.PKCEOptional
}

// checkTakeover refuses a caller who could act as a client that has scopes which the caller's token does not have. Errors:
// InsufficientScope.
func (s *Service) checkTakeover(by By, scopes []string) error {
	return s.identity.RequireScopes(by, scopes, "The client has scopes that your token does not have, so you may not take it over.")
}

// MaxKeepSecret is how long a secret can stay valid after it was replaced.
const MaxKeepSecret = 30 * 24 * time.Hour

// ReplaceSecret makes a new secret of a client. The old one stays valid for keep, at most MaxKeepSecret. Errors: NotFound,
// ValidationFailed for a public client, InsufficientScope.
func (s *Service) ReplaceSecret(ctx context.Context, by By, id string, keep time.Duration) (Client, secret.Text, error) {
	made := token.NewSecret()
	var after store.Client
	err := s.changeClient(ctx, id, func(q *store.Queries, before store.Client) error {
		if before.Public {
			return problem.New(problem.ValidationFailed, "A public client has no secret.")
		}
		if err := s.checkTakeover(by, strings.Fields(before.Scopes)); err != nil {
			return err
		}
		after = before
		after.OldSecretHash, after.OldSecretUntil = before.SecretHash, s.now().Add(min(keep, MaxKeepSecret))
		after.SecretHash = secret.New(token.HashSecret(made))
		if err := q.UpdateClient(ctx, after); err != nil {
			return err
		}
		return s.recordClient(ctx, q, audit.ClientChanged, by, id)
	})
	return s.clientOf(after), made, err
}

// changeClient changes a client in a transaction that has locked it.
func (s *Service) changeClient(ctx context.Context, id string, change func(q *store.Queries, before store.Client) error) error {
	if !isClientID(id) {
		return errNoClient()
	}
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := q.LockClient(ctx, id)
		if err != nil {
			return err
		}
		if s.clientOf(before).Unverified() {
			return problem.New(problem.ValidationFailed, "Nobody has verified this client, and its settings cannot be changed. Delete it, or create a client in its place.")
		}
		return change(q, before)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = errNoClient()
	case errors.Is(err, store.ErrConflict):
		err = errClientNameTaken()
	}
	return err
}
