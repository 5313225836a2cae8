package auth

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"sesame/server/internal/mail"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// MaxNamed is how many accounts with one address are named to the person who reads its mails.
const MaxNamed = 10

// RequestPasswordReset mails a code to an address, with which its reader may reset the password of each account that has
// it. For an address of nobody, or of disabled accounts alone, the work and the answer are the same, and no mail is sent.
//
// It locks no account: a request that had to wait for one would tell by its time that there is one. What changes
// meanwhile counts when the code is used.
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
	m := mail.Mail{Kind: mail.ToNobody, To: address}
	if len(users) > 0 {
		m = mail.Mail{Kind: mail.ResetPassword, To: users[0].Email}
		if users[0].EmailVerified { // or the names may be what a stranger wants to tell the reader
			m.Fields = mail.Fields{Username: users[0].Username, FullName: users[0].FullName}
		}
	}
	return s.db.Tx(ctx, func(q *store.Queries) error {
		may, err := s.mayMail(ctx, q, nil, s.resetLane(key, len(users) > 0))
		if err != nil || !may {
			return err
		}
		return s.mailCode(ctx, q, m, store.Code{Purpose: string(ToReset), Email: m.To, EmailKey: key})
	})
}

// CodeToReset finds the accounts whose password a code may reset, without using it: at most one more than may be named.
// Errors: InvalidCode.
func (s *Service) CodeToReset(ctx context.Context, code secret.Text) (users []store.User, err error) {
	_, users, err = s.codeToReset(ctx, code)
	return users, err
}

func (s *Service) codeToReset(ctx context.Context, code secret.Text) (c store.Code, users []store.User, err error) {
	if c, err = s.findCode(ctx, ToReset, code); err != nil {
		return c, nil, err
	}
	users, err = s.db.UsersToReset(ctx, c.EmailKey, c.ExpiresAt.Add(-resetTTL), "", MaxNamed+1)
	if err == nil && len(users) == 0 {
		err = errInvalidCode(store.ErrNotFound)
	}
	return c, users, err
}

// ResetPassword uses a code to replace the password of one of the accounts that have its address, and ends every session
// of it. username may be empty where there is one such account. Whoever has the code reads the mails of the address, so
// it becomes the account's confirmed one, unless it is another's; and who had to wait after too many wrong passwords can
// log in at once from where the reset was made. Errors: InvalidCode; AccountRequired, ValidationFailed and Unavailable,
// which leave the code as it was; EmailTaken.
func (s *Service) ResetPassword(ctx context.Context, code secret.Text, username string, next secret.Text) error {
	c, user, err := s.userToReset(ctx, code, username)
	if err != nil {
		return err
	}
	reason, err := s.hasher.Check(next.Reveal(), user.Username, c.Email)
	if err != nil {
		return err
	}
	if reason != "" { // the code is still valid
		return problem.New(problem.ValidationFailed, "The new password is not acceptable.").At("/new_password", reason)
	}
	hash, err := s.hasher.Hash(ctx, networkOf(ctx), next.Reveal())
	if err != nil {
		return err
	}
	return codeError(s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := s.useCode(ctx, q, c, user.ID)
		if err != nil {
			return err
		}
		still, err := q.UsersToReset(ctx, c.EmailKey, c.ExpiresAt.Add(-resetTTL), before.UsernameKey, 1)
		if err != nil {
			return err
		}
		if len(still) == 0 { // changed meanwhile
			return store.ErrNotFound
		}
		return s.reset(ctx, q, before, c, hash)
	}))
}

// userToReset finds which account a code is used for.
func (s *Service) userToReset(ctx context.Context, code secret.Text, username string) (c store.Code, user store.User, err error) {
	c, users, err := s.codeToReset(ctx, code)
	if err != nil {
		return c, user, err
	}
	if username == "" {
		if len(users) == 1 {
			return c, users[0], nil
		}
		return c, user, errAccountRequired(users)
	}
	if _, key, err := foldUsername(username); err == nil && utf8.ValidString(username) {
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

// Named chooses which accounts of a code are named to its reader, and reports whether those are all. Of too many it names
// those whose address somebody vouched for: a stranger's claims, however many, do not hide an account whose username its
// owner never chose, such as an imported one.
func Named(users []store.User) (named []store.User, all bool) {
	if len(users) <= MaxNamed {
		return users, true
	}
	vouched := slices.DeleteFunc(slices.Clone(users), func(u store.User) bool { return u.MerelyClaimed() })
	return vouched[:min(len(vouched), MaxNamed)], false
}

// errAccountRequired names the accounts: whoever has the code reads the mails of their address.
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
	return problem.New(problem.AccountRequired, "Say with username which account the new password is for.").At("/username", reason)
}

// reset does what follows from a code that was used for a user.
func (s *Service) reset(ctx context.Context, q *store.Queries, before store.User, c store.Code, hash string) error {
	owner, err := q.UserByEmail(ctx, c.EmailKey)
	if unlessNotFound(err) != nil {
		return err
	}
	if owner.ID == "" || owner.ID == before.ID {
		err = s.prove(ctx, q, before, c)
	} else if err = q.EndCodesTo(ctx, string(ToReset), c.EmailKey); err == nil {
		err = s.endCodes(ctx, q, before)
	}
	if err != nil {
		return err
	}
	if err = q.SetPasswordHash(ctx, before.ID, hash, s.now()); err != nil {
		return err
	}
	if err = q.EndSessionsOf(ctx, before.ID, ""); err != nil {
		return err
	}
	if !before.EmailVerified { // a stranger may have made the account, and logged in to it
		if err = q.ForgetKnownAddresses(ctx, before.ID); err != nil {
			return err
		}
	}
	if err = s.letIn(ctx, q, before, c); err != nil {
		return err
	}
	told := before // at the address that has just proven to be read, confirmed or not
	told.Email, told.EmailVerified = c.Email, true
	if err = s.notify(ctx, q, mail.PasswordResetDone, told, ""); err != nil {
		return err
	}
	return s.record(ctx, q, EventPasswordReset, before, nil)
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
