package auth

import (
	"context"
	"errors"

	"sesame/server/mail"
	"sesame/server/problem"
	"sesame/server/secret"
	"sesame/server/store"
)

// mailConfirmation asks whoever reads the mails of an address whether it is the user's, if the address may be
// written to now. Where somebody else has confirmed it, they are told, and nobody can confirm it; the work is the same.
func (s *Service) mailConfirmation(ctx context.Context, q *store.Queries, by *Caller, user store.User, address string) error {
	key := emailKey(address)
	may, err := s.mayMail(ctx, q, by, ToConfirm, key)
	if err != nil {
		return err
	}
	// Of two changes of an address that are under way the later one counts, even if it is not mailed now.
	stays := ""
	if !may {
		stays = key
	}
	if err = q.DropCodesFor(ctx, user.ID, string(ToConfirm), stays); err != nil || !may {
		return err
	}
	m := mail.Mail{Kind: mail.ConfirmEmail, To: address, Fields: mail.Fields{Username: user.Username, FullName: user.FullName}}
	c := store.Code{Purpose: string(ToConfirm), UserID: user.ID, Email: address, EmailKey: key}
	owner, err := q.UserByEmail(ctx, key)
	if unlessNotFound(err) != nil {
		return err
	}
	if err == nil && owner.ID != user.ID {
		c.UserID = ""
		m = mail.Mail{Kind: mail.EmailInUse, To: owner.Email, Fields: mail.Fields{Username: owner.Username, FullName: owner.FullName, When: s.now()}}
	}
	return s.mailCode(ctx, q, m, c)
}

// RequestEmailVerification mails a code to the caller's address. Errors: NothingToConfirm.
func (s *Service) RequestEmailVerification(ctx context.Context, caller *Caller) error {
	return gone(s.db.Tx(ctx, func(q *store.Queries) error {
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

// ChangeEmail mails a code to another address, which becomes the caller's when the code is used. Errors:
// WrongPassword, TooManyRequests after too many wrong ones, Unavailable.
func (s *Service) ChangeEmail(ctx context.Context, caller *Caller, address string, password secret.Text) error {
	user, lane, err := s.checkPassword(ctx, caller, password, "/password")
	if err != nil {
		return err
	}
	// Until somebody confirms the address nothing else tells the owner that the password was given.
	ctx = context.WithoutCancel(ctx)
	defer s.accepted(ctx, eventBy(caller))
	return gone(s.db.Tx(ctx, func(q *store.Queries) error {
		now, err := q.LockUser(ctx, user.ID)
		if err != nil {
			return err
		}
		if now.PasswordHash.Reveal() != user.PasswordHash.Reveal() { // changed meanwhile
			return errWrongPassword("/password")
		}
		if err = q.ClearThrottle(ctx, lane, s.Now()); err != nil {
			return err
		}
		return s.mailConfirmation(ctx, q, caller, now, address)
	}))
}

// ConfirmEmail uses a code to make the address that it was mailed to its user's own. Errors: InvalidCode,
// EmailTaken when somebody else was quicker.
func (s *Service) ConfirmEmail(ctx context.Context, code secret.Text) error {
	c, _, err := s.findCode(ctx, ToConfirm, code)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := s.useCode(ctx, q, c)
		if err != nil {
			return err
		}
		_, err = s.prove(ctx, q, user, c)
		return err
	})
	return codeError(err)
}

// codeError is for what keeps a code that was found from being used after all.
func codeError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errInvalidCode(err)
	case errors.Is(err, store.ErrConflict):
		return problem.Wrap(problem.EmailTaken, "Another account has confirmed this address.", err)
	}
	return err
}
