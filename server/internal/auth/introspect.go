package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Introspection is what a token is worth now (RFC 7662 §2.2). One that is not Active says no more.
type Introspection struct {
	Active    bool
	Refresh   bool // a refresh token, which lets nobody in
	Scope     string
	ClientID  string
	Username  string // "" for a client's own token
	Subject   string
	Audience  string
	Issuer    string
	ID        string // jti; "" for a refresh token
	SessionID string // "" for a client's own token
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Introspect looks a token up for a client: any access token, and refresh tokens that were issued to that
// client. Every other token is not active; the error is a fault of the store, and never taken for an answer.
func (s *Service) Introspect(ctx context.Context, client Client, text secret.Text) (Introspection, error) {
	if refresh, ok := s.refresher.Parse(text.Reveal()); ok {
		return s.introspectRefresh(ctx, client, refresh)
	}
	access, err := s.issuer.Verify(text.Reveal())
	// The leeway is for the clocks of others; this one has written exp itself.
	if err != nil || !s.Now().Before(access.ExpiresAt) {
		return Introspection{}, unlessInvalid(err)
	}
	caller, err := s.Authenticate(ctx, text)
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.InvalidToken {
		return Introspection{}, nil
	}
	if err != nil {
		return Introspection{}, err
	}
	issuer, audience := s.issuer.Names()
	return Introspection{
		Active: true, Scope: strings.Join(caller.scopes, " "), ClientID: access.ClientID, Username: caller.User.Username,
		Subject: access.Subject, Audience: audience, Issuer: issuer, ID: access.ID, SessionID: access.SessionID,
		IssuedAt: access.IssuedAt, ExpiresAt: access.ExpiresAt,
	}, nil
}

// introspectRefresh looks up a genuine refresh token. Only the one that its session accepts next is active. A
// refresh token goes from its client to this server and to nobody else, so no other client has a reason to ask
// about it; one that does has found or stolen it, and must not learn whether it works (RFC 7662 §4).
func (s *Service) introspectRefresh(ctx context.Context, client Client, presented token.Refresh) (Introspection, error) {
	session, user, err := s.db.SessionByID(ctx, presented.SessionID.String())
	if err != nil {
		return Introspection{}, unlessNotFound(err)
	}
	if session.ClientID != client.id() || session.SeedHash != presented.SeedHash() || session.Generation != presented.Generation ||
		!s.Now().Before(session.ExpiresAt) || user.Disabled {
		return Introspection{}, nil
	}
	issuer, _ := s.issuer.Names()
	return Introspection{
		Active: true, Refresh: true, ClientID: session.ClientID, Username: user.Username,
		Scope:   strings.Join(intersect(strings.Fields(session.Scope), s.UserScopes(user)), " "),
		Subject: user.ID, Audience: issuer, Issuer: issuer, SessionID: session.ID,
		IssuedAt: session.LastUsedAt, ExpiresAt: session.ExpiresAt,
	}, nil
}

// Revoke ends the session of an access or a refresh token (RFC 7009 §2.1), or a client's own token. A
// token that means nothing here is not an error. One that was issued to another client is refused, and
// goes on. Errors: InvalidGrant.
func (s *Service) Revoke(ctx context.Context, client Client, text secret.Text) error {
	session, err := s.sessionOf(ctx, text)
	if err != nil || session.ClientID == "" {
		return unlessNotFound(err)
	}
	if session.ClientID != client.id() {
		return problem.New(problem.InvalidGrant, "The token was issued to another client.")
	}
	if session.ID == "" {
		access, err := s.issuer.Verify(text.Reveal())
		if err != nil {
			return unlessInvalid(err) // it has expired meanwhile
		}
		return s.db.RevokeToken(ctx, access.ID, access.ExpiresAt.Add(time.Minute)) // past the leeway
	}
	return unlessNotFound(s.db.Tx(ctx, func(q *store.Queries) error {
		_, user, err := q.SessionByID(ctx, session.ID)
		if err != nil {
			return err
		}
		if err = q.EndSession(ctx, session.ID); err != nil {
			return err
		}
		return s.record(ctx, q, EventLogout, user, &Caller{User: user, ClientID: session.ClientID, SessionID: session.ID})
	}))
}

// sessionOf gives the id and the client of the session that a token of ours belongs to. For a client's
// own token there is only the client, and for what is not ours neither.
func (s *Service) sessionOf(ctx context.Context, text secret.Text) (store.Session, error) {
	refresh, ok := s.refresher.Parse(text.Reveal())
	if !ok {
		access, err := s.issuer.Verify(text.Reveal())
		if err != nil {
			return store.Session{}, unlessInvalid(err) // not ours, or gone: which is as good as revoked
		}
		return store.Session{ID: access.SessionID, ClientID: access.ClientID}, nil
	}
	session, _, err := s.db.SessionByID(ctx, refresh.SessionID.String())
	if err != nil || session.SeedHash != refresh.SeedHash() {
		return store.Session{}, err
	}
	return session, nil
}

// unlessInvalid keeps the faults among the errors of a token that does not verify.
func unlessInvalid(err error) error {
	if errors.Is(err, token.ErrInvalid) {
		return nil
	}
	return err
}
