package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/atjwt"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// Caller is the holder of an access token: a user in a session, a user's script with a personal access token, or a service client for
// itself. For a client, User is the zero User.
type Caller struct {
	User       store.User
	ClientID   string    // the client that the token was issued to; "" for a personal access token
	SessionID  string    // "" for a client and for a personal access token
	TokenID    string    // of a personal access token; "" for another one
	LoggedInAt time.Time // when the person last proved who they are; zero without a session
	Methods    []string  // how they did (RFC 8176); nil without a session
	Claims     string    // that the client has asked for one by one
	Scopes     []string  // those of the token that the session and the user, or the client, still have
	checked    time.Time // when the token was checked
}

// SignIn returns how and when the person has signed in. It implements contract.Authenticated.
func (c *Caller) SignIn() (acr string, at, checked time.Time) {
	return atjwt.LevelOf(c.Methods), c.LoggedInAt, c.checked
}

// HasScope reports whether the caller may use a scope. It implements contract.Caller.
func (c *Caller) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Actor returns the caller as the actor of an event; nil for nil.
func (c *Caller) Actor() *audit.Actor {
	switch {
	case c == nil:
		return nil
	case c.User.ID == "":
		return &audit.Actor{ID: c.ClientID, ClientID: c.ClientID}
	}
	return &audit.Actor{ID: c.User.ID, ClientID: c.ClientID, SessionID: c.SessionID, TokenID: c.TokenID}
}

// IsAdministrator reports whether a caller, which may be nil, has the scope of administrators.
func (s *Service) IsAdministrator(c *Caller) bool { return c != nil && c.HasScope(s.AdminScope) }

// errInvalidToken is the one answer for every invalid access token.
func errInvalidToken(cause error) error {
	return problem.Wrap(problem.InvalidToken, "The access token is expired, revoked or invalid.", cause)
}

// Deleted replaces store.ErrNotFound, for an account that was deleted after its access token was checked.
func Deleted(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errInvalidToken(errors.New("the account was deleted"))
	}
	return err
}

// NoSuchUser replaces store.ErrNotFound, for an account that somebody else names.
func NoSuchUser(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no such account.")
	}
	return err
}

// Authenticate returns the caller of an access token. It verifies the token and reads its session and user, or its
// client, from the database for each request, so a logout takes effect at once on every replica. Errors: InvalidToken.
func (s *Service) Authenticate(ctx context.Context, accessToken secret.Text) (*Caller, error) {
	if personal.Is(accessToken.Reveal()) {
		caller, _, err := s.CallerOfPersonalToken(ctx, accessToken)
		return caller, err
	}
	access, err := s.issuer.Verify(accessToken.Reveal())
	if errors.Is(err, token.ErrInvalid) {
		return nil, errInvalidToken(err)
	}
	if err != nil {
		return nil, err
	}
	return s.CallerOf(ctx, access)
}

// CallerOf returns the caller of a verified access token, which may be for another audience. Errors: InvalidToken.
func (s *Service) CallerOf(ctx context.Context, access token.Access) (*Caller, error) {
	if access.SessionID == "" {
		return s.authenticateClient(ctx, access)
	}
	access.ClientID = token.ClientKey(access.ClientID)
	user, granted, claims, err := s.db.UserOfSession(ctx, access.Subject, access.SessionID, s.Now())
	if err == nil && !token.IsBuiltIn(access.ClientID) { // a login may have been in progress when its client was deleted
		_, err = s.db.ClientByID(ctx, access.ClientID)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, errInvalidToken(errors.New("no such session or client, or the account is disabled"))
	}
	if err != nil {
		return nil, err
	}
	return &Caller{
		User: user, ClientID: access.ClientID, SessionID: access.SessionID, LoggedInAt: access.AuthTime, Methods: access.Methods, Claims: claims,
		checked: s.Now(),
		Scopes:  Intersect(Intersect(strings.Fields(access.Scope), strings.Fields(granted)), s.ScopesOf(user, access.Methods)),
	}, nil
}

// authenticateClient returns the client of a token of its own, unless the client is deleted or the token revoked.
func (s *Service) authenticateClient(ctx context.Context, access token.Access) (*Caller, error) {
	row, err := s.db.ClientOfToken(ctx, access.Subject, access.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errInvalidToken(errors.New("the client was deleted, or the token revoked"))
	}
	if err != nil {
		return nil, err
	}
	return &Caller{ClientID: row.ID, Scopes: Intersect(strings.Fields(access.Scope), strings.Fields(row.Scopes))}, nil
}
