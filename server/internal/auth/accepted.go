package auth

import (
	"context"
	"errors"
	"time"

	"sesame/server/internal/store"
)

// acceptedTime bounds the record of an accepted password, and so how long Close waits for one.
const acceptedTime = 5 * time.Second

// accepted is for every request that proved the correct password of an account without anything coming of it that
// has an event of its own. It records EventPasswordAccepted and mails the owner if the place is new. Without it,
// a thief could check a stolen password in silence by a request that is bound to fail for another reason.
//
// That happens after the answer. A disabled account, or one that others have just throttled, is answered as if
// the password was wrong, and a further write before the answer would show in its time. Nor does an answer wait
// for a database that is failing.
func (s *Service) accepted(ctx context.Context, e store.Event) {
	ctx = context.WithoutCancel(ctx)
	failed := func(err error) {
		s.Log.ErrorContext(ctx, "a correct password was given, and that could not be recorded", "user", e.UserID, "error", err)
	}
	started := s.background.start(func() {
		ctx, cancel := context.WithTimeout(ctx, acceptedTime)
		defer cancel()
		if err := s.recordAccepted(ctx, e); err != nil {
			failed(err)
		}
	})
	if !started {
		failed(errors.New("the server is stopping"))
	}
}

// recordAccepted folds repeats: of one account and one network it records the first five, then one after each
// wait, as failures are counted. So somebody who knows the password cannot fill the record with it.
func (s *Service) recordAccepted(ctx context.Context, e store.Event) error {
	from, now := networkOf(ctx), s.Now()
	return s.db.Tx(ctx, func(q *store.Queries) error {
		counted, err := q.CountFailure(ctx, store.Throttle{
			Key: s.Blind.Key("accepted", e.UserID, "from", from.Subnet), Free: freeFailures, ClearAt: now.Add(failureMemory),
		}, now)
		if err != nil || !counted {
			return err
		}
		if err = recordEvent(ctx, q, EventPasswordAccepted, e, now); err != nil {
			return err
		}
		user, err := q.UserByID(ctx, e.UserID)
		if err != nil { // deleted meanwhile, and told of that
			return unlessNotFound(err)
		}
		blocks, err := q.ReadBlocks(ctx, store.Lanes{}, user.ID, s.knownAddress(from))
		if err != nil {
			return err
		}
		return s.tellOfNewPlace(ctx, q, user, knownAt(blocks, now))
	})
}

// eventBy is the part of an event that tells whose account it is and which caller's session it happened in.
func eventBy(caller *Caller) store.Event {
	return store.Event{
		UserID: caller.User.ID, Username: caller.User.Username, Actor: caller.id(), ClientID: caller.ClientID, SessionID: caller.SessionID,
	}
}
