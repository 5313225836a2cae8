package auth

import (
	"context"

	"sesame/server/mail"
	"sesame/server/problem"
	"sesame/server/secret"
	"sesame/server/store"
)

// RequestPasswordReset mails a code to who has confirmed an address, or else was the first to claim it. For an
// address of nobody, or of a disabled account, the work and the answer are the same, and no mail is sent.
func (s *Service) RequestPasswordReset(ctx context.Context, address string) error {
	key := emailKey(address)
	may := false
	// By itself: who holds a user may be waiting for a count, and what is refused must touch no user, or the time
	// that it takes would tell that there is one.
	err := s.db.Tx(ctx, func(q *store.Queries) (err error) {
		may, err = s.mayMail(ctx, q, nil, ToReset, key)
		return err
	})
	if err != nil || !may {
		return err
	}
	ctx = context.WithoutCancel(ctx) // who hangs up now would have used a mail up that nobody gets
	return s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := s.lockToReset(ctx, q, key)
		if err != nil {
			return err
		}
		m := mail.Mail{Kind: mail.ResetPassword, To: user.Email, Fields: mail.Fields{Username: user.Username, FullName: user.FullName}}
		if user.ID == "" {
			m = mail.Mail{Kind: mail.ToNobody, To: address}
		}
		return s.mailCode(ctx, q, m, store.Code{Purpose: string(ToReset), UserID: user.ID, Email: m.To, EmailKey: key})
	})
}

// lockToReset finds whose password an address may reset, and holds the row: the zero User is nobody.
func (s *Service) lockToReset(ctx context.Context, q *store.Queries, key string) (store.User, error) {
	user, err := q.UserToReset(ctx, key)
	if unlessNotFound(err) != nil {
		return user, err
	}
	if user, err = q.LockUser(ctx, user.ID); user.Disabled || user.EmailKey != key { // deleted or changed meanwhile
		user = store.User{}
	}
	return user, unlessNotFound(err)
}

// ResetPassword uses a code to replace its user's password and ends every session. Who has the code reads the
// mails of the address, so it is confirmed too; and who had to wait after too many wrong passwords can log in
// at once from where the reset was made. Errors: InvalidCode, ValidationFailed, Unavailable.
func (s *Service) ResetPassword(ctx context.Context, code, next secret.Text) error {
	c, user, err := s.findCode(ctx, ToReset, code)
	if err != nil {
		return err
	}
	reason, err := s.hasher.Check(next.Reveal(), user.Username, c.Email)
	if err != nil {
		return err
	}
	if reason != "" { // the code is still good
		return problem.New(problem.ValidationFailed, "The new password is not acceptable.").At("/new_password", reason)
	}
	hash, err := s.hasher.Hash(ctx, networkOf(ctx), next.Reveal())
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := s.useCode(ctx, q, c)
		if err != nil {
			return err
		}
		after, err := s.prove(ctx, q, before, c)
		if err != nil {
			return err
		}
		if err = q.SetPasswordHash(ctx, after.ID, hash, s.now()); err != nil {
			return err
		}
		if err = q.EndSessionsOf(ctx, after.ID, ""); err != nil {
			return err
		}
		if err = s.letIn(ctx, q, before, c); err != nil {
			return err
		}
		if err = s.notify(ctx, q, mail.PasswordResetDone, after, ""); err != nil {
			return err
		}
		return s.record(ctx, q, EventPasswordReset, after, nil)
	})
	return codeError(err)
}

// letIn forgets the failures that would keep a user waiting, and takes the address of the network that the request comes
// from for one that they have logged in from: there no stranger's guesses can hold them up again.
func (s *Service) letIn(ctx context.Context, q *store.Queries, user store.User, c store.Code) error {
	from := networkOf(ctx)
	lanes := s.lanesOf(user.UsernameKey, from)
	for _, lane := range []string{lanes.Account, lanes.Known, s.emailLane(c.EmailKey), s.changeLane(user.ID)} {
		if err := q.DropThrottle(ctx, lane); err != nil {
			return err
		}
	}
	return q.RememberAddress(ctx, user.ID, s.knownAddress(from), s.Now(), maxKnownAddresses)
}
