package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

func errRefresh(cause string) error {
	return problem.Wrap(problem.InvalidGrant, "The refresh token is expired, used or revoked.", errors.New(cause))
}

// Refresh trades a refresh token for a new pair (RFC 6749 §6, RFC 9700 §4.14.2). Scope may ask for
// less than the session has. Errors: InvalidGrant, InvalidScope.
//
// A token is used once. A second use within the grace gives the same successor, for a client whose
// answer was lost or that has two tabs; a later one means that two parties hold the token, and the
// session ends. A token of another client is refused and ends nothing: that client has not misused it.
func (s *Service) Refresh(ctx context.Context, client Client, text secret.Text, scope string) (Tokens, error) {
	presented, ok := s.refresher.Parse(text.Reveal())
	if !ok {
		return Tokens{}, errRefresh("not one of ours")
	}
	if scope != "" { // a refusal must not use the token up
		if err := s.checkScope(ctx, client, presented, scope); err != nil {
			return Tokens{}, err
		}
	}
	session, user, err := s.db.AdvanceSession(ctx, presented.SessionID.String(), client.id(), presented.SeedHash(),
		presented.Generation, s.Now(), s.RefreshIdle)
	if errors.Is(err, store.ErrNotFound) {
		session, user, err = s.usedBefore(ctx, client, presented)
	}
	if err != nil {
		return Tokens{}, err
	}
	scopes, err := s.narrow(scope, session, user)
	if err != nil {
		return Tokens{}, err
	}
	return s.tokens(session, scopes, presented.Next())
}

// checkScope refuses scopes that the session does not have.
func (s *Service) checkScope(ctx context.Context, client Client, presented token.Refresh, scope string) error {
	session, user, err := s.db.SessionByID(ctx, presented.SessionID.String())
	if err == nil && session.ClientID == client.id() {
		_, err = s.narrow(scope, session, user)
	}
	return unlessNotFound(err)
}

// usedBefore looks at a genuine token that is not its session's current one. Within the grace the
// session is returned for another answer; a later use ends it.
func (s *Service) usedBefore(ctx context.Context, client Client, presented token.Refresh) (store.Session, store.User, error) {
	session, user, err := s.db.SessionByID(ctx, presented.SessionID.String())
	now := s.Now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return session, user, errRefresh("the session has ended")
	case err != nil:
		return session, user, err
	case session.SeedHash != presented.SeedHash():
		return session, user, errRefresh("the seed is not the session's")
	case session.ClientID != client.id():
		return session, user, errRefresh("it was issued to another client")
	case !session.ExpiresAt.After(now) || user.Disabled:
		return session, user, errRefresh("the session is expired or the account disabled")
	case presented.Generation >= session.Generation:
		// One that is yet to come: the database was restored from a backup.
		return session, user, errRefresh("the session is not at this generation")
	case presented.Generation+1 == session.Generation && !now.After(session.LastUsedAt.Add(s.RefreshGrace)):
		return session, user, nil
	}
	ctx, done := finishing(ctx) // even if the caller hangs up
	defer done()
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.EndSession(ctx, session.ID); err != nil {
			return err
		}
		// Two hold the token, and nobody knows which of them this is.
		e := store.Event{UserID: user.ID, Username: user.Username, ClientID: session.ClientID, SessionID: session.ID}
		return recordEvent(ctx, q, EventRefreshReused, e, now)
	})
	if unlessNotFound(err) != nil {
		return session, user, err
	}
	return session, user, errRefresh("reuse after the grace: the session is ended")
}

// narrow gives the scopes of a refreshed token: those of the session that the user still has, or
// fewer if asked. More than the session has is refused (RFC 6749 §6).
func (s *Service) narrow(requested string, session store.Session, user store.User) ([]string, error) {
	granted := strings.Fields(session.Scope)
	asked := strings.Fields(requested)
	for _, scope := range asked {
		if !slices.Contains(granted, scope) {
			return nil, problem.New(problem.InvalidScope, "A refresh cannot add scopes. Log in for more.")
		}
	}
	if len(asked) == 0 {
		asked = granted
	}
	return intersect(asked, s.UserScopes(user)), nil
}

func unlessNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
