package oauth

import (
	"context"
	"errors"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

func errRefresh(cause string) error {
	return problem.Wrap(problem.InvalidGrant, "The refresh token is expired, used or revoked.", errors.New(cause))
}

// RefreshGrant exchanges a refresh token for new tokens (RFC 6749 §6, RFC 9700 §4.14.2). It may request fewer scopes
// than the session has. Those that the session does not have are not granted: many libraries repeat the scope of the login,
// of which the session may have got a part. Errors: InvalidGrant, InvalidScope if the session has none of them, InvalidTarget
// for another resource than that of the session.
//
// A token works once. A second use within the grace period returns the same successor, for a client that lost the
// response or has two tabs; the time of an outage does not count. A later use means that two parties hold the token, and ends the session. A token of another
// client is refused and ends nothing, since its own client has not misused it.
func (s *Service) RefreshGrant(ctx context.Context, client Client, text secret.Text, w Wanted) (Tokens, error) {
	presented, ok := s.refresher.Parse(text.Reveal())
	if !ok {
		return Tokens{}, errRefresh("this server did not make it")
	}
	if w != (Wanted{}) { // a refused request must not use the token
		if err := s.checkRefresh(ctx, client, presented, w); err != nil {
			return Tokens{}, err
		}
	}
	begun := s.now()
	session, user, err := s.db.AdvanceSession(ctx, presented.SessionID.String(), client.ID, presented.SeedHash(),
		presented.Generation, begun, s.identity.RefreshIdle, s.issuer.Resources()...)
	if err == nil {
		s.outage.note(ctx, begun, s.now(), nil)
	}
	if errors.Is(err, store.ErrNotFound) {
		session, user, err = s.usedBefore(ctx, client, presented)
	}
	if err != nil {
		s.outage.note(ctx, begun, s.now(), err)
		return Tokens{}, err
	}
	if s.identity.MayLoseScopes(user, identity.MethodsOf(session)) {
		user, err = s.db.UserByID(ctx, session.UserID)
		if errors.Is(err, store.ErrNotFound) {
			err = errRefresh("the account was deleted")
		}
		if err != nil {
			return Tokens{}, err
		}
	}
	scopes, err := s.narrow(client, w.Scope, session, user)
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := s.issueForSession(client, refreshGrant, session, scopes, presented.Next())
	if err != nil || client.ID == token.FirstParty || !hasScope(tokens.Scope, "openid") {
		return tokens, err
	}
	if user, err = s.db.UserByID(ctx, session.UserID); errors.Is(err, store.ErrNotFound) {
		err = errRefresh("the account was deleted")
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.withIDToken(client, tokens, session, user, "")
}

// checkRefresh refuses a request for scopes of which the session has none, or for another resource.
func (s *Service) checkRefresh(ctx context.Context, client Client, presented token.Refresh, w Wanted) error {
	session, user, err := s.db.SessionByID(ctx, presented.SessionID.String())
	if err == nil && session.ClientID == client.ID {
		err = s.checkWanted(client, w, session, user)
	}
	return store.IgnoreNotFound(err)
}

// usedBefore handles a genuine token that is not the current one of its session. Within the grace period it returns the
// session, for another response; a later use ends it.
func (s *Service) usedBefore(ctx context.Context, client Client, presented token.Refresh) (store.Session, store.User, error) {
	session, user, err := s.db.SessionByID(ctx, presented.SessionID.String())
	now := s.now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return session, user, errRefresh("the session has ended")
	case err != nil:
		return session, user, err
	case session.SeedHash != presented.SeedHash():
		return session, user, errRefresh("the seed is not that of the session")
	case session.ClientID != client.ID:
		return session, user, errRefresh("it was issued to another client")
	case !session.ExpiresAt.After(now) || user.Disabled:
		return session, user, errRefresh("the session is expired or the account disabled")
	case s.checkResource("", session.Resource) != nil: // checked before reuse: the token was not used, and works again with the resource
		return session, user, s.checkResource("", session.Resource)
	case presented.Generation >= session.Generation:
		// A future generation: the database was restored from a backup.
		return session, user, errRefresh("the session has not reached this generation")
	case presented.Generation+1 == session.Generation && s.inGrace(session.LastUsedAt, now):
		err = s.db.ConfirmSession(ctx, session.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = errRefresh("the session has ended")
		}
		return session, user, err
	}
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.EndSession(ctx, session.ID); err != nil {
			return err
		}
		// No actor: two parties hold the token, and nobody knows which of them sent it.
		e := store.Event{UserID: user.ID, Username: user.Username, ClientID: session.ClientID, SessionID: session.ID}
		return audit.Record(ctx, q, audit.RefreshReused, e, now)
	})
	if store.IgnoreNotFound(err) != nil {
		return session, user, err
	}
	return session, user, errRefresh("reused after the grace period: the session has ended")
}

// inGrace reports whether the last refresh is at most the grace period ago, without the time of an outage. One that a clock in the
// future has recorded is not: otherwise a stolen token that was used before would work until that time comes.
func (s *Service) inGrace(refreshed, now time.Time) bool {
	grace := s.RefreshGrace
	if grace > 0 { // 0 turns retries off
		grace += s.outage.within(refreshed, now)
	}
	end := refreshed.Add(grace)
	return end.Equal(now) || store.Pending(end, now, grace)
}

// narrow returns the scopes of a refreshed token: those of the session that the user and the client still have, or fewer on
// request.
func (s *Service) narrow(client Client, requested string, session store.Session, user store.User) ([]string, error) {
	scopes := strings.Fields(session.Scope)
	if wanted := strings.Fields(requested); len(wanted) > 0 {
		if scopes = identity.Intersect(scopes, wanted); len(scopes) == 0 {
			return nil, problem.New(problem.InvalidScope, "The session has none of the requested scopes. Log in to get others.")
		}
	}
	return identity.Intersect(identity.Intersect(scopes, s.allowedByCode(client)), s.identity.ScopesOf(user, identity.MethodsOf(session))), nil
}
