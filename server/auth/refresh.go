package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sesame/server/problem"
	"sesame/server/store"
	"sesame/server/token"
)

func errRefresh(cause string) error {
	return problem.Wrap(problem.InvalidGrant, "The refresh token is expired, used or revoked.", errors.New(cause))
}

// Refresh trades a refresh token for a new pair (RFC 6749 §6, RFC 9700 §4.14.2). Scope may ask for
// less than the session has. Errors: InvalidGrant, InvalidScope.
//
// A token is used once. A second use within the grace gives the same successor, for a client whose
// answer was lost or that has two tabs; a later one means that two parties hold the token, and the
// session ends.
func (s *Service) Refresh(ctx context.Context, text, scope string) (Tokens, error) {
	presented, ok := s.refresher.Parse(text)
	if !ok {
		return Tokens{}, errRefresh("not one of ours")
	}
	id, now := presented.SessionID.String(), s.Now()
	if scope == "" { // nothing to refuse, so the step can be taken before anything is read
		session, user, err := s.db.AdvanceSession(ctx, id, presented.SeedHash(), presented.Generation, now, s.RefreshIdle)
		if !errors.Is(err, store.ErrNotFound) {
			return s.refreshed(session, user, scope, presented, err)
		}
	}
	session, user, err := s.db.SessionByID(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Tokens{}, errRefresh("the session has ended")
	case err != nil:
		return Tokens{}, err
	case session.SeedHash != presented.SeedHash():
		return Tokens{}, errRefresh("the seed is not the session's")
	case !session.ExpiresAt.After(now) || user.Disabled:
		return Tokens{}, errRefresh("the session is expired or the account disabled")
	case presented.Generation != session.Generation:
		return s.refreshAgain(ctx, session, user, scope, presented)
	}
	if _, err = s.narrow(scope, session, user); err != nil {
		return Tokens{}, err
	}
	next, user, err := s.db.AdvanceSession(ctx, id, session.SeedHash, session.Generation, now, s.RefreshIdle)
	if errors.Is(err, store.ErrNotFound) { // lost a race: against another use of the token, or the session's end
		if session, user, err = s.db.SessionByID(ctx, id); err != nil {
			return Tokens{}, errors.Join(errRefresh("the session has just ended"), unlessNotFound(err))
		}
		return s.refreshAgain(ctx, session, user, scope, presented)
	}
	return s.refreshed(next, user, scope, presented, err)
}

// refreshed makes the tokens of a session that has been advanced.
func (s *Service) refreshed(session store.Session, user store.User, scope string, presented token.Refresh, err error) (Tokens, error) {
	if err != nil {
		return Tokens{}, err
	}
	scopes, err := s.narrow(scope, session, user)
	if err != nil {
		return Tokens{}, err
	}
	return s.tokens(session, scopes, presented.Next())
}

// refreshAgain answers a token that has been used before.
func (s *Service) refreshAgain(ctx context.Context, session store.Session, user store.User, scope string, presented token.Refresh) (Tokens, error) {
	switch {
	case user.Disabled || presented.Generation >= session.Generation:
		// A generation that is yet to come: the database was restored from a backup.
		return Tokens{}, errRefresh("the session is not at this generation")
	case presented.Generation+1 == session.Generation && !s.Now().After(session.LastUsedAt.Add(s.RefreshGrace)):
		return s.refreshed(session, user, scope, presented, nil)
	}
	if err := s.db.EndSession(ctx, session.ID); unlessNotFound(err) != nil {
		return Tokens{}, err
	}
	return Tokens{}, errRefresh("reuse after the grace: the session is ended")
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
	return intersect(asked, UserScopes(user)), nil
}

// Revoke ends the session of an access or a refresh token (RFC 7009 §2.1). Whoever holds a token
// may end it. A token that means nothing here is not an error.
func (s *Service) Revoke(ctx context.Context, text string) error {
	sessionID := ""
	if refresh, ok := s.refresher.Parse(text); ok {
		session, _, err := s.db.SessionByID(ctx, refresh.SessionID.String())
		if err != nil || session.SeedHash != refresh.SeedHash() {
			return unlessNotFound(err)
		}
		sessionID = session.ID
	} else if access, err := s.issuer.Verify(text); err == nil {
		sessionID = access.SessionID
	}
	if sessionID == "" {
		return nil
	}
	return unlessNotFound(s.db.EndSession(ctx, sessionID))
}

func unlessNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
