package account

import (
	"context"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// usernameReservation is how long nobody can register the username of a deleted account. Links and lists elsewhere still
// refer to the person who had it.
const usernameReservation = 30 * 24 * time.Hour

// DeleteAccount deletes the caller's account and ends its sessions. Errors: StaleLogin when the login is older than ten
// minutes, LastAdministrator.
func (s *Service) DeleteAccount(ctx context.Context, caller *identity.Caller) error {
	if err := s.identity.RequireFreshLogin(caller, caller.User); err != nil {
		return err
	}
	return identity.Deleted(s.deleteUser(ctx, caller, caller.User.ID, allowed))
}

// DeleteAccountWithPassword deletes the caller's account, if they give their password now. Errors: WrongPassword,
// StaleLogin for a session without the account's second factor, TooManyRequests after too many wrong passwords, LastAdministrator,
// Unavailable.
func (s *Service) DeleteAccountWithPassword(ctx context.Context, caller *identity.Caller, password secret.Text) error {
	verified, counter, err := s.identity.ConfirmPassword(ctx, caller, password, "/password")
	if err != nil {
		return err
	}
	// The password is correct: a disconnect must not stop the rest, or it would hide the guess.
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	if err = s.db.ClearThrottle(ctx, counter, s.now()); err == nil {
		err = identity.Deleted(s.deleteUser(ctx, caller, caller.User.ID, func(now store.User) error {
			if now.PasswordHash.Reveal() != verified.PasswordHash.Reveal() { // the password has changed meanwhile
				return identity.ErrWrongPassword("/password")
			}
			return nil
		}))
	}
	if err != nil {
		s.identity.RecordCorrectPassword(ctx, audit.Event(ctx, caller.User, caller.Actor()))
	}
	return err
}

// DeleteUser deletes an account, ends its sessions, and mails its owner. caller is nil at the command line. Errors:
// NotFound, LastAdministrator; InsufficientScope for an account that has a scope which the caller's token lacks; for the caller's
// own account those of DeleteAccount.
func (s *Service) DeleteUser(ctx context.Context, caller *identity.Caller, id string) error {
	if caller != nil && caller.User.ID == id {
		if err := s.identity.RequireFreshLogin(caller, caller.User); err != nil {
			return err
		}
	}
	return noSuchUser(s.deleteUser(ctx, caller, id, func(user store.User) error { return s.identity.MayAdminister(caller, user) }))
}

// allowed is a check of deleteUser that refuses nothing.
func allowed(store.User) error { return nil }

// deleteUser deletes an account, if a check of the locked account allows it.
func (s *Service) deleteUser(ctx context.Context, by *identity.Caller, id string, check func(store.User) error) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if err = check(user); err != nil {
			return err
		}
		if err = s.checkLastAdministrator(ctx, q, user, store.User{}); err != nil {
			return err
		}
		if err = q.DeleteUser(ctx, id); err != nil {
			return err
		}
		if err = q.ReserveUsername(ctx, user.UsernameKey, s.now().Add(usernameReservation)); err != nil {
			return err
		}
		if err = s.outbox.Notify(ctx, q, mailer.AccountDeleted, user, ""); err != nil {
			return err
		}
		return s.record(ctx, q, audit.AccountDeleted, user, by)
	})
}
