package account

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Purpose is what a mailed code is for.
type Purpose string

// The purposes.
const (
	ToConfirm Purpose = "confirm" // an address
	ToReset   Purpose = "reset"   // a password
	ToInvite  Purpose = "invite"  // to choose the first password
	ToSignIn  Purpose = "sign in" // in the browser that has asked for it
)

const (
	confirmTTL = 24 * time.Hour
	// resetTTL is the longest time for which CountMail refuses the next mail. So a person whose mail is refused has one
	// with a valid code.
	resetTTL = store.LongestReset
	// inviteTTL is how long an invitation is valid. It is long, since its recipient does not wait for it.
	inviteTTL = 7 * 24 * time.Hour
	// magicTTL is short, since a link that signs in is as good as a password while it is valid.
	magicTTL = 10 * time.Minute
	// maxMailsOfNetwork limits how many mails one IPv4 address or IPv6 /64 can request in a clock hour, to any addresses.
	maxMailsOfNetwork = 100
	// maxClaimants limits how many accounts lose their claim to an address when somebody confirms it. The claims of the
	// others expire.
	maxClaimants = 100
	// claimTTL is how long an account may claim an address without confirming it.
	claimTTL = 30 * 24 * time.Hour
)

// countMailRequest counts a mail that somebody requests, and reports whether it may be sent. It counts for the network of
// the request, unless an administrator makes it, and under a counter that depends on the mail. The response must be the
// same either way, or it would reveal what others request. by may be nil.
func (s *Service) countMailRequest(ctx context.Context, q *store.Queries, by *identity.Caller, counter string) (bool, error) {
	if !s.identity.IsAdministrator(by) {
		for _, n := range s.identity.NetworkCounters(identity.MailRequests, network.FromContext(ctx), maxMailsOfNetwork) {
			counted, err := q.CountFailure(ctx, store.Throttle{Key: n.Key, Free: n.Limit, ClearAt: s.now().Truncate(time.Hour).Add(time.Hour)}, s.now())
			if err != nil || !counted {
				return false, err
			}
		}
	}
	return q.CountMail(ctx, counter, s.now())
}

// confirmCounter counts the mails that ask for the confirmation of an address. Each account has its own: a stranger whose
// accounts claim an address does not use up the mails of its owner.
func (s *Service) confirmCounter(userID, emailKey string) string {
	return s.keyed.Key("mails to", string(ToConfirm), userID, emailKey)
}

// inUseCounter counts the mails that tell the owner of a confirmed address that somebody gave it for another account. All
// accounts share it, since their mails would be the same.
func (s *Service) inUseCounter(emailKey string) string {
	return s.keyed.Key("mails to", "in use", emailKey)
}

// claimsCounter takes the place of inUseCounter for an address that nobody else has confirmed. It limits nothing: without
// it, the work of the second claim of an address would reveal whether somebody has confirmed it.
func (s *Service) claimsCounter(emailKey string) string {
	return s.keyed.Key("mails to", "claims", emailKey)
}

// resetCounter counts the mails that reset a password. Requests while no account has the address are counted apart, since
// they send no mail: otherwise a stranger could use up the mails of a person who is about to get an account.
func (s *Service) resetCounter(emailKey string, hasAccount bool) string {
	if !hasAccount {
		return s.keyed.Key("mails to", "nobody", emailKey)
	}
	return s.keyed.Key("mails to", string(ToReset), emailKey)
}

// endCodes ends every code of a user. Unless the user only claims the address, the next reset may be mailed at once, so
// that a person whose mail is refused has one with a valid code. After a claim it may not: its maker could have any number
// of mails sent to a stranger.
func (s *Service) endCodes(ctx context.Context, q *store.Queries, user store.User) error {
	if err := q.EndCodes(ctx, user.ID, s.now()); err != nil || user.EmailKey == "" || user.OnlyClaimed() {
		return err
	}
	return q.DropThrottle(ctx, s.resetCounter(user.EmailKey, true))
}

// mailCode mails a link with a new code for c.Purpose.
func (s *Service) mailCode(ctx context.Context, q *store.Queries, m mailer.Mail, c store.Code) error {
	code := token.NewSecret()
	page, ttl := s.ConfirmURL, confirmTTL
	switch Purpose(c.Purpose) {
	case ToReset:
		page, ttl = s.ResetURL, resetTTL
	case ToInvite:
		page, ttl = s.ResetURL, inviteTTL
	case ToSignIn:
		page, ttl = s.MagicLinkURL, magicTTL
	}
	link, err := url.Parse(page)
	if err != nil { // impossible: the settings were checked
		return err
	}
	query := link.Query()
	query.Set("code", code.Reveal())
	link.RawQuery = query.Encode()
	c.Hash, c.ExpiresAt = token.HashSecret(code), s.now().Add(ttl)
	if err = q.CreateCode(ctx, c); err != nil {
		return err
	}
	m.Link, m.ExpiresAt = secret.New(link.String()), c.ExpiresAt
	return s.outbox.Add(ctx, q, m)
}

func errInvalidCode(cause error) error {
	return problem.Wrap(problem.InvalidCode, "The code is invalid, expired or used. Request another mail.", cause).
		At("/code", "is invalid, expired or used")
}

// findCode finds a valid code. Errors: InvalidCode.
func (s *Service) findCode(ctx context.Context, purpose Purpose, code secret.Text) (store.Code, error) {
	c, err := s.db.FindCode(ctx, token.HashSecret(code), string(purpose), s.now())
	if errors.Is(err, store.ErrNotFound) {
		err = errInvalidCode(err)
	}
	return c, err
}

// useCode uses a code for a user, in the transaction that acts on it. It locks the user, and the ownership of the addresses
// of both, until the transaction ends. known is the user that was found; it returns the user as it was before the change.
func (s *Service) useCode(ctx context.Context, q *store.Queries, c store.Code, known *store.User) (user store.User, err error) {
	if user, err = q.LockUserAndAddress(ctx, known, c.EmailKey); err != nil {
		return user, err
	}
	return user, q.UseCode(ctx, c.Hash, c.Purpose, s.now())
}

// confirmAddress makes the address that a code was mailed to the confirmed address of a user, in the transaction that has
// used the code. It ends the other codes of the user and every code for that address, and takes the address from the
// accounts that only claim it. An account whose address an operator has given keeps it, unconfirmed. by is the administrator who
// vouches for the address; nil for its owner, and at the command line.
func (s *Service) confirmAddress(ctx context.Context, q *store.Queries, before store.User, c store.Code, by *identity.Caller) error {
	if err := q.ConfirmEmail(ctx, before.ID, c.Email, c.EmailKey, s.now()); err != nil {
		return err
	}
	after := before
	after.Email, after.EmailKey, after.EmailVerified = c.Email, c.EmailKey, true
	err := s.revokeClaims(ctx, q, c.EmailKey, by)
	if err != nil {
		return err
	}
	if err = s.endCodes(ctx, q, after); err != nil {
		return err
	}
	switch {
	case before.Email != c.Email: // perhaps only in letter case: to some mail servers that is another address
		if err = s.outbox.Notify(ctx, q, mailer.EmailChanged, before, c.Email); err != nil {
			return err
		}
		return s.record(ctx, q, audit.EmailChanged, after, by)
	case !before.EmailVerified:
		return s.record(ctx, q, audit.EmailConfirmed, after, by)
	}
	return nil
}

// revokeClaims takes an address from the accounts that only claim it. by is the administrator who vouches for the address, and who so
// changes those accounts; nil for its owner, and at the command line. Errors: InsufficientScope.
func (s *Service) revokeClaims(ctx context.Context, q *store.Queries, emailKey string, by *identity.Caller) error {
	claimants, err := q.RevokeClaims(ctx, emailKey, s.now(), maxClaimants)
	if err != nil {
		return err
	}
	for _, claimant := range claimants {
		err = s.identity.RequireScopes(by, strings.Fields(claimant.Scopes),
			"Another account that has not confirmed the address would lose it, and it has scopes that your token does not have, so you may not confirm the address.")
		if err != nil {
			return err
		}
	}
	return s.recordLostClaims(ctx, q, claimants)
}

// recordLostClaims records that accounts have lost the address that they claimed.
func (s *Service) recordLostClaims(ctx context.Context, q *store.Queries, claimants []store.User) error {
	for _, claimant := range claimants {
		e := store.Event{UserID: claimant.ID, Username: claimant.Username}
		if err := audit.Record(ctx, q, audit.EmailLost, e, s.now()); err != nil {
			return err
		}
	}
	return nil
}

// ExpireClaims takes the addresses from up to limit accounts that have claimed them for too long, and returns how many. It
// is for package cleanup.
func (s *Service) ExpireClaims(ctx context.Context, now time.Time, limit int) (expired int64, err error) {
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		claimants, err := q.ExpireClaims(ctx, now.Add(-claimTTL), now, limit)
		expired = int64(len(claimants))
		if err != nil {
			return err
		}
		return s.recordLostClaims(ctx, q, claimants)
	})
	return expired, err
}
