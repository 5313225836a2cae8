package account

import (
	"context"
	"errors"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// mailConfirmation mails an address to ask whether it is the user's, if the limits allow a mail now. Where somebody else
// has confirmed the address, their account gets the mail about that instead, with a code that nobody can use; the work is
// the same. The mail shows no name, since a stranger may have chosen it as a message to the reader.
func (s *Service) mailConfirmation(ctx context.Context, q *store.Queries, by *identity.Caller, user store.User, address string) error {
	key, err := emailKey(address)
	if err != nil {
		return err
	}
	allowed, err := s.countMailRequest(ctx, q, by, s.confirmCounter(user.ID, key))
	if err != nil {
		return err
	}
	m, shared := mailer.Mail{Kind: mailer.ConfirmEmail, To: address}, s.claimsCounter(key)
	c := store.Code{Purpose: string(ToConfirm), UserID: user.ID, Email: address, EmailKey: key}
	owner, err := q.UserByEmail(ctx, key)
	if store.IgnoreNotFound(err) != nil {
		return err
	}
	inUse := err == nil && owner.ID != user.ID
	if inUse {
		c.UserID, shared = "", s.inUseCounter(key)
		m = mailer.Mail{Kind: mailer.EmailInUse, To: owner.Email, Fields: mailer.Fields{Username: owner.Username, FullName: owner.FullName, When: s.now()}}
	}
	mayNotify, err := q.CountMail(ctx, shared, s.now())
	if err != nil {
		return err
	}
	if inUse && !mayNotify {
		m = mailer.Mail{Kind: mailer.Decoy, To: address}
	}
	// Of two changes of the address, the later one counts, even if it is not mailed now.
	keep := ""
	if !allowed {
		keep = key
	}
	if err = q.EndOtherCodes(ctx, user.ID, string(ToConfirm), keep); err != nil || !allowed {
		return err
	}
	return s.mailCode(ctx, q, m, c)
}

// RequestEmailVerification mails a code to the caller's address. Errors: NothingToConfirm.
func (s *Service) RequestEmailVerification(ctx context.Context, caller *identity.Caller) error {
	return identity.Deleted(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, caller.User.ID)
		if err != nil {
			return err
		}
		if user.Email == "" || user.EmailVerified {
			return problem.New(problem.NothingToConfirm, "The account has no e-mail address, or it is confirmed already.")
		}
		return s.mailConfirmation(ctx, q, caller, user, user.Email)
	}))
}

// askToConfirm mails a code to the address of an account, for the login that it was refused. The limits are those of
// RequestEmailVerification.
func (s *Service) askToConfirm(ctx context.Context, userID string) error {
	return store.IgnoreNotFound(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID)
		if err != nil || user.Email == "" || user.EmailVerified || user.Disabled {
			return err
		}
		return s.mailConfirmation(ctx, q, nil, user, user.Email)
	}))
}

// ChangeEmail mails a code to another address, which becomes the caller's when the code is used. Errors: WrongPassword,
// TooManyRequests after too many wrong passwords, ValidationFailed, Unavailable.
func (s *Service) ChangeEmail(ctx context.Context, caller *identity.Caller, address string, password secret.Text) error {
	user, counter, err := s.identity.ConfirmPassword(ctx, caller, password, "/password")
	if err != nil {
		return err
	}
	// Until the address is confirmed, nothing else tells the owner that the password was given.
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	defer s.identity.RecordCorrectPassword(ctx, audit.Event(ctx, caller.User, caller.Actor()))
	return identity.Deleted(s.db.Tx(ctx, func(q *store.Queries) error {
		now, err := q.LockUser(ctx, user.ID)
		if err != nil {
			return err
		}
		if now.PasswordHash.Reveal() != user.PasswordHash.Reveal() { // the password has changed meanwhile
			return identity.ErrWrongPassword("/password")
		}
		if err = q.ClearThrottle(ctx, counter, s.now()); err != nil {
			return err
		}
		return s.mailConfirmation(ctx, q, caller, now, address)
	}))
}

// Confirmation is the use of a code that was mailed to an address. The code proves that its holder reads the mails of the
// address. Caller or Password must prove that the account is theirs too.
type Confirmation struct {
	Code     secret.Text
	Caller   *identity.Caller // or nil
	Password secret.Text      // of the account of the code; may be empty if Caller is that account
}

// ConfirmEmail uses a code to confirm the address of its account. Without the proof of the account, a person who follows
// the link in a mail would confirm their address for a stranger who registered with it. Errors: InvalidCode,
// PasswordRequired, WrongPassword, TooManyRequests after too many wrong passwords, EmailTaken when another account has
// confirmed the address meanwhile, Unavailable. After every error but InvalidCode the code is still valid.
func (s *Service) ConfirmEmail(ctx context.Context, given Confirmation) error {
	c, user, err := s.CodeToConfirm(ctx, given.Code)
	if err != nil {
		return err
	}
	if given.Caller != nil && given.Caller.User.ID == user.ID && given.Caller.TokenID == "" { // a script confirms no address
		return s.confirmEmail(ctx, c, user, nil)
	}
	if given.Password.Empty() {
		return problem.New(problem.PasswordRequired, "Send the password of the account, or an access token of it.").
			At("/password", "is required without an access token of the account")
	}
	// No actor: nobody knows who gave the password.
	event := store.Event{UserID: user.ID, Username: user.Username}
	err = s.identity.VerifyPassword(ctx, identity.Check{
		User: user, Password: given.Password, Counter: s.confirmerCounter(c), Event: event, Wrong: errWrongConfirmer(),
	})
	if err != nil {
		return err
	}
	// The password is correct: a disconnect, or a code that fails, would hide the guess.
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	if err = s.confirmEmail(ctx, c, user, &user); err != nil {
		s.identity.RecordCorrectPassword(ctx, event)
	}
	return err
}

// confirmEmail uses a code that was found, for its account. verified is that account if its password was verified; nil where
// none was needed.
func (s *Service) confirmEmail(ctx context.Context, c store.Code, found store.User, verified *store.User) error {
	return codeError(s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := s.useCode(ctx, q, c, &found)
		if err != nil {
			return err
		}
		if verified != nil {
			if before.PasswordHash.Reveal() != verified.PasswordHash.Reveal() { // the password has changed meanwhile
				return errWrongConfirmer()
			}
			if err = q.ClearThrottle(ctx, s.confirmerCounter(c), s.now()); err != nil {
				return err
			}
		}
		return s.confirmAddress(ctx, q, before, c, nil)
	}))
}

// VerifyEmail confirms the address of an account without a code: the operator vouches for it. Errors: those of UpdateUser.
func (s *Service) VerifyEmail(ctx context.Context, id string) (store.User, error) {
	return s.UpdateUser(ctx, nil, id, UserChange{EmailVerified: true})
}

// vouch confirms the address of an account without a code, in a transaction that has locked the account and the ownership of the
// address. What follows is what follows the use of a code. An address that is confirmed already stays so. It returns the account after
// that. Errors: NothingToConfirm for an account without an address, store.ErrConflict when another account has confirmed it,
// ValidationFailed for a disabled account.
func (s *Service) vouch(ctx context.Context, q *store.Queries, user store.User, by *identity.Caller) (store.User, error) {
	switch {
	case user.EmailVerified:
		return user, nil
	case user.Email == "":
		return user, problem.New(problem.NothingToConfirm, "The account has no e-mail address.")
	case user.Disabled:
		return user, problem.New(problem.ValidationFailed, "The account is disabled. Enable it first.")
	}
	err := s.confirmAddress(ctx, q, user, store.Code{UserID: user.ID, Email: user.Email, EmailKey: user.EmailKey}, by)
	user.EmailVerified, user.EmailClaimedAt = true, time.Time{}
	return user, err
}

// CodeToConfirm finds a code that confirms an address, and its account, without using it. Errors: InvalidCode.
func (s *Service) CodeToConfirm(ctx context.Context, code secret.Text) (c store.Code, user store.User, err error) {
	if c, err = s.findCode(ctx, ToConfirm, code); err != nil {
		return c, user, err
	}
	user, err = s.db.UserByID(ctx, c.UserID)
	if err == nil && user.Disabled {
		err = store.ErrNotFound
	}
	return c, user, codeError(err)
}

// confirmerCounter counts the wrong passwords that are given with the codes for an account and an address.
func (s *Service) confirmerCounter(c store.Code) string {
	return s.keyed.Key("confirm", c.UserID, c.EmailKey)
}

// errWrongConfirmer is the one answer for a wrong password and an account without one.
func errWrongConfirmer() error {
	return problem.New(problem.WrongPassword,
		"This is not the password of the account. If the account has none, or you have forgotten it, request a password reset: that confirms the address too.").
		At("/password", "is not the account's password")
}

// codeError replaces the errors of the store, for a code that was found and cannot be used.
func codeError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errInvalidCode(err)
	case errors.Is(err, store.ErrConflict):
		return problem.Wrap(problem.EmailTaken, "Another account has confirmed this address.", err)
	}
	return err
}
