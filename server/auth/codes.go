package auth

import (
	"context"
	"errors"
	"net/url"
	"time"

	"sesame/server/mail"
	"sesame/server/problem"
	"sesame/server/secret"
	"sesame/server/store"
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
	// resetTTL is what CountMail keeps the next mail back for at most: who gets no further mail has one whose code is good.
	resetTTL = time.Hour
	// freeMailsOfNetwork may be asked for from one IPv4 address or IPv6 /64 in a clock hour, to whomever.
	freeMailsOfNetwork = 100
	// maxLosers lose an address, at most, when somebody proves that it is theirs. There is nothing that
	// the rest could do with it.
	maxLosers = 100
)

// mayMail reports whether an address may be mailed a code for some purpose, and counts it. by is who asks, or nil.
// Who asks is not told, or they would learn what others ask for. Each purpose is counted apart: or who
// registers accounts with somebody else's address would keep them from resetting their password.
// Administrators may do so for as many as they like.
func (s *Service) mayMail(ctx context.Context, q *store.Queries, by *Caller, purpose Purpose, key string) (bool, error) {
	if by == nil || !by.HasScope(AdminScope) {
		for _, n := range s.networkCounters(mailsAskedFor, networkOf(ctx), freeMailsOfNetwork) {
			counted, err := q.CountFailure(ctx, store.Throttle{Key: n.key, Free: n.free, ClearAt: s.Now().Truncate(time.Hour).Add(time.Hour)}, s.Now())
			if err != nil || !counted {
				return false, err
			}
		}
	}
	return q.CountMail(ctx, s.mailLane(purpose, key), s.Now())
}

// mailLane is where the mails to an address are counted.
func (s *Service) mailLane(purpose Purpose, key string) string {
	return s.Blind.Key("mails to", string(purpose), key)
}

// dropCodes makes all codes of a user worthless. To an address that they have confirmed another one may be mailed at
// once: whoever gets no mail has one whose code is good.
func (s *Service) dropCodes(ctx context.Context, q *store.Queries, userID, confirmed string) error {
	if err := q.DropCodes(ctx, userID); err != nil || confirmed == "" {
		return err
	}
	return q.DropThrottle(ctx, s.mailLane(ToReset, confirmed))
}

// provenKey is the address that a user has confirmed, folded, or "".
func provenKey(user store.User) string {
	if !user.EmailVerified {
		return ""
	}
	return user.EmailKey
}

// mailCode mails a link with a new code that c.UserID may use for c.Purpose; of nobody, which is "", the
// code is good for nothing, and the work is the same.
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

// CodeUser finds whose a code is, without using it. Errors: InvalidCode.
func (s *Service) CodeUser(ctx context.Context, purpose Purpose, code secret.Text) (store.User, error) {
	_, user, err := s.findCode(ctx, purpose, code)
	return user, err
}

func (s *Service) findCode(ctx context.Context, purpose Purpose, code secret.Text) (c store.Code, user store.User, err error) {
	if c, err = s.db.FindCode(ctx, hashSecret(code), string(purpose), s.Now()); err == nil {
		user, err = s.db.UserByID(ctx, c.UserID)
	}
	if err == nil && user.Disabled {
		err = store.ErrNotFound
	}
	if errors.Is(err, store.ErrNotFound) {
		err = errInvalidCode(err)
	}
	return c, user, err
}

// useCode uses a code that was found, in the transaction of what it is for: nobody else changes its user, or
// whose an address is, until the end of that. The user is as it was before.
func (s *Service) useCode(ctx context.Context, q *store.Queries, c store.Code) (user store.User, err error) {
	if err = q.TakeTurn(ctx); err != nil {
		return user, err
	}
	if user, err = q.LockUser(ctx, c.UserID); err != nil {
		return user, err
	}
	_, err = q.UseCode(ctx, c.Hash, c.Purpose, s.Now())
	return user, err
}

// prove makes the address that a code was mailed to its user's own, in the transaction that has used it.
// The other codes of the user, and everybody's for that address, are worth nothing then; who only claimed
// the address loses it.
func (s *Service) prove(ctx context.Context, q *store.Queries, before store.User, c store.Code) (after store.User, err error) {
	if after, err = q.ProveEmail(ctx, before.ID, c.Email, c.EmailKey, s.now()); err != nil {
		return after, err
	}
	losers, err := q.TakeEmail(ctx, c.EmailKey, s.now(), maxLosers)
	if err != nil {
		return after, err
	}
	for _, loser := range losers {
		if err = recordEvent(ctx, q, EventEmailLost, store.Event{UserID: loser.ID, Username: loser.Username}, s.Now()); err != nil {
			return after, err
		}
	}
	if err = s.dropCodes(ctx, q, after.ID, c.EmailKey); err != nil {
		return after, err
	}
	switch {
	case before.Email != c.Email: // in its letter case, perhaps: to some mail servers that is another address
		if err = s.notify(ctx, q, mail.EmailChanged, before, c.Email); err != nil {
			return after, err
		}
		return after, s.record(ctx, q, EventEmailChanged, after, nil)
	case !before.EmailVerified:
		return after, s.record(ctx, q, EventEmailConfirmed, after, nil)
	}
	return after, nil
}
