package oauth

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// Introspection is the state of a token (RFC 7662 §2.2). For a token that is not Active the other fields are empty.
type Introspection struct {
	Active    bool
	Refresh   bool // a refresh token, which authorises no operation
	Personal  bool // a personal access token
	Scope     string
	ClientID  string // "" for a personal access token
	Username  string // "" for a client's own token
	Subject   string
	Audience  string
	Issuer    string
	ID        string    // jti; "" for a refresh token
	SessionID string    // "" for a client's own token
	Methods   []string  // amr; nil for a client's own token and for a refresh token
	AuthTime  time.Time // zero for these
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Introspect returns the state of a token, for a client: of any access token, and of refresh tokens that were issued to
// that client. Every other token is not active. An error is a fault of the server, and never means "not active".
func (s *Service) Introspect(ctx context.Context, client Client, text secret.Text) (Introspection, error) {
	if refresh, ok := s.refresher.Parse(text.Reveal()); ok {
		return s.introspectRefresh(ctx, client, refresh)
	}
	if personal.Is(text.Reveal()) {
		return s.introspectPersonal(ctx, text)
	}
	access, err := s.issuer.VerifyIssued(text.Reveal())
	// No leeway here: it is for the clocks of other servers, and this one has set exp itself.
	if err != nil || !s.now().Before(access.ExpiresAt) {
		return Introspection{}, ignoreInvalid(err)
	}
	caller, err := s.identity.CallerOf(ctx, access)
	if err != nil {
		return Introspection{}, ignoreInvalid(err)
	}
	issuer, audience := s.issuer.Names()
	return Introspection{
		Active: true, Scope: strings.Join(caller.Scopes, " "), ClientID: access.ClientID, Username: caller.User.Username,
		Subject: access.Subject, Audience: cmp.Or(access.Resource, audience), Issuer: issuer, ID: access.ID, SessionID: access.SessionID,
		Methods: access.Methods, AuthTime: access.AuthTime, IssuedAt: access.IssuedAt, ExpiresAt: access.ExpiresAt,
	}, nil
}

// introspectPersonal returns the state of a personal access token. It says neither how nor when the person signed in, so that it meets
// no demand for that (RFC 9470 §5), and names no client, since it was issued to none.
func (s *Service) introspectPersonal(ctx context.Context, text secret.Text) (Introspection, error) {
	caller, t, err := s.identity.CallerOfPersonalToken(ctx, text)
	if err != nil {
		return Introspection{}, ignoreInvalid(err)
	}
	issuer, audience := s.issuer.Names()
	return Introspection{
		Active: true, Personal: true, Scope: strings.Join(caller.Scopes, " "), Username: caller.User.Username, Subject: caller.User.ID,
		Audience: audience, Issuer: issuer, ID: t.ID, IssuedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
	}, nil
}

// introspectRefresh returns the state of a genuine refresh token. Only the one that its session accepts next is active. A
// client sends a refresh token to this server only, so another client that asks about it has found or stolen it, and must
// not learn whether it works (RFC 7662 §4).
func (s *Service) introspectRefresh(ctx context.Context, client Client, presented token.Refresh) (Introspection, error) {
	session, user, err := s.db.SessionByID(ctx, presented.SessionID.String())
	if err != nil {
		return Introspection{}, store.IgnoreNotFound(err)
	}
	if session.ClientID != client.ID || session.SeedHash != presented.SeedHash() || session.Generation != presented.Generation ||
		!s.now().Before(session.ExpiresAt) || user.Disabled {
		return Introspection{}, nil
	}
	issuer, _ := s.issuer.Names()
	return Introspection{
		Active: true, Refresh: true, ClientID: client.PublicID(), Username: user.Username,
		Scope:   strings.Join(identity.Intersect(strings.Fields(session.Scope), s.identity.ScopesOf(user, identity.MethodsOf(session))), " "),
		Subject: user.ID, Audience: issuer, Issuer: issuer, SessionID: session.ID,
		IssuedAt: session.LastUsedAt, ExpiresAt: session.ExpiresAt,
	}, nil
}

// ignoreInvalid returns err, or nil if it means that a token is invalid.
func ignoreInvalid(err error) error {
	p, ok := errors.AsType[*problem.Error](err)
	if errors.Is(err, token.ErrInvalid) || ok && p.Code == problem.InvalidToken {
		return nil
	}
	return err
}
