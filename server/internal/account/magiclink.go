package account

import (
	"context"
	"crypto/subtle"
	"errors"

	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// ErrOtherBrowser is the cause of the error for a link that is opened in another browser than the one that asked for it.
var ErrOtherBrowser = errors.New("the link belongs to another browser")

// HasMagicLinks reports whether people may sign in with a mailed link.
func (s *Service) HasMagicLinks() bool { return s.MagicLinkURL != "" }

// magicCounter counts the mails with a link that signs in, as resetCounter counts those that reset a password. A network that the
// account has signed in from has a counter of its own. Only the browser that has asked for a link can use it, so the mails that strangers
// ask for are of no use to the owner, and must not use up the owner's.
func (s *Service) magicCounter(ctx context.Context, emailKey string, user store.User) (string, error) {
	to := []string{"mails to", string(ToSignIn), emailKey}
	if user.ID == "" {
		to[0] = "mails to nobody"
	}
	from, err := s.identity.KnownNetwork(ctx, user)
	if err == nil && from != "" {
		to = append(to, "from", from)
	}
	return s.keyed.Key(to...), err
}

// RequestMagicLink mails a link to an address, with which its reader can sign in to the account that has confirmed it. browser is
// a text that only the browser of the request has, and that comes with the use. For every other address the work and the response
// are the same, and no mail is sent. Like RequestPasswordReset it locks no account. Errors: ValidationFailed for a text
// that is no address.
func (s *Service) RequestMagicLink(ctx context.Context, address string, browser secret.Text) error {
	key, err := emailKey(address)
	if err == nil && key == "" {
		err = problem.Invalid().At("/email", "is required")
	}
	if err != nil {
		return err
	}
	user, err := s.db.UserByEmail(ctx, key)
	if store.IgnoreNotFound(err) != nil {
		return err
	}
	known := err == nil && !user.Disabled
	m := mailer.Mail{Kind: mailer.Decoy, To: address}
	if known {
		m = mailer.Mail{Kind: mailer.MagicLink, To: user.Email, Fields: mailer.Fields{Username: user.Username, FullName: user.FullName}}
	} else {
		user = store.User{}
	}
	counter, err := s.magicCounter(ctx, key, user)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(q *store.Queries) error {
		allowed, err := s.countMailRequest(ctx, q, nil, counter)
		if err != nil || !allowed {
			return err
		}
		return s.mailCode(ctx, q, m, store.Code{
			Purpose: string(ToSignIn), UserID: user.ID, Email: m.To, EmailKey: key, Browser: token.HashSecret(browser),
		})
	})
}

// CodeToSignIn finds the code of a link that signs in, and its account, without using it. Errors: InvalidCode, with the cause
// ErrOtherBrowser where another browser has asked for the link.
func (s *Service) CodeToSignIn(ctx context.Context, code, browser secret.Text) (c store.Code, user store.User, err error) {
	if c, err = s.findCode(ctx, ToSignIn, code); err != nil {
		return c, user, err
	}
	if subtle.ConstantTimeCompare([]byte(c.Browser), []byte(token.HashSecret(browser))) != 1 {
		return c, user, errInvalidCode(ErrOtherBrowser)
	}
	user, err = s.db.UserByID(ctx, c.UserID)
	if err == nil && (user.Disabled || !user.EmailVerified || user.EmailKey != c.EmailKey) {
		err = store.ErrNotFound
	}
	return c, user, codeError(err)
}

// SignInByLink uses the code of a link to start the session of a browser. An account with a second factor gets an Incomplete in
// its place, and the code is used up, too: the sign-in that waits for the factor is sealed and belongs to this browser. Errors:
// those of CodeToSignIn and identity.StartBrowser.
func (s *Service) SignInByLink(ctx context.Context, code, browser secret.Text) (identity.Browser, secret.Text, error) {
	c, user, err := s.CodeToSignIn(ctx, code, browser)
	if err != nil {
		return identity.Browser{}, secret.Text{}, err
	}
	counter, err := s.magicCounter(ctx, c.EmailKey, user)
	if err != nil {
		return identity.Browser{}, secret.Text{}, err
	}
	use := func(ctx context.Context, q *store.Queries) error {
		if err := q.Flush(ctx); err != nil { // a change of the account begins the transaction again
			return err
		}
		err := q.UseSignInCode(ctx, c, c.ExpiresAt.Add(-magicTTL), s.now())
		if errors.Is(err, store.ErrNotFound) {
			err = errInvalidCode(errors.New("the link was used, or the account has changed"))
		}
		if err != nil {
			return err
		}
		return q.DropThrottle(ctx, counter) // the next mail may be sent at once
	}
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	who, err := s.identity.ByLink(ctx, user, use)
	if err != nil {
		return identity.Browser{}, secret.Text{}, err
	}
	started, cookie, err := s.identity.StartBrowser(ctx, who)
	if _, waits := errors.AsType[*identity.Incomplete](err); waits {
		if used := s.db.Tx(ctx, func(q *store.Queries) error { return use(ctx, q) }); used != nil {
			err = used
		}
	}
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.InvalidGrant && !errors.Is(err, identity.ErrUnconfirmed) {
		err = errInvalidCode(err) // the account has changed at this moment
	}
	return started, cookie, err
}
