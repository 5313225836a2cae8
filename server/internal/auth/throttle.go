package auth

import (
	"cmp"
	"context"
	"time"

	"sesame/server/internal/mail"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// freeFailures cost no wait; after them the waits are 1 s, doubling to 15 min. They are forgotten
	// after failureMemory without another.
	freeFailures  = 5
	failureMemory = 12 * time.Hour
	longestWait   = 15 * time.Minute
	// freeFailuresOfAddress is larger because a whole office may share an address. It is per clock hour.
	freeFailuresOfAddress = 100
	addressMemory         = time.Hour
	// siteAllowance is how many times more than one of its subnets an IPv6 site may do: some providers give each
	// customer a subnet, and others a whole site.
	siteAllowance = 10
	// failedLogins, mailsAskedFor and registrations are what is counted of networks.
	failedLogins  = "address"
	mailsAskedFor = "mails from"
	registrations = "registrations from"
	// maxKnownAddresses of an account are kept, for so long after a login from there.
	maxKnownAddresses = 20
	knownAddressTTL   = 180 * 24 * time.Hour
	// A login from a known address is noted no more often than this, so that most logins write nothing.
	knownAddressStep = 24 * time.Hour
)

// attempt is one try at an account's password. Who tries from an address that the account has logged
// in from before is in a lane of its own: a stranger's failures do not hold it up, nor do those of
// others at that address, and it has no more free tries than the stranger.
type attempt struct {
	store.Lanes
	user         store.User // the zero User for an unknown name, which is told nowhere: it may be a password
	client       Client
	knownAddress string // a key
	blocks       store.Blocks
	known        bool // whether the known lane is the one
}

// begin reads how a try stands; TooManyRequests when it has to wait. For an unknown name, which has the
// zero User, the work is the same.
//
// Failures are counted under the account's username, so all its names share one count, and it is the
// count that the name had before there was an account and has when there is none any more. An e-mail
// address may come to belong to an account, or cease to; so what it was tried for is counted beside.
func (s *Service) begin(ctx context.Context, name string, user store.User, client Client) (*attempt, error) {
	account, from := cmp.Or(user.UsernameKey, name), networkOf(ctx)
	a := &attempt{Lanes: s.lanesOf(account, from), user: user, client: client, knownAddress: s.knownAddress(from)}
	if isEmail(name) {
		a.Email = s.emailLane(name)
	}
	return a, s.look(ctx, a)
}

func (s *Service) lanesOf(account string, from network.Network) store.Lanes {
	lanes := store.Lanes{Account: s.Blind.Key("account", account), Known: s.Blind.Key("account", account, "from", from.Subnet)}
	counters := s.networkCounters(failedLogins, from, freeFailuresOfAddress)
	if lanes.Address = counters[0].key; len(counters) > 1 {
		lanes.Site = counters[1].key
	}
	return lanes
}

// networkCounter is where something is counted that a network does, and how much of it is free.
type networkCounter struct {
	key  string
	free int
}

// networkCounters are those of a subnet and, if it is not the whole of it, of its site.
func (s *Service) networkCounters(what string, from network.Network, free int) []networkCounter {
	counters := []networkCounter{{s.Blind.Key(what, from.Subnet), free}}
	if from.Nested() {
		counters = append(counters, networkCounter{s.Blind.Key(what, from.Site), siteAllowance * free})
	}
	return counters
}

func (s *Service) emailLane(key string) string { return s.Blind.Key("email", key) }

// changeLane is for guesses of somebody who is logged in.
func (s *Service) changeLane(userID string) string { return s.Blind.Key("change", userID) }

func (s *Service) knownAddress(from network.Network) string { return s.Blind.Key("known", from.Subnet) }

// look reads how a try stands now.
func (s *Service) look(ctx context.Context, a *attempt) (err error) {
	if a.blocks, err = s.db.ReadBlocks(ctx, a.Lanes, a.user.ID, a.knownAddress); err != nil {
		return err
	}
	now := s.Now()
	a.known = knownAt(a.blocks, now)
	key, until := a.Account, a.blocks.Account
	switch {
	case a.known:
		key, until = a.Known, a.blocks.Known
	default:
		if a.blocks.Address.After(until) {
			key, until = a.Address, a.blocks.Address
		}
		if a.blocks.Site.After(until) {
			key, until = a.Site, a.blocks.Site
		}
	}
	if until.After(now) {
		return s.throttled(ctx, a, key, until.Sub(now))
	}
	return nil
}

// knownAt reports whether the account had logged in from the address recently enough.
func knownAt(blocks store.Blocks, now time.Time) bool {
	return blocks.KnownSince.After(now.Add(-knownAddressTTL))
}

// throttled is the answer to a try that has to wait. The first that a block turns away is recorded.
func (s *Service) throttled(ctx context.Context, a *attempt, key string, wait time.Duration) error {
	untold, err := s.db.Untold(ctx, key)
	if err != nil {
		return err
	}
	if untold {
		err = s.db.Tx(ctx, func(q *store.Queries) error {
			if err := q.TellBlock(ctx, key); err != nil {
				return err
			}
			return s.recordTry(ctx, q, EventLoginThrottled, a)
		})
		if unlessNotFound(err) != nil {
			return err
		}
	}
	return errThrottled(wait)
}

// recordTry notes a login that was refused. Who it was is not known.
func (s *Service) recordTry(ctx context.Context, q *store.Queries, kind EventKind, a *attempt) error {
	return recordEvent(ctx, q, kind, a.event(), s.Now())
}

func (a *attempt) event() store.Event {
	return store.Event{UserID: a.user.ID, Username: a.user.Username, ClientID: a.client.id()}
}

// failLane is fail for a password that is not a login's. It records e as EventWrongPassword and returns wrong.
func (s *Service) failLane(ctx context.Context, e store.Event, lane string, wrong error) error {
	ctx, done := finishing(ctx)
	defer done()
	counted, err := s.count(ctx, lane, freeFailures, s.Now().Add(failureMemory))
	if err == nil && !counted {
		return errThrottled(justBlocked)
	}
	if err == nil {
		err = recordEvent(ctx, &s.db.Queries, EventWrongPassword, e, s.Now())
	}
	if err != nil {
		return err
	}
	return wrong
}

// lookAt is look for a password that is not a login's.
func (s *Service) lookAt(ctx context.Context, lane string) error {
	blocks, err := s.db.ReadBlocks(ctx, store.Lanes{Account: lane}, "", "")
	if err != nil {
		return err
	}
	if wait := blocks.Account.Sub(s.Now()); wait > 0 {
		return errThrottled(wait)
	}
	return nil
}

func (s *Service) forgetAddresses(ctx context.Context, now time.Time, limit int) (int64, error) {
	return s.db.ForgetAddresses(ctx, now.Add(-knownAddressTTL), limit)
}

// fail counts a wrong password and gives the answer to it. Of many tries at once, those that come
// after the last free one are not told that they were wrong: they have to wait like any other.
//
// Who hangs up before the answer is counted too, or guessing many at once and leaving would be free.
func (s *Service) fail(ctx context.Context, a *attempt, wrong error) error {
	ctx, done := finishing(ctx)
	defer done()
	lanes := []string{a.Account}
	switch {
	case a.known:
		lanes = []string{a.Known}
	case a.Email != "":
		lanes = append(lanes, a.Email)
	}
	for _, lane := range lanes {
		counted, err := s.count(ctx, lane, freeFailures, s.Now().Add(failureMemory))
		if err != nil {
			return err
		}
		if !counted {
			return s.throttled(ctx, a, lane, justBlocked)
		}
	}
	for _, n := range s.networkCounters(failedLogins, networkOf(ctx), freeFailuresOfAddress) {
		counted, err := s.count(ctx, n.key, n.free, s.Now().Truncate(addressMemory).Add(addressMemory))
		if err == nil && !counted && !a.known {
			return s.throttled(ctx, a, n.key, justBlocked)
		}
		if err != nil {
			return err
		}
	}
	if err := s.recordTry(ctx, &s.db.Queries, EventLoginFailed, a); err != nil {
		return err
	}
	return wrong
}

// justBlocked is what a try has to wait that was overtaken by those which have begun the wait.
const justBlocked = time.Second

// count counts a failure, and reports false when the key is blocked by now.
func (s *Service) count(ctx context.Context, key string, free int, clearAt time.Time) (counted bool, err error) {
	return s.db.CountFailure(ctx, store.Throttle{Key: key, Free: free, ClearAt: clearAt}, s.Now())
}

// succeed clears what the try's own lane has counted, by whichever of the account's names, and
// remembers the address.
func (s *Service) succeed(ctx context.Context, q *store.Queries, a *attempt) error {
	var lanes []string
	switch {
	case a.known && a.blocks.KnownFailures:
		lanes = []string{a.Known}
	case !a.known && a.blocks.AccountFailures:
		lanes = []string{a.Account}
		if a.user.EmailVerified {
			lanes = append(lanes, s.emailLane(a.user.EmailKey))
		}
	}
	for _, lane := range lanes {
		if err := q.ClearThrottle(ctx, lane, s.Now()); err != nil {
			return err
		}
	}
	if now := s.Now(); now.Sub(a.blocks.KnownSince) > knownAddressStep {
		if err := s.tellOfNewPlace(ctx, q, a.user, a.known); err != nil {
			return err
		}
		return q.RememberAddress(ctx, a.user.ID, a.knownAddress, now, maxKnownAddresses)
	}
	return nil
}

// tellOfNewPlace mails the owner when somebody gave the correct password from an address that is not known, and
// others are. Of many in a row it mails the first.
func (s *Service) tellOfNewPlace(ctx context.Context, q *store.Queries, user store.User, known bool) error {
	if !s.NewLoginMails || known || !user.EmailVerified {
		return nil
	}
	others, err := q.KnowsAddresses(ctx, user.ID)
	if err != nil || !others {
		return err
	}
	may, err := q.CountMail(ctx, s.Blind.Key("new place", user.ID), s.Now())
	if err != nil || !may {
		return err
	}
	return s.notify(ctx, q, mail.NewLogin, user, "")
}

// registrationWindow begins with a network's first try to register, and SESAME_REGISTRATION_LIMIT is for all of it.
const registrationWindow = time.Hour

// countRegistration counts a try to register, or gives TooManyRequests. Every try counts, whatever comes of it, and
// before its password is hashed: one that finds a username taken tells as much as one that succeeds, and costs as much.
// A try that is refused costs one read and writes nothing, so that a flood of them keeps no writer waiting.
func (s *Service) countRegistration(ctx context.Context) error {
	if s.RegistrationLimit == 0 {
		return nil
	}
	counters, now := s.networkCounters(registrations, networkOf(ctx), s.RegistrationLimit), s.Now()
	for _, n := range counters {
		until, err := s.db.UsedUpUntil(ctx, n.key, n.free)
		if err != nil {
			return err
		}
		if until.After(now) {
			return errTooManyRegistrations(until.Sub(now))
		}
	}
	for _, n := range counters {
		counted, err := s.db.CountUse(ctx, store.Throttle{Key: n.key, Free: n.free, ClearAt: now.Add(registrationWindow)}, now)
		if err != nil {
			return err
		}
		if !counted { // others were quicker
			return errTooManyRegistrations(justBlocked)
		}
	}
	return nil
}

func errTooManyRegistrations(wait time.Duration) error {
	e := problem.New(problem.TooManyRequests, "There were too many registrations from this network. Wait before the next try.")
	e.RetryAfter = min(wait, registrationWindow) // however far another replica's clock is ahead
	return e
}

// errThrottled is one answer for a right and a wrong password, and whatever it is that has to wait.
func errThrottled(wait time.Duration) error {
	e := problem.New(problem.TooManyRequests, "There were too many wrong passwords. Wait before the next try.")
	e.RetryAfter = min(wait, longestWait) // however far another replica's clock is ahead
	return e
}
