package account

import (
	"context"
	"errors"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/network"
	"sesame/server/internal/password"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// UpdateProfile sets the caller's full name; "" clears it. Errors: ValidationFailed.
func (s *Service) UpdateProfile(ctx context.Context, caller *identity.Caller, fullName string) (store.User, error) {
	user, err := s.updateUser(ctx, caller, caller.User.ID, UserChange{FullName: &fullName, byOwner: true})
	return user, identity.Deleted(err)
}

// ChangePassword replaces the caller's password and ends every other session. Errors: WrongPassword, ValidationFailed,
// TooManyRequests after too many wrong passwords, Unavailable.
func (s *Service) ChangePassword(ctx context.Context, caller *identity.Caller, current, next secret.Text) error {
	if err := s.checkNewPassword(next, "/new_password", caller.User.Username, caller.User.Email); err != nil {
		return err
	}
	if password.Same(next.Reveal(), current.Reveal()) { // reveals nothing: the caller has sent both
		return problem.New(problem.ValidationFailed, "The new password is not acceptable.").At("/new_password", "is the current password")
	}
	user, counter, err := s.identity.ConfirmPassword(ctx, caller, current, "/current_password")
	if err != nil {
		return err
	}
	// The password is correct: a disconnect must not stop the rest, or it would hide the guess.
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	if err = s.changePassword(ctx, caller, user, next, counter); err != nil {
		s.identity.RecordCorrectPassword(ctx, audit.Event(ctx, caller.User, caller.Actor()))
	}
	return err
}

// changePassword replaces the password of an account whose current one was verified.
func (s *Service) changePassword(ctx context.Context, caller *identity.Caller, verified store.User, next secret.Text, counter string) error {
	hash, err := s.hasher.Hash(ctx, network.FromContext(ctx), next.Reveal())
	if err != nil {
		return err
	}
	err = s.db.TxUnchanged(ctx, verified, nil, func(q *store.Queries, user store.User) error {
		// Of two concurrent changes, one fails because its password is no longer the current one.
		if err := q.LockUnchanged(ctx, user, s.now()); err != nil {
			return err
		}
		if err := q.ClearThrottle(ctx, counter, s.now()); err != nil {
			return err
		}
		return s.storePassword(ctx, q, user, hash, caller)
	})
	if errors.Is(err, store.ErrNotFound) {
		return identity.ErrWrongPassword("/current_password")
	}
	return err
}

// SetPassword is for the command line: it replaces the password of an account and ends its sessions. Errors: NotFound,
// ValidationFailed, Unavailable.
func (s *Service) SetPassword(ctx context.Context, id string, next secret.Text) error {
	user, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	if err = s.checkNewPassword(next, "/password", user.Username, user.Email); err != nil {
		return err
	}
	hash, err := s.hasher.Hash(ctx, network.FromContext(ctx), next.Reveal())
	if err != nil {
		return err
	}
	return noSuchUser(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, id) // again, since the address may have changed while the password was hashed
		if err != nil {
			return err
		}
		return s.storePassword(ctx, q, user, hash, nil)
	}))
}

// storePassword stores the hash of a changed password in a transaction that has locked the user. It ends the other
// sessions, the personal access tokens and the codes, and notifies the owner. caller is nil at the command line, where every session ends.
func (s *Service) storePassword(ctx context.Context, q *store.Queries, user store.User, hash string, caller *identity.Caller) error {
	if err := q.SetPasswordHash(ctx, user.ID, hash, s.now()); err != nil {
		return err
	}
	keep := ""
	if caller != nil {
		keep = caller.SessionID
	}
	if err := q.EndAccessOf(ctx, user.ID, keep); err != nil {
		return err
	}
	if err := s.endCodes(ctx, q, user); err != nil {
		return err
	}
	if err := s.outbox.Notify(ctx, q, mailer.PasswordChanged, user, ""); err != nil {
		return err
	}
	return s.record(ctx, q, audit.PasswordChanged, user, caller)
}

// checkNewPassword applies the password policy. pointer is the field that holds the password. Errors: ValidationFailed.
func (s *Service) checkNewPassword(next secret.Text, pointer string, names ...string) error {
	reason, err := s.hasher.Check(next.Reveal(), names...)
	if err == nil && reason != "" {
		err = problem.New(problem.ValidationFailed, "The new password is not acceptable.").At(pointer, reason)
	}
	return err
}

// HasPassword finds an account by its username and reports whether that is its password, without counting a failure: it
// is for passwords that are public. The ID is "" if there is no such account.
func (s *Service) HasPassword(ctx context.Context, username string, plain secret.Text) (user store.User, ok bool, err error) {
	user, err = s.identity.UserByLogin(ctx, username)
	if err != nil || user.PasswordHash.Empty() {
		return user, false, store.IgnoreNotFound(err)
	}
	ok, _, err = s.hasher.Verify(ctx, network.FromContext(ctx), user.PasswordHash.Reveal(), plain.Reveal())
	return user, ok, err
}
