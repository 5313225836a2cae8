package auth

import (
	"context"
	"errors"

	"sesame/server/internal/mail"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// mailConfirmation asks whoever reads the mails of an address whether it is the user's, if a mail may be sent now.
// Where somebody else has confirmed the address, their account is told instead, and nobody can confirm it; the work is
// the same. The mail shows no name: the account may be a stranger's, who chose its names for the reader.
func (s *Service) mailConfirmation(ctx context.Context, q *store.Queries, by *Caller, user store.User, address string) error {
	key, err := emailKey(address)
	if err != nil {
		return err
	}
	may, err := s.mayMail(ctx, q, by, s.confirmLane(user.ID, key))
	if err != nil {
		return err
	}
	m, shared := mail.Mail{Kind: mail.ConfirmEmail, To: address}, s.claimsLane(key)
	c := store.Code{Purpose: string(ToConfirm), UserID: user.ID, Email: address, EmailKey: key}
	owner, err := q.UserByEmail(ctx, key)
	if unlessNotFound(err) != nil {
		return err
	}
	inUse := err == nil && owner.ID != user.ID
	if inUse {
		c.UserID, shared = "", s.inUseLane(key)
		m = mail.Mail{Kind: mail.EmailInUse, To: owner.Email, Fields: mail.Fields{Username: owner.Username, FullName: owner.FullName, When: s.now()}}
	}
	mayTell, err := q.CountMail(ctx, shared, s.Now())
	if err != nil {
		return err
	}
	if inUse && !mayTell {
		m = mail.Mail{Kind: mail.ToNobody, To: address}
	}
	// Of two changes of an address that are under way the later one counts, even if it is not mailed now.
	stays := ""
	if !may {
		stays = key
	}
	if err = q.EndOtherCodes(ctx, user.ID, string(ToConfirm), stays); err != nil || !may {
		return err
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
// WrongPassword, TooManyRequests after too many wrong ones, ValidationFailed, Unavailable.
func (s *Service) ChangeEmail(ctx context.Context, caller *Caller, address string, password secret.Text) error {
	user, lane, err := s.checkPassword(ctx, caller, password, "/password")
	if err != nil {
		return err
	}
	// Until somebody confirms the address nothing else tells the owner that the password was given.
	ctx, done := finishing(ctx)
	defer done()
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

// Confirmation is a use of a code that was mailed to an address. Whoever has the code reads the mails of the address;
// that the account is theirs as well, Caller or Password must prove.
type Confirmation struct {
	Code     secret.Text
	Caller   *Caller     // who makes the request, or nil
	Password secret.Text // of the account that the code is for; may be empty for its own Caller
}

// ConfirmEmail uses a code to make the address that it was mailed to its account's own. Without the proof of the
// account, a person who follows the link in a mail would confirm their address for a stranger, who has made an account
// with it. Errors: InvalidCode, PasswordRequired, WrongPassword, TooManyRequests after too many wrong ones, EmailTaken
// when somebody else was quicker, Unavailable. All but the first leave the code as it was.
func (s *Service) ConfirmEmail(ctx context.Context, given Confirmation) error {
	c, user, err := s.CodeToConfirm(ctx, given.Code)
	if err != nil {
		return err
	}
	if given.Caller != nil && given.Caller.User.ID == user.ID {
		return s.confirmEmail(ctx, c, nil)
	}
	if err = s.checkConfirmer(ctx, user, c, given.Password); err != nil {
		return err
	}
	// The password is correct: a client that hangs up now, or a code that fails, would hide the guess.
	ctx, done := finishing(ctx)
	defer done()
	if err = s.lookAt(ctx, s.confirmerLane(c)); err == nil { // others may have failed meanwhile
		err = s.confirmEmail(ctx, c, &user)
	}
	if err != nil {
		s.accepted(ctx, store.Event{UserID: user.ID, Username: user.Username})
	}
	return err
}

// confirmEmail uses a code that was found. verified is the account with the hash that a password was compared with; nil
// where none was needed.
func (s *Service) confirmEmail(ctx context.Context, c store.Code, verified *store.User) error {
	return codeError(s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := s.useCode(ctx, q, c, c.UserID)
		if err != nil {
			return err
		}
		if verified != nil {
			if before.PasswordHash.Reveal() != verified.PasswordHash.Reveal() { // changed meanwhile
				return errWrongConfirmer()
			}
			if err = q.ClearThrottle(ctx, s.confirmerLane(c), s.Now()); err != nil {
				return err
			}
		}
		return s.prove(ctx, q, before, c)
	}))
}

// CodeToConfirm finds a code that confirms an address, and the account that it is for, without using it. Errors:
// InvalidCode.
func (s *Service) CodeToConfirm(ctx context.Context, code secret.Text) (c store.Code, user store.User, err error) {
	if c, err = s.findCode(ctx, ToConfirm, code); err != nil {
		return c, user, err
	}
	user, err = s.db.UserByID(ctx, c.UserID)
	if err == nil && user.Disabled {
		err = store.ErrNotFound
	}
	if errors.Is(err, store.ErrNotFound) {
		err = errInvalidCode(err)
	}
	return c, user, err
}

// checkConfirmer makes whoever has a code prove by the password that the account is theirs. Wrong passwords are counted
// apart from those of a person who is logged in: a code that went to a mistyped address holds up nobody but its reader.
func (s *Service) checkConfirmer(ctx context.Context, user store.User, c store.Code, password secret.Text) error {
	if password.Empty() {
		return problem.New(problem.PasswordRequired, "Send the password of the account, or an access token of it.").
			At("/password", "is needed without an access token of the account")
	}
	lane := s.confirmerLane(c)
	if err := s.lookAt(ctx, lane); err != nil {
		return err
	}
	// For an account without a password the hash is empty: none is right, after the same work.
	ok, _, err := s.hasher.Verify(ctx, networkOf(ctx), user.PasswordHash.Reveal(), password.Reveal())
	if err != nil {
		return err
	}
	if !ok {
		// Whose password it was is not known, so the event has no actor.
		return s.failLane(ctx, store.Event{UserID: user.ID, Username: user.Username}, lane, errWrongConfirmer())
	}
	return nil
}

func (s *Service) confirmerLane(c store.Code) string {
	return s.Blind.Key("confirm", c.UserID, c.EmailKey)
}

// errWrongConfirmer is one answer for a wrong password and an account without one.
func errWrongConfirmer() error {
	return problem.New(problem.WrongPassword,
		"This is not the password of the account. If the account has none, or you have forgotten it, ask for a password reset: that confirms the address too.").
		At("/password", "is not the account's password")
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
