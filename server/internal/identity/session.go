package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// maxSessions limits the sessions of a user. A further login ends the least recently used one.
const maxSessions = 100

// startSession stores the session of a person who has proved who they are, with the scopes that the user has at that moment,
// unless a second factor is missing or the attempt has to wait by now. A scope that was revoked since the user was read would
// otherwise come back with a later grant. Errors: an Incomplete; those of Login.
func (s *Service) startSession(ctx context.Context, who Authentication, wanted Wanted) (session store.Session, refresh token.Refresh, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return session, refresh, fmt.Errorf("make a session id: %w", err)
	}
	refresh = token.NewRefresh(id)
	now, a := s.Now(), who.attempt
	from, _ := network.RequestOf(ctx)
	session = store.Session{
		ID: id.String(), UserID: who.user.ID, ClientID: wanted.ClientID, Resource: wanted.Resource, Methods: who.methods(),
		SeedHash: refresh.SeedHash(), IPAddress: from.IPAddress, UserAgent: from.UserAgent,
		CreatedAt: now, SignedInAt: now, LastUsedAt: now, ExpiresAt: now.Add(min(s.RefreshIdle, s.sessionTTL(wanted.TTL))), EndsAt: now.Add(s.sessionTTL(wanted.TTL)),
	}
	changed := func() error {
		err := s.checkAttempt(ctx, a)
		if err == nil && who.check != nil {
			err = who.check(ctx)
		}
		return err
	}
	err = s.db.TxUnchanged(ctx, who.user, changed, func(q *store.Queries, user store.User) error {
		a.user = user
		if err := q.LockUnchanged(ctx, user, s.Now(), a.relevant()...); err != nil {
			return err
		}
		scopes, err := s.grant(wanted, user)
		if err == nil {
			err = s.checkFactors(who, user)
		}
		if err != nil {
			if changed := q.Flush(ctx); changed != nil { // or the answer would reveal that the password was correct
				return changed
			}
			return err
		}
		if err := s.useUp(ctx, q, who, user, session.ID); err != nil {
			return err
		}
		session.Scope = strings.Join(scopes, " ")
		if err := q.CreateSession(ctx, session); err != nil {
			return err
		}
		if err := q.TrimSessions(ctx, user.ID, maxSessions); err != nil {
			return err
		}
		if err := s.clearAfterLogin(ctx, q, a); err != nil {
			return err
		}
		by := &audit.Actor{ID: user.ID, ClientID: session.ClientID, SessionID: session.ID}
		return audit.Record(ctx, q, audit.Login, audit.Event(ctx, user, by), s.Now())
	})
	if errors.Is(err, store.ErrNotFound) { // the account was disabled, deleted or changed since it was read
		err = who.wrong()
	}
	return session, refresh, err
}

// startConfirmed is startSession that also mails the owner of an account whose address must be confirmed first.
func (s *Service) startConfirmed(ctx context.Context, who Authentication, wanted Wanted) (session store.Session, refresh token.Refresh, err error) {
	session, refresh, err = s.startSession(ctx, who, wanted)
	if errors.Is(err, ErrUnconfirmed) {
		if failed := s.askToConfirm(ctx, who.user.ID); failed != nil {
			err = failed
		}
	}
	return session, refresh, err
}

// useUp uses up what the person has proved who they are with, in the transaction that starts the session.
func (s *Service) useUp(ctx context.Context, q *store.Queries, who Authentication, user store.User, sessionID string) error {
	if who.via != nil {
		if err := who.via.use(ctx, q, s, user); err != nil {
			return err
		}
	}
	if who.use != nil {
		if err := who.use(ctx, q, sessionID); err != nil {
			return err
		}
	}
	return s.cancelFactorReset(ctx, q, who, user)
}

// cancelFactorReset cancels a reset of the second factors, if the person has signed in with one of them.
func (s *Service) cancelFactorReset(ctx context.Context, q *store.Queries, who Authentication, user store.User) error {
	if user.FactorsResetAt.IsZero() || !slices.Contains(who.Methods, TwoFactors) {
		return nil
	}
	if err := q.SetFactorReset(ctx, user.ID, time.Time{}); err != nil {
		return err
	}
	by := &audit.Actor{ID: user.ID, ClientID: who.attempt.clientID}
	return audit.Record(ctx, q, audit.ResetCancelled, audit.Event(ctx, user, by), s.Now())
}

// sessionTTL is the life of a session whose client wants one of its own.
func (s *Service) sessionTTL(wanted time.Duration) time.Duration {
	return min(cmp.Or(wanted, s.RefreshTTL), s.RefreshTTL)
}

// Sessions lists the sessions of an account, the most recently used first. An account has at most maxSessions.
func (s *Service) Sessions(ctx context.Context, userID string) ([]store.Session, error) {
	return s.db.ListSessions(ctx, userID, s.Now(), maxSessions)
}

// AllSessions returns a page of the sessions of all accounts, the latest login first, and the cursor of the next page, or "". Errors:
// BadRequest for a cursor of another list.
func (s *Service) AllSessions(ctx context.Context, cursor string, limit int) (page []store.PersonSession, next string, err error) {
	const list = "sessions"
	before := ""
	if cursor != "" {
		if before, err = s.Cursors.Read(list, cursor); err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
	}
	page, err = s.db.ListAllSessions(ctx, before, s.Now(), limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	return page[:limit], s.Cursors.Text(list, page[limit-1].ID), nil
}

// EndSession ends one of the caller's sessions. Errors: NotFound.
func (s *Service) EndSession(ctx context.Context, caller *Caller, id string) error {
	return s.endSession(ctx, caller, caller.User.ID, id, Own)
}

// EndSessionOf ends a session of an account; by is nil at the command line. Errors: NotFound; those of MayAdminister.
func (s *Service) EndSessionOf(ctx context.Context, by *Caller, userID, id string) error {
	return s.endSession(ctx, by, userID, id, s.Administering(by))
}

func (s *Service) endSession(ctx context.Context, by *Caller, userID, id string, may Permission) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID) // a code of this session may be being exchanged
		if err != nil {
			return err
		}
		if err = may(user); err != nil {
			return err
		}
		if err := q.EndSessionOf(ctx, user.ID, id); err != nil {
			return err
		}
		event := audit.Event(ctx, user, by.Actor())
		event.SessionID = id
		return audit.Record(ctx, q, audit.Logout, event, s.Now())
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no such session.")
	}
	return err
}

// EndSessions ends all the caller's sessions, the current one included.
func (s *Service) EndSessions(ctx context.Context, caller *Caller) error {
	return store.IgnoreNotFound(s.endSessions(ctx, caller, caller.User.ID, Own)) // a deleted account has no sessions
}

// EndSessionsOf ends all sessions of an account; by is nil at the command line. Errors: NotFound; those of MayAdminister.
func (s *Service) EndSessionsOf(ctx context.Context, by *Caller, userID string) error {
	return NoSuchUser(s.endSessions(ctx, by, userID, s.Administering(by)))
}

func (s *Service) endSessions(ctx context.Context, by *Caller, userID string, may Permission) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID) // as above
		if err != nil {
			return err
		}
		if err = may(user); err != nil {
			return err
		}
		if err := q.EndSessionsOf(ctx, user.ID, ""); err != nil {
			return err
		}
		return audit.Record(ctx, q, audit.LogoutEverywhere, audit.Event(ctx, user, by.Actor()), s.Now())
	})
}

// EndOtherSessions ends the caller's sessions but the current one and, where that is the session of a browser, those that
// were started from it.
func (s *Service) EndOtherSessions(ctx context.Context, caller *Caller) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.EndOtherSessionsOf(ctx, caller.User.ID, caller.SessionID); err != nil {
			return err
		}
		return audit.Record(ctx, q, audit.LogoutEverywhere, audit.Event(ctx, caller.User, caller.Actor()), s.Now())
	})
}
