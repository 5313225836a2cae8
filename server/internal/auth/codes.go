package auth

import (
	"context"
	"errors"
	"net/url"
	"time"

	"sesame/server/internal/mail"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Purpose is what a mailed code may be used for.
type Purpose string

// The purposes.
const (
	ToConfirm Purpose = "confirm" // an address
	ToReset   Purpose = "reset"   // a password
)

const (
	confirmTTL = 24 * time.Hour
	// resetTTL is the longest time for which CountMail refuses the next mail: a person who gets no further mail has one
	// whose code is valid.
	resetTTL = time.Hour
	// freeMailsOfNetwork may be asked for from one IPv4 address or IPv6 /64 in a clock hour, to any addresses.
	freeMailsOfNetwork = 100
	// maxClaimants lose an address, at most, when somebody proves that it is theirs. The others' claims expire.
	maxClaimants = 100
)

// mayMail reports whether a mail that somebody asks for may be sent, and counts it: for the network that the request
// comes from, and under lane, which says what is counted beside it. by is who asks, or nil. The answer to the request
// must be the same either way, or it would tell what others ask for. For administrators the network is not counted.
func (s *Service) mayMail(ctx context.Context, q *store.Queries, by *Caller, lane string) (bool, error) {
	if by == nil || !by.HasScope(s.Scopes.Admin) {
		for _, n := range s.networkCounters(mailsAskedFor, networkOf(ctx), freeMailsOfNetwork) {
			counted, err := q.CountFailure(ctx, store.Throttle{Key: n.key, Free: n.free, ClearAt: s.Now().Truncate(time.Hour).Add(time.Hour)}, s.Now())
			if err != nil || !counted {
				return false, err
			}
		}
	}
	return q.CountMail(ctx, lane, s.Now())
}

// confirmLane counts the mails that ask whether an address is a user's. Each account has its own: a stranger whose
// accounts claim the address does not use up the mails of its owner.
func (s *Service) confirmLane(userID, key string) string {
	return s.Blind.Key("mails to", string(ToConfirm), userID, key)
}

// inUseLane counts the mails that tell the owner of a confirmed address that somebody gave it for another account. All
// accounts share one: they would say the same.
func (s *Service) inUseLane(key string) string { return s.Blind.Key("mails to", "in use", key) }

// claimsLane is counted in place of inUseLane for an address that nobody else has confirmed, and limits nothing: without
// it, the second claim of an address would tell by its work whether somebody has confirmed it.
func (s *Service) claimsLane(key string) string { return s.Blind.Key("mails to", "claims", key) }

// resetLane counts the mails with which an address resets a password. What is asked for while no account has the address
// is counted apart, for it sends no mail: or a stranger could keep the mails from a person who is about to get an account.
func (s *Service) resetLane(key string, known bool) string {
	if !known {
		return s.Blind.Key("mails to", "nobody", key)
	}
	return s.Blind.Key("mails to", string(ToReset), key)
}

// endCodes ends every code that serves a user. Unless the user merely claims the address, a reset may be mailed there at
// once: a person who gets no further mail has one whose code is valid. A claim would otherwise allow its maker to have
// any number of mails sent to a stranger.
func (s *Service) endCodes(ctx context.Context, q *store.Queries, user store.User) error {
	if err := q.EndCodes(ctx, user.ID, s.Now()); err != nil || user.EmailKey == "" || user.MerelyClaimed() {
		return err
	}
	return q.DropThrottle(ctx, s.resetLane(user.EmailKey, true))
}

// mailCode mails a link with a new code for c.Purpose.
func (s *Service) mailCode(ctx context.Context, q *store.Queries, m mail.Mail, c store.Code) error {
	code := newSecret()
	page, ttl := s.ConfirmURL, confirmTTL
	if Purpose(c.Purpose) == ToReset {
		page, ttl = s.ResetURL, resetTTL
	}
	link, err := url.Parse(page)
	if err != nil { // the settings were checked
		return err
	}
	query := link.Query()
	query.Set("code", code.Reveal())
	link.RawQuery = query.Encode()
	c.Hash, c.ExpiresAt = hashSecret(code), s.now().Add(ttl)
	if err = q.CreateCode(ctx, c); err != nil {
		return err
	}
	m.Link, m.ExpiresAt = secret.New(link.String()), c.ExpiresAt
	return s.Outbox.Add(ctx, q, m)
}

func errInvalidCode(cause error) error {
	return problem.Wrap(problem.InvalidCode, "The code is wrong, was used, or is too old. Ask for another mail.", cause).
		At("/code", "is not good, or not any more")
}

// findCode finds a valid code. Errors: InvalidCode.
func (s *Service) findCode(ctx context.Context, purpose Purpose, code secret.Text) (store.Code, error) {
	c, err := s.db.FindCode(ctx, hashSecret(code), string(purpose), s.Now())
	if errors.Is(err, store.ErrNotFound) {
		err = errInvalidCode(err)
	}
	return c, err
}

// useCode uses a code that was found for a user, in the transaction of what it is for: until the end of that, nobody
// else changes the user, or whose an address is. The user is as it was before.
func (s *Service) useCode(ctx context.Context, q *store.Queries, c store.Code, userID string) (user store.User, err error) {
	if err = q.LockAdministration(ctx); err != nil {
		return user, err
	}
	if user, err = q.LockUser(ctx, userID); err != nil {
		return user, err
	}
	_, err = q.UseCode(ctx, c.Hash, c.Purpose, s.Now())
	return user, err
}

// prove makes the address that a code was mailed to its user's own, in the transaction that has used the code. It ends
// the other codes of the user, and every code for that address, and takes the address from the accounts that merely
// claim it. An account whose address an operator has given keeps it, unconfirmed.
func (s *Service) prove(ctx context.Context, q *store.Queries, before store.User, c store.Code) error {
	after, err := q.ProveEmail(ctx, before.ID, c.Email, c.EmailKey, s.now())
	if err != nil {
		return err
	}
	claimants, err := q.TakeEmail(ctx, c.EmailKey, s.now(), maxClaimants)
	if err != nil {
		return err
	}
	if err = s.recordLost(ctx, q, claimants); err != nil {
		return err
	}
	after.EmailKey = c.EmailKey
	if err = s.endCodes(ctx, q, after); err != nil {
		return err
	}
	switch {
	case before.Email != c.Email: // in its letter case, perhaps: to some mail servers that is another address
		if err = s.notify(ctx, q, mail.EmailChanged, before, c.Email); err != nil {
			return err
		}
		return s.record(ctx, q, EventEmailChanged, after, nil)
	case !before.EmailVerified:
		return s.record(ctx, q, EventEmailConfirmed, after, nil)
	}
	return nil
}

// recordLost notes that accounts have lost the address that they claimed.
func (s *Service) recordLost(ctx context.Context, q *store.Queries, claimants []store.User) error {
	for _, claimant := range claimants {
		e := store.Event{UserID: claimant.ID, Username: claimant.Username}
		if err := recordEvent(ctx, q, EventEmailLost, e, s.Now()); err != nil {
			return err
		}
	}
	return nil
}
