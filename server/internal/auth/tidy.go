package auth

import (
	"context"
	"errors"
	"time"

	"sesame/server/internal/store"
)

// tidyBatch is how many rows one commit removes.
const tidyBatch = 500

// claimTTL is how long an account may claim an address without confirming it.
const claimTTL = 30 * 24 * time.Hour

// Tidy removes what is over, in small batches: sessions, codes, counts of failures, addresses that nobody
// logs in from any more, addresses that were claimed and not confirmed, old events, revoked tokens that have
// expired, reservations of usernames. It says how many rows. What cannot be removed keeps nothing else from being
// removed.
//
// After each batch it waits for as long as that took: on SQLite, where one writes at a time, at least half of
// the time is everybody else's, however much there is to remove and however slow the disk is.
func (s *Service) Tidy(ctx context.Context) (removed int64, err error) {
	for _, forget := range []func(context.Context, time.Time, int) (int64, error){
		s.db.ForgetSessions, s.db.ForgetCodes, s.db.ForgetThrottles, s.forgetAddresses, s.expireClaims, s.forgetEvents,
		s.db.ForgetRevokedTokens, s.db.ForgetReservedUsernames,
	} {
		n, failed := s.forgetAll(ctx, forget)
		removed += n
		err = errors.Join(err, failed)
	}
	return removed, err
}

// forgetAll removes batches until one is not full, or the context ends.
func (s *Service) forgetAll(ctx context.Context, forget func(context.Context, time.Time, int) (int64, error)) (removed int64, err error) {
	for {
		if err = ctx.Err(); err != nil { // SQLite does not look
			return removed, err
		}
		begun := time.Now()
		n, err := forget(ctx, s.Now(), tidyBatch)
		removed += n
		if err != nil || n < tidyBatch {
			return removed, err
		}
		select {
		case <-time.After(time.Since(begun)):
		case <-ctx.Done():
		}
	}
}

// expireClaims takes the addresses from accounts that have claimed them for claimTTL.
func (s *Service) expireClaims(ctx context.Context, now time.Time, limit int) (expired int64, err error) {
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		claimants, err := q.ExpireClaims(ctx, now.Add(-claimTTL), now, limit)
		expired = int64(len(claimants))
		if err != nil {
			return err
		}
		return s.recordLost(ctx, q, claimants)
	})
	return expired, err
}
