package account

import (
	"context"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// factorResetDelay is how long the owner of an account has to cancel a reset of the second factors.
const factorResetDelay = 24 * time.Hour

// ResetFactors begins a reset of the second factors of an account, for a person who has lost them all. It ends every session, and
// mails the owner. The factors are removed after a day (CompleteFactorResets), unless a sign-in with one of them cancels the reset.
// by is nil at the command line. It returns the time. Errors: NotFound, NoSecondFactor; InsufficientScope for an account that has a
// scope which the caller's token lacks.
func (s *Service) ResetFactors(ctx context.Context, by *identity.Caller, id string) (at time.Time, err error) {
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if err = s.identity.MayAdminister(by, user); err != nil {
			return err
		}
		if user.Factors == "" {
			return problem.New(problem.NoSecondFactor, "The account has no second factor.")
		}
		if at = user.FactorsResetAt; !at.IsZero() {
			return nil
		}
		at = s.now().Add(factorResetDelay).Truncate(time.Microsecond)
		if err = q.SetFactorReset(ctx, user.ID, at); err != nil {
			return err
		}
		if err = q.EndAccessOf(ctx, user.ID, ""); err != nil {
			return err
		}
		if err = s.outbox.NotifyOf(ctx, q, mailer.ResetRequested, user, mailer.Fields{Due: at}); err != nil {
			return err
		}
		return s.record(ctx, q, audit.ResetRequested, user, by)
	})
	return at, noSuchUser(err)
}

// CompleteFactorResets removes the factors of up to limit accounts whose reset is due, and returns how many. It is for package
// cleanup. Each account has a transaction of its own, which locks no other.
func (s *Service) CompleteFactorResets(ctx context.Context, now time.Time, limit int) (done int64, err error) {
	due, err := s.db.UsersToResetFactors(ctx, now, limit)
	if err != nil {
		return 0, err
	}
	for _, user := range due {
		err = s.db.Tx(ctx, func(q *store.Queries) error {
			user, err := q.LockUser(ctx, user.ID)
			if err != nil || user.FactorsResetAt.IsZero() || user.FactorsResetAt.After(now) { // cancelled, or done, meanwhile
				return err
			}
			if err = s.removeFactors(ctx, q, user.ID); err != nil {
				return err
			}
			if err = s.outbox.Notify(ctx, q, mailer.FactorsReset, user, ""); err != nil {
				return err
			}
			return audit.Record(ctx, q, audit.FactorsReset, store.Event{UserID: user.ID, Username: user.Username, Actor: audit.Schedule}, now)
		})
		if store.IgnoreNotFound(err) != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// removeFactors removes all factors and recovery codes of a user, in a transaction that has locked the user.
func (s *Service) removeFactors(ctx context.Context, q *store.Queries, userID string) error {
	if err := q.DeleteFactorsOf(ctx, userID); err != nil {
		return err
	}
	return q.SetFactorKinds(ctx, userID, s.now())
}
