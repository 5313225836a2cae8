package identity

import (
	"context"
	"errors"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/store"
)

// recordTime bounds the recording of a correct password, and so how long Close waits for one.
const recordTime = 5 * time.Second

// RecordCorrectPassword is for a request that proves the correct password of an account and then fails for another
// reason. It records audit.PasswordAccepted and mails the owner if the network is unknown. Otherwise a thief could test a
// stolen password unnoticed, with a request that fails on purpose.
//
// It runs after the response. A disabled account, or one that was just throttled, gets the same response as a wrong
// password, and one more write before it would show in its time. Nor does a response wait for a failing database.
func (s *Service) RecordCorrectPassword(ctx context.Context, e store.Event) {
	ctx = context.WithoutCancel(ctx)
	failed := func(err error) {
		s.Log.ErrorContext(ctx, "recording a correct password failed", "user", e.UserID, "error", err)
	}
	started := s.background.start(func() {
		ctx, cancel := context.WithTimeout(ctx, recordTime)
		defer cancel()
		if err := s.recordCorrectPassword(ctx, e); err != nil {
			failed(err)
		}
	})
	if !started {
		failed(errors.New("the server is stopping"))
	}
}

// recordCorrectPassword folds repeats: for one account and one network it records the first five, then one after each
// wait, as failures are counted. So nobody who knows the password can fill the log with it.
func (s *Service) recordCorrectPassword(ctx context.Context, e store.Event) error {
	from, now := network.FromContext(ctx), s.Now()
	return s.db.Tx(ctx, func(q *store.Queries) error {
		counted, err := q.CountFailure(ctx, store.Throttle{
			Key: s.KeyedHash.Key("accepted", e.UserID, "from", from.Subnet), Free: freeFailures, ClearAt: now.Add(failureMemory),
		}, now)
		if err != nil || !counted {
			return err
		}
		if err = audit.Record(ctx, q, audit.PasswordAccepted, e, now); err != nil {
			return err
		}
		user, err := q.UserByID(ctx, e.UserID)
		if err != nil { // if it was deleted meanwhile, the owner got a mail about that
			return store.IgnoreNotFound(err)
		}
		state, err := q.ReadThrottles(ctx, store.Counters{}, user.ID, s.knownAddress(from), now)
		if err != nil {
			return err
		}
		return s.notifyUnknownNetwork(ctx, q, user, isKnown(state, now))
	})
}
