package identity

import (
	"context"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Check is a password that a request must prove beside its token or its code. It is throttled by a counter of its own, so
// that a stolen access token, or a code that went to a mistyped address, does not lock the owner out.
type Check struct {
	User     store.User // with the password hash
	Password secret.Text
	Counter  string
	Event    store.Event // recorded as WrongPassword, or as PasswordAccepted
	Wrong    error       // the error for a wrong password
}

// VerifyPassword verifies a password outside a login. An account without a password fails after the same work. The caller
// clears the counter in its transaction, and calls RecordCorrectPassword if the request fails for another reason. Errors:
// Check.Wrong, TooManyRequests after too many wrong passwords, Unavailable.
func (s *Service) VerifyPassword(ctx context.Context, c Check) error {
	if err := s.checkThrottle(ctx, c.Counter); err != nil {
		return err
	}
	return s.verifyPassword(ctx, c)
}

// verifyPassword is VerifyPassword after the counter was read.
func (s *Service) verifyPassword(ctx context.Context, c Check) error {
	ok, _, err := s.hasher.Verify(ctx, network.FromContext(ctx), c.User.PasswordHash.Reveal(), c.Password.Reveal())
	if err != nil {
		return err
	}
	ctx, done := IgnoreDisconnect(ctx)
	defer done()
	if !ok {
		return s.countWrongPassword(ctx, c)
	}
	// Other attempts may have failed while this one was waiting for its hash.
	if err = s.checkThrottle(ctx, c.Counter); err != nil {
		s.RecordCorrectPassword(ctx, c.Event)
	}
	return err
}

// ConfirmPassword makes the caller prove again who they are. It returns the account with the hash that was verified, and
// the counter that the caller's transaction clears. pointer is the field of the request that holds the password. Where the account
// has a second factor, the session must have begun with it: with the password alone nobody deletes the account, or takes its address
// or its password, from a session that is older than the factor. A personal access token confirms nothing. Errors: those of VerifyPassword; StaleLogin; InvalidToken if the
// account was deleted.
func (s *Service) ConfirmPassword(ctx context.Context, caller *Caller, given secret.Text, pointer string) (user store.User, counter string, err error) {
	if err = RequireSignIn(caller); err != nil {
		return user, "", err
	}
	counter = s.sessionCounter(caller.User.ID)
	user, until, err := s.db.UserWithWait(ctx, caller.User.ID, counter, s.Now())
	if err != nil {
		return user, "", Deleted(err)
	}
	if err = s.RequireFactor(caller, user); err != nil {
		return user, "", err
	}
	if wait := until.Sub(s.Now()); wait > 0 {
		return user, "", s.throttledCheck(wait)
	}
	return user, counter, s.verifyPassword(ctx, Check{
		User: user, Password: given, Counter: counter, Event: audit.Event(ctx, caller.User, caller.Actor()), Wrong: ErrWrongPassword(pointer),
	})
}

// ErrWrongPassword is the error for a wrong current password in a field of the request.
func ErrWrongPassword(pointer string) error {
	return problem.New(problem.WrongPassword, "The current password is wrong.").At(pointer, "is not the current password")
}

func (s *Service) countWrongPassword(ctx context.Context, c Check) error {
	counted, err := s.countFailure(ctx, c.Counter, freeFailures, s.Now().Add(failureMemory))
	if err == nil && !counted {
		return s.throttledCheck(justBlocked)
	}
	if err == nil {
		err = audit.Record(ctx, &s.db.Queries, audit.WrongPassword, c.Event, s.Now())
	}
	if err != nil {
		return err
	}
	return c.Wrong
}

func (s *Service) checkThrottle(ctx context.Context, counter string) error {
	state, err := s.db.ReadThrottles(ctx, store.Counters{Account: counter}, "", store.KnownAddress{}, s.Now())
	if err != nil {
		return err
	}
	if wait := state.Account.Sub(s.Now()); wait > 0 {
		return s.throttledCheck(wait)
	}
	return nil
}

func (s *Service) throttledCheck(wait time.Duration) error {
	s.Count.Throttled(throttledCheck)
	return errThrottled(wait)
}
