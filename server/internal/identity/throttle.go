package identity

import (
	"cmp"
	"context"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/mailer"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// freeFailures failures cost no wait; after them the waits are 1 s, doubling to longestWait. The count expires
	// failureMemory after the last failure.
	freeFailures  = 5
	failureMemory = 12 * time.Hour
	longestWait   = store.LongestWait
	// freeFailuresOfNetwork is higher, since a whole office may share an address. It is per clock hour.
	freeFailuresOfNetwork = 100
	networkMemory         = time.Hour
	// siteAllowance is how many times the limit of a subnet an IPv6 site has: some providers give each customer a subnet,
	// and others a whole site.
	siteAllowance = 10
	// maxKnownAddresses limits the known networks of an account.
	maxKnownAddresses = 20
	// KnownAddressTTL is how long after its last login from there a network stays known.
	KnownAddressTTL = 180 * 24 * time.Hour
	// knownAddressStep limits how often a login from a known network is recorded, so that most logins write nothing.
	knownAddressStep = 24 * time.Hour
	// justBlocked is the wait of an attempt that concurrent ones have overtaken.
	justBlocked = time.Second
)

// attempt is one attempt to log in to an account. From a network that the account has logged in from before, it has a
// counter of its own: the failures of strangers do not throttle it, nor do those of other people at that network, and it
// has no more free failures than a stranger.
type attempt struct {
	store.Counters
	user         store.User // the zero User for an unknown name, which is recorded nowhere: it may be a password
	clientID     string
	knownAddress store.KnownAddress
	state        store.ThrottleState
	known        bool // whether Counters.Known applies
	name         string
	reserved     bool // no counter makes it wait: it was counted as a failure before it was checked (reserveTry), or nothing was guessed
}

// newAttempt reads the throttle state of an attempt. Errors: TooManyRequests when it has to wait. For an unknown name,
// which has the zero User, the work is the same.
//
// Failures are counted under the username of the account, so all its names share one counter; the counter is the one that
// the name has while there is no account. An e-mail address may move from one account to another, so the address that was
// used is counted as well.
func (s *Service) newAttempt(ctx context.Context, name string, user store.User, clientID string) (*attempt, error) {
	account, from := cmp.Or(user.UsernameKey, name), network.FromContext(ctx)
	a := &attempt{Counters: s.loginCounters(account, from), user: user, clientID: clientID, name: name, knownAddress: s.knownAddress(from)}
	if isAddress(name) {
		a.Email = s.emailCounter(name)
	}
	return a, s.checkAttempt(ctx, a)
}

// unguessed is the attempt of somebody in a browser who has proved who they are with something that nobody can guess. No counter makes
// it wait, so that the guesses of strangers do not keep the owner out; a session that starts clears them.
func (s *Service) unguessed(ctx context.Context, user store.User, name string) (a *attempt, err error) {
	from, now := network.FromContext(ctx), s.Now()
	a = &attempt{
		Counters: s.loginCounters(user.UsernameKey, from), user: user, clientID: store.BrowserClient, name: name,
		knownAddress: s.knownAddress(from), reserved: true,
	}
	a.state, err = s.db.ReadThrottles(ctx, a.Counters, user.ID, a.knownAddress, now)
	a.known = isKnown(a.state, now)
	return a, err
}

func (s *Service) loginCounters(account string, from network.Network) store.Counters {
	c := store.Counters{Account: s.KeyedHash.Key("account", account), Known: s.KeyedHash.Key("account", account, "from", from.Subnet)}
	networks := s.NetworkCounters(failedLogins, from, freeFailuresOfNetwork)
	if c.Address = networks[0].Key; len(networks) > 1 {
		c.Site = networks[1].Key
	}
	return c
}

func (s *Service) emailCounter(key string) string { return s.KeyedHash.Key("email", key) }

// sessionCounter counts wrong passwords that are given within a session, apart from logins.
func (s *Service) sessionCounter(userID string) string { return s.KeyedHash.Key("change", userID) }

func (s *Service) knownAddress(from network.Network) store.KnownAddress {
	return store.KnownAddress{Key: s.KeyedHash.Key("known", from.Subnet), SecondKey: s.KeyedHash.SecondKey("known", from.Subnet)}
}

// KnownNetwork returns the network of a request if the user has signed in from it before; otherwise, and for the zero User, "". The work
// is the same.
func (s *Service) KnownNetwork(ctx context.Context, user store.User) (string, error) {
	from := network.FromContext(ctx)
	state, err := s.db.ReadThrottles(ctx, store.Counters{}, user.ID, s.knownAddress(from), s.Now())
	if err != nil || !isKnown(state, s.Now()) {
		return "", err
	}
	return from.Subnet, nil
}

// Subjects of the counters of networks. The texts are part of the keys.
const (
	failedLogins      = "address"
	MailRequests      = "mails from"
	RegistrationTries = "registrations from"
	DeviceRequests    = "device requests from"
	DeviceGuesses     = "device codes from"
	ClientTries       = "client registrations from"
	DocumentFetches   = "client documents from"
)

// NetworkCounter is a counter of what a network, or an account, does, with its limit.
type NetworkCounter struct {
	Key   string
	Limit int
}

// NetworkCounters returns the counter of a subnet and, if the site around it contains others, that of the site.
func (s *Service) NetworkCounters(what string, from network.Network, limit int) []NetworkCounter {
	counters := []NetworkCounter{{s.KeyedHash.Key(what, from.Subnet), limit}}
	if from.Nested() {
		counters = append(counters, NetworkCounter{s.KeyedHash.Key(what, from.Site), siteAllowance * limit})
	}
	return counters
}

// DeviceCounters returns the counters of the user codes that an account tries, and its network.
func (s *Service) DeviceCounters(userID string, from network.Network, ofAccount, ofNetwork int) []NetworkCounter {
	return append(s.NetworkCounters(DeviceGuesses, from, ofNetwork), NetworkCounter{s.deviceCounter(userID), ofAccount})
}

func (s *Service) deviceCounter(userID string) string {
	return s.KeyedHash.Key("device codes of", userID)
}

// CountUse counts a use under each counter, or returns how long to wait if one has reached its limit. The first use begins the
// window. A refused use costs one read and no write, so that a flood of them delays no writer.
func (s *Service) CountUse(ctx context.Context, counters []NetworkCounter, window time.Duration) (wait time.Duration, err error) {
	now := s.Now()
	for _, n := range counters {
		until, err := s.db.LimitReachedUntil(ctx, n.Key, n.Limit)
		if err != nil {
			return 0, err
		}
		if store.Pending(until, now, window) {
			return min(until.Sub(now), window), nil // however far ahead the clock of another replica is
		}
	}
	for _, n := range counters {
		counted, err := s.db.CountUse(ctx, store.Throttle{Key: n.Key, Free: n.Limit, ClearAt: now.Add(window)}, now)
		if err != nil {
			return 0, err
		}
		if !counted { // concurrent uses have reached the limit
			return time.Second, nil
		}
	}
	return 0, nil
}

// checkAttempt reads the throttle state of an attempt. Errors: TooManyRequests.
func (s *Service) checkAttempt(ctx context.Context, a *attempt) (err error) {
	if a.reserved {
		return nil
	}
	now := s.Now()
	if a.state, err = s.db.ReadThrottles(ctx, a.Counters, a.user.ID, a.knownAddress, now); err != nil {
		return err
	}
	a.known = isKnown(a.state, now)
	key, until := a.Account, a.state.Account
	switch {
	case a.known:
		key, until = a.Known, a.state.Known
	default:
		if a.state.Address.After(until) {
			key, until = a.Address, a.state.Address
		}
		if a.state.Site.After(until) {
			key, until = a.Site, a.state.Site
		}
	}
	if until.After(now) {
		return s.throttled(ctx, a, key, until.Sub(now))
	}
	return nil
}

// relevant returns the counters that make the attempt wait, as the account and the network were when they were last read.
func (a *attempt) relevant() []string {
	if a.reserved { // it would wait for itself
		return nil
	}
	if a.known {
		return []string{a.Known}
	}
	return []string{a.Account, a.Email, a.Address, a.Site}
}

// isKnown reports whether the account has logged in from the network recently enough.
func isKnown(state store.ThrottleState, now time.Time) bool {
	return state.KnownSince.After(now.Add(-KnownAddressTTL))
}

// throttled returns the error for an attempt that has to wait. It records the first attempt that each wait refuses.
func (s *Service) throttled(ctx context.Context, a *attempt, key string, wait time.Duration) error {
	unreported, err := s.db.ThrottleUnreported(ctx, key)
	if err != nil {
		return err
	}
	if unreported {
		err = s.db.Tx(ctx, func(q *store.Queries) error {
			if err := q.ReportThrottle(ctx, key); err != nil {
				return err
			}
			return audit.Record(ctx, q, audit.LoginThrottled, a.event(), s.Now())
		})
		if store.IgnoreNotFound(err) != nil {
			return err
		}
	}
	s.Count.Throttled(throttledLogin)
	return errThrottled(wait)
}

// event describes the attempt. It has no actor, since nobody knows who made it.
func (a *attempt) event() store.Event {
	return store.Event{UserID: a.user.ID, Username: a.user.Username, ClientID: a.clientID}
}

// countLoginFailure counts a wrong password, or a wrong passkey, and returns the error for it. Of many attempts at once, those after the last
// free one get TooManyRequests, which does not reveal that their password was wrong.
//
// It ignores a disconnect: otherwise a client could guess many passwords at once and hang up before they are counted.
func (s *Service) countLoginFailure(ctx context.Context, a *attempt, wrong error) error {
	ctx, done := IgnoreDisconnect(ctx)
	defer done()
	for _, key := range a.failureKeys() {
		counted, err := s.countFailure(ctx, key, freeFailures, s.Now().Add(failureMemory))
		if err != nil {
			return err
		}
		if !counted {
			return s.throttled(ctx, a, key, justBlocked)
		}
	}
	for _, n := range s.NetworkCounters(failedLogins, network.FromContext(ctx), freeFailuresOfNetwork) {
		counted, err := s.countFailure(ctx, n.Key, n.Limit, s.Now().Truncate(networkMemory).Add(networkMemory))
		if err == nil && !counted && !a.known {
			return s.throttled(ctx, a, n.Key, justBlocked)
		}
		if err != nil {
			return err
		}
	}
	if err := audit.Record(ctx, &s.db.Queries, audit.LoginFailed, a.event(), s.Now()); err != nil {
		return err
	}
	return wrong
}

// failureKeys are the counters of the account that a failure counts for.
func (a *attempt) failureKeys() []string {
	switch {
	case a.known:
		return []string{a.Known}
	case a.Email != "":
		return []string{a.Account, a.Email}
	}
	return []string{a.Account}
}

// countFailure counts a failure, and reports false when the key has to wait already.
func (s *Service) countFailure(ctx context.Context, key string, free int, clearAt time.Time) (counted bool, err error) {
	return s.db.CountFailure(ctx, store.Throttle{Key: key, Free: free, ClearAt: clearAt}, s.Now())
}

// clearAfterLogin clears the counter that the attempt used, for every name of the account, and makes the network known.
func (s *Service) clearAfterLogin(ctx context.Context, q *store.Queries, a *attempt) error {
	keys := []string{a.Account}
	switch {
	case a.known:
		keys = []string{a.Known}
	case a.user.EmailVerified:
		keys = append(keys, s.emailCounter(a.user.EmailKey))
	}
	for _, key := range keys {
		if err := q.ClearThrottle(ctx, key, s.Now()); err != nil {
			return err
		}
	}
	if now := s.Now(); now.Sub(a.state.RecordedAt) > knownAddressStep {
		if err := s.notifyUnknownNetwork(ctx, q, a.user, a.known); err != nil {
			return err
		}
		return q.AddKnownAddress(ctx, a.user.ID, a.knownAddress.Key, now, maxKnownAddresses)
	}
	return nil
}

// notifyUnknownNetwork mails the owner when the correct password was given in an unknown network and others are known.
// Of many such logins in a row it mails the first.
func (s *Service) notifyUnknownNetwork(ctx context.Context, q *store.Queries, user store.User, known bool) error {
	if !s.NewLoginMails || known || !user.EmailVerified {
		return nil
	}
	allowed, err := q.CountNewPlaceMail(ctx, s.KeyedHash.Key("new place", user.ID), user.ID, s.Now())
	if err != nil || !allowed {
		return err
	}
	return s.Outbox.Notify(ctx, q, mailer.NewLogin, user, "")
}

// ClearThrottles ends the waits of a user who has proved to read the mails of an address. It makes the network of the
// request known, so that the guesses of strangers cannot throttle the user there again.
func (s *Service) ClearThrottles(ctx context.Context, q *store.Queries, user store.User, emailKey string) error {
	from := network.FromContext(ctx)
	c := s.loginCounters(user.UsernameKey, from)
	for _, key := range []string{c.Account, c.Known, s.emailCounter(emailKey), s.sessionCounter(user.ID)} {
		if err := q.DropThrottle(ctx, key); err != nil {
			return err
		}
	}
	return q.AddKnownAddress(ctx, user.ID, s.knownAddress(from).Key, s.Now(), maxKnownAddresses)
}

// errThrottled is the one answer for a correct and a wrong password while any counter has to wait.
func errThrottled(wait time.Duration) error {
	e := problem.New(problem.TooManyRequests, "There were too many wrong passwords. Wait before the next attempt.")
	e.RetryAfter = min(wait, longestWait) // however far ahead the clock of another replica is
	return e
}
