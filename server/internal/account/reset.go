package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"sesame/server/internal/audit"
	"sesame/server/internal/mailer"
	"sesame/server/internal/names"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// MaxNamed limits how many accounts with one address are listed to the reader of its mails.
const MaxNamed = 10

// RequestPasswordReset mails a code to an address, with which its reader can reset the password of each account that has
// it. For an unknown address, or one of disabled accounts only, the work and the response are the same, and no mail is
// sent.
//
// It locks no account: the time of a request that had to wait for the lock would reveal that there is an account. What
// changes meanwhile counts when the code is used.
func (s *Service) RequestPasswordReset(ctx context.Context, address string) error {
	key, err := emailKey(address)
	if err != nil {
		return err
	}
	now := s.now()
	users, err := s.db.UsersToReset(ctx, key, now, "", 1)
	if err != nil {
		return err
	}
	m := mailer.Mail{Kind: mailer.Decoy, To: address}
	if len(users) > 0 {
		m = mailer.Mail{Kind: mailer.ResetPassword, To: users[0].Email}
		if users[0].EmailVerified { // a stranger may have chosen the names as a message to the reader
			m.Fields = mailer.Fields{Username: users[0].Username, FullName: users[0].FullName}
		}
	}
	return s.db.Tx(ctx, func(q *store.Queries) error {
		allowed, err := s.countMailRequest(ctx, q, nil, s.resetCounter(key, len(users) > 0))
		if err != nil || !allowed {
			return err
		}
		return s.mailCode(ctx, q, m, store.Code{Purpose: string(ToReset), Email: m.To, EmailKey: key})
	})
}

// CodeToReset finds the accounts whose password a code can reset, without using it: at most MaxNamed and one more. invited says that
// it is the code of an invitation. Errors: InvalidCode.
func (s *Service) CodeToReset(ctx context.Context, code secret.Text) (users []store.User, invited bool, err error) {
	c, users, err := s.codeToReset(ctx, code)
	return users, isInvitation(c), err
}

func (s *Service) codeToReset(ctx context.Context, code secret.Text) (c store.Code, users []store.User, err error) {
	if c, err = s.findCode(ctx, ToReset, code); err != nil {
		if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.InvalidCode {
			return s.codeToAccept(ctx, code)
		}
		return c, nil, err
	}
	users, err = s.db.UsersToReset(ctx, c.EmailKey, c.ExpiresAt.Add(-resetTTL), "", MaxNamed+1)
	if err == nil && len(users) == 0 {
		err = errInvalidCode(store.ErrNotFound)
	}
	return c, users, err
}

// ResetPassword uses a code to replace the password of one of the accounts that have its address, and ends every session
// of that account. username may be empty where there is one such account. The holder of the code reads the mails of the
// address, so it becomes the confirmed address of the account, unless another account has confirmed it; and the waits
// after wrong passwords end. If the address was only claimed, the account loses its second factors and its identities. Errors: InvalidCode, EmailTaken; AccountRequired, ValidationFailed and Unavailable, after
// which the code is still valid.
func (s *Service) ResetPassword(ctx context.Context, code secret.Text, username string, next secret.Text) error {
	c, user, err := s.userToReset(ctx, code, username)
	if err != nil {
		return err
	}
	if err = s.checkNewPassword(next, "/new_password", user.Username, c.Email); err != nil {
		return err
	}
	hash, err := s.hasher.Hash(ctx, network.FromContext(ctx), next.Reveal())
	if err != nil {
		return err
	}
	return codeError(s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := s.useCode(ctx, q, c, &user)
		if err != nil {
			return err
		}
		still, foreign, err := q.Resettable(ctx, user.ID, c.EmailKey, c.ExpiresAt.Add(-resetTTL))
		if err != nil {
			return err
		}
		if isInvitation(c) {
			still = canAccept(before, c)
		}
		if !still { // the account has changed meanwhile
			return store.ErrNotFound
		}
		return s.reset(ctx, q, before, c, hash, foreign)
	}))
}

// userToReset finds the account that a code is used for.
func (s *Service) userToReset(ctx context.Context, code secret.Text, username string) (c store.Code, user store.User, err error) {
	c, users, err := s.codeToReset(ctx, code)
	if err != nil {
		return c, user, err
	}
	if username = strings.TrimSpace(username); username == "" { // keyboards of phones add spaces, which no name has
		if len(users) == 1 {
			return c, users[0], nil
		}
		return c, user, errAccountRequired(users)
	}
	if _, key, err := names.FoldUsername(username); err == nil && utf8.ValidString(username) {
		if isInvitation(c) {
			if key == users[0].UsernameKey {
				return c, users[0], nil
			}
			return c, user, errAccountRequired(users)
		}
		named, err := s.db.UsersToReset(ctx, c.EmailKey, c.ExpiresAt.Add(-resetTTL), key, 1)
		if err != nil {
			return c, user, err
		}
		if len(named) == 1 {
			return c, named[0], nil
		}
	}
	return c, user, errAccountRequired(users)
}

// Named returns the accounts of a code that are listed to its holder, and whether those are all. Of too many it lists
// those whose address somebody vouched for: the claims of a stranger, however many, do not hide an account whose owner
// does not know its username, such as an imported one.
func Named(users []store.User) (named []store.User, all bool) {
	if len(users) <= MaxNamed {
		return users, true
	}
	vouched := slices.DeleteFunc(slices.Clone(users), func(u store.User) bool { return u.OnlyClaimed() })
	return vouched[:min(len(vouched), MaxNamed)], false
}

// errAccountRequired lists the accounts, since the holder of the code reads the mails of their address.
func errAccountRequired(users []store.User) error {
	named, all := Named(users)
	usernames := make([]string, len(named))
	for i, user := range named {
		usernames[i] = user.Username
	}
	reason := "must be one of: " + strings.Join(usernames, ", ")
	switch {
	case len(named) == 0:
		reason = "must be the username of an account that has this address"
	case !all:
		reason += "; or the username of another account that has this address"
	}
	return problem.New(problem.AccountRequired, "Send the username of the account that the new password is for.").At("/username", reason)
}

// reset does what a used code requires for a user: it confirms the address, unless it is foreign, that is, confirmed by
// another account; it stores the password, ends codes, sessions and waits, and notifies the owner.
func (s *Service) reset(ctx context.Context, q *store.Queries, before store.User, c store.Code, hash string, foreign bool) (err error) {
	if !foreign {
		err = s.confirmAddress(ctx, q, before, c, nil)
	} else if err = q.EndCodesTo(ctx, string(ToReset), c.EmailKey); err == nil {
		err = s.endCodes(ctx, q, before)
	}
	if err != nil {
		return err
	}
	if err = q.SetPasswordHash(ctx, before.ID, hash, s.now()); err != nil {
		return err
	}
	if err = q.EndAccessOf(ctx, before.ID, ""); err != nil {
		return err
	}
	if !before.EmailVerified { // a stranger may have registered the account and logged in to it
		if err = q.DeleteKnownAddresses(ctx, before.ID); err != nil {
			return err
		}
	}
	if before.OnlyClaimed() {
		if err = s.removeWaysIn(ctx, q, before); err != nil {
			return err
		}
	}
	if err = s.identity.ClearThrottles(ctx, q, before, c.EmailKey); err != nil {
		return err
	}
	if isInvitation(c) {
		return s.record(ctx, q, audit.Accepted, before, nil)
	}
	recipient := before // at the address of the code, whether or not it is confirmed
	recipient.Email, recipient.EmailVerified = c.Email, true
	if err = s.outbox.Notify(ctx, q, mailer.PasswordResetDone, recipient, ""); err != nil {
		return err
	}
	return s.record(ctx, q, audit.PasswordReset, before, nil)
}

// removeWaysIn removes the second factors and the identities of an account whose address somebody has only claimed. That may have been a
// stranger, who would sign in with a passkey or at a provider after the reset, too, while the owner of the address could not.
func (s *Service) removeWaysIn(ctx context.Context, q *store.Queries, user store.User) error {
	if user.Factors != "" {
		if err := s.removeFactors(ctx, q, user.ID); err != nil {
			return err
		}
		if err := s.record(ctx, q, audit.FactorsReset, user, nil); err != nil {
			return err
		}
	}
	unlinked, err := q.DeleteIdentitiesOf(ctx, user.ID)
	if err != nil || unlinked == 0 {
		return err
	}
	return s.record(ctx, q, audit.IdentityUnlinked, user, nil)
}
