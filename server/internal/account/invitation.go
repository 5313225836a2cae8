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

// An invited account has no password. Its owner gets a link at which they choose one, on the page that resets passwords. The code in the
// link is of that account alone, so it ends with the codes of the account: when the address changes, when the account is disabled, and when
// a password is set in another way.

// Invite creates an account without a password, and mails its owner an invitation. Errors: UsernameTaken, EmailTaken, ValidationFailed.
func (s *Service) Invite(ctx context.Context, by *identity.Caller, r Registration) (store.User, error) {
	key, err := emailKey(r.Email)
	if err != nil {
		return store.User{}, err
	}
	if key == "" {
		return store.User{}, problem.Invalid().At("/email", "is where the invitation is mailed")
	}
	switch _, err = s.db.UserByEmail(ctx, key); {
	case err == nil:
		return store.User{}, codeError(store.ErrConflict)
	case !errors.Is(err, store.ErrNotFound):
		return store.User{}, err
	}
	r.By, r.invited = by, true
	if r.Username == "" {
		return s.createUnnamed(ctx, r)
	}
	return s.CreateUser(ctx, r)
}

// ResendInvitation mails the owner of an account without a password a new invitation, which replaces the earlier ones. Errors: NotFound,
// HasPassword, NoAddress, ValidationFailed for a disabled account, TooManyRequests; InsufficientScope for an account that has a scope which
// the caller's token lacks.
func (s *Service) ResendInvitation(ctx context.Context, by *identity.Caller, id string) error {
	return s.mailOwner(ctx, by, id, func(q *store.Queries, user store.User) error {
		if !user.PasswordHash.Empty() {
			return problem.New(problem.HasPassword, "The account has a password, so it needs no invitation. Start a password reset instead.")
		}
		return s.mailInvitation(ctx, q, user, by)
	})
}

// StartPasswordReset mails the owner of an account a code with which they choose a new password. Nobody else sees the code. Errors:
// those of ResendInvitation, but for HasPassword.
func (s *Service) StartPasswordReset(ctx context.Context, by *identity.Caller, id string) error {
	return s.mailOwner(ctx, by, id, func(q *store.Queries, user store.User) error {
		if err := s.countOwnerMail(ctx, q, s.keyed.Key("mails to", "reset by another", user.ID)); err != nil {
			return err
		}
		m := mailer.Mail{Kind: mailer.ResetPassword, To: user.Email}
		if user.EmailVerified {
			m.Fields = mailer.Fields{Username: user.Username, FullName: user.FullName}
		}
		if err := s.mailCode(ctx, q, m, store.Code{Purpose: string(ToReset), Email: user.Email, EmailKey: user.EmailKey}); err != nil {
			return err
		}
		return s.record(ctx, q, audit.ResetStarted, user, by)
	})
}

// mailOwner mails the owner of an account a code with which they set its password, in a transaction that has locked the account, if the
// address of the account leads to it.
func (s *Service) mailOwner(ctx context.Context, by *identity.Caller, id string, mail func(*store.Queries, store.User) error) error {
	return noSuchUser(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, id)
		if err != nil {
			return err
		}
		if err = s.identity.MayAdminister(by, user); err != nil {
			return err
		}
		if user.Disabled {
			return problem.New(problem.ValidationFailed, "The account is disabled. Enable it first.")
		}
		_, foreign, err := q.Resettable(ctx, user.ID, user.EmailKey, s.now())
		if err != nil {
			return err
		}
		if user.Email == "" || foreign {
			return problem.New(problem.NoAddress, "The account has no e-mail address, or another account has confirmed it.")
		}
		return mail(q, user)
	}))
}

// mailInvitation mails the owner of an account an invitation in place of the earlier ones. Errors: TooManyRequests.
func (s *Service) mailInvitation(ctx context.Context, q *store.Queries, user store.User, by *identity.Caller) error {
	if err := s.countOwnerMail(ctx, q, s.keyed.Key("mails to", string(ToInvite), user.ID)); err != nil {
		return err
	}
	if err := q.EndOtherCodes(ctx, user.ID, string(ToInvite), ""); err != nil {
		return err
	}
	m := mailer.Mail{Kind: mailer.Invitation, To: user.Email}
	if !user.OnlyClaimed() { // or else a stranger may have chosen the names as a message to the reader
		m.Fields = mailer.Fields{Username: user.Username, FullName: user.FullName}
	}
	if err := s.mailCode(ctx, q, m, store.Code{Purpose: string(ToInvite), UserID: user.ID, Email: user.Email, EmailKey: user.EmailKey}); err != nil {
		return err
	}
	return s.record(ctx, q, audit.Invited, user, by)
}

// countOwnerMail counts a mail that an administrator has mailed to the owner of an account. The counter is that of the account and of this
// kind of mail, so a stranger who asks for mails does not use it up. Errors: TooManyRequests.
func (s *Service) countOwnerMail(ctx context.Context, q *store.Queries, counter string) error {
	counted, err := q.CountMail(ctx, counter, s.now())
	if err != nil || counted {
		return err
	}
	until, err := q.MailsRefusedUntil(ctx, counter)
	if err != nil {
		return err
	}
	refused := problem.New(problem.TooManyRequests, "The account has just had such a mail. Wait before the next one.")
	refused.RetryAfter = max(until.Sub(s.now()), time.Second)
	return refused
}

// isInvitation reports whether a code is that of an invitation.
func isInvitation(c store.Code) bool { return Purpose(c.Purpose) == ToInvite }

// canAccept reports whether the code of an invitation is still for an account.
func canAccept(user store.User, c store.Code) bool {
	return !user.Disabled && user.PasswordHash.Empty() && user.EmailKey == c.EmailKey
}

// codeToAccept finds the code of an invitation and its account. Errors: InvalidCode.
func (s *Service) codeToAccept(ctx context.Context, code secret.Text) (c store.Code, users []store.User, err error) {
	if c, err = s.findCode(ctx, ToInvite, code); err != nil {
		return c, nil, err
	}
	user, err := s.db.UserByID(ctx, c.UserID)
	if err == nil && !canAccept(user, c) {
		err = store.ErrNotFound
	}
	return c, []store.User{user}, codeError(err)
}
