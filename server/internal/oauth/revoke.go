package oauth

import (
	"context"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// Revoke ends the session of an access or a refresh token (RFC 7009 §2.1), or revokes a client's own token. An unknown or
// expired token is not an error. A personal access token is revoked for everybody who sends it. A token of another client is refused and stays valid. Errors: InvalidGrant.
func (s *Service) Revoke(ctx context.Context, client Client, text secret.Text) error {
	// A page that is being closed revokes its token and does not wait for the answer.
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	if personal.Is(text.Reveal()) { // it belongs to no client: its holder may revoke it, and so may the finder of a lost one
		return s.identity.RevokeHeldToken(ctx, text)
	}
	session, err := s.sessionOf(ctx, text)
	if err != nil || session.ClientID == "" {
		return store.IgnoreNotFound(err)
	}
	if session.ClientID != client.ID {
		return problem.New(problem.InvalidGrant, "The token was issued to another client.")
	}
	if session.ID == "" {
		access, err := s.issuer.VerifyIssued(text.Reveal())
		if err != nil {
			return ignoreInvalid(err) // it has expired meanwhile
		}
		return s.db.RevokeToken(ctx, access.ID, access.ExpiresAt.Add(time.Minute)) // past the leeway
	}
	return store.IgnoreNotFound(s.db.Tx(ctx, func(q *store.Queries) error {
		_, user, err := q.SessionByID(ctx, session.ID)
		if err != nil {
			return err
		}
		if err = q.EndSession(ctx, session.ID); err != nil {
			return err
		}
		by := &audit.Actor{ID: user.ID, ClientID: session.ClientID, SessionID: session.ID}
		return audit.Record(ctx, q, audit.Logout, audit.Event(ctx, user, by), s.now())
	}))
}

// sessionOf returns the id and the client of the session of a token. For a client's own token there is only the client,
// and for an unknown or invalid token neither.
func (s *Service) sessionOf(ctx context.Context, text secret.Text) (store.Session, error) {
	refresh, ok := s.refresher.Parse(text.Reveal())
	if !ok {
		access, err := s.issuer.VerifyIssued(text.Reveal())
		if err != nil {
			return store.Session{}, ignoreInvalid(err)
		}
		return store.Session{ID: access.SessionID, ClientID: token.ClientKey(access.ClientID)}, nil
	}
	session, _, err := s.db.SessionByID(ctx, refresh.SessionID.String())
	if err != nil || session.SeedHash != refresh.SeedHash() {
		return store.Session{}, err
	}
	return session, nil
}
