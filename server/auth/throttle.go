package auth

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"sesame/server/problem"
	"sesame/server/store"
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
	user                                   store.User // the zero User for an unknown name, which is told nowhere: it may be a password
	client                                 Client
	name, knownLane, address, knownAddress string // keys
	blocks                                 store.Blocks
	known                                  bool // whether the known lane is the one
}

// begin reads how a try stands; TooManyRequests when it has to wait. For an unknown name, which has the
// zero User, the work is the same.
func (s *Service) begin(ctx context.Context, name string, user store.User, client Client) (*attempt, error) {
	from, _ := originOf(ctx)
	address := network(from.IPAddress)
	a := &attempt{
		user: user, client: client,
		name: s.Blind.Key("account", name), knownLane: s.Blind.Key("account", name, "from", address),
		address: s.Blind.Key("address", address), knownAddress: s.Blind.Key("known", address),
	}
	return a, s.look(ctx, a)
}

// look reads how a try stands now.
func (s *Service) look(ctx context.Context, a *attempt) (err error) {
	if a.blocks, err = s.db.ReadBlocks(ctx, a.name, a.knownLane, a.address, a.user.ID, a.knownAddress); err != nil {
		return err
	}
	now := s.Now()
	a.known = a.blocks.KnownSince.After(now.Add(-knownAddressTTL))
	key, until := a.name, a.blocks.Account
	switch {
	case a.known:
		key, until = a.knownLane, a.blocks.Known
	case a.blocks.Address.After(until):
		key, until = a.address, a.blocks.Address
	}
	if until.After(now) {
		return s.throttled(ctx, a, key, until.Sub(now))
	}
	return nil
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
	e := store.Event{UserID: a.user.ID, Username: a.user.Username, ClientID: a.client.id()}
	return recordEvent(ctx, q, kind, e, s.Now())
}

// failLane is fail for a password that is not a login's, but proves that the caller is still who logged in.
func (s *Service) failLane(ctx context.Context, caller *Caller, lane string, wrong error) error {
	counted, err := s.count(ctx, lane, freeFailures, s.Now().Add(failureMemory))
	if err == nil && !counted {
		return errThrottled(justBlocked)
	}
	if err == nil {
		err = s.record(ctx, &s.db.Queries, EventWrongPassword, caller.User, caller)
	}
	if err != nil {
		return err
	}
	return wrong
}

// lookAt is look for a password that is not a login's.
func (s *Service) lookAt(ctx context.Context, lane string) error {
	blocks, err := s.db.ReadBlocks(ctx, lane, "", "", "", "")
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

// lane is the key that the account's failures are counted under.
func (a *attempt) lane() string {
	if a.known {
		return a.knownLane
	}
	return a.name
}

// fail counts a wrong password and gives the answer to it. Of many tries at once, those that come
// after the last free one are not told that they were wrong: they have to wait like any other.
func (s *Service) fail(ctx context.Context, a *attempt, wrong error) error {
	counted, err := s.count(ctx, a.lane(), freeFailures, s.Now().Add(failureMemory))
	if err == nil && !counted {
		return s.throttled(ctx, a, a.lane(), justBlocked)
	}
	if err != nil {
		return err
	}
	counted, err = s.count(ctx, a.address, freeFailuresOfAddress, s.Now().Truncate(addressMemory).Add(addressMemory))
	if err == nil && !counted && !a.known {
		return s.throttled(ctx, a, a.address, justBlocked)
	}
	if err == nil {
		err = s.recordTry(ctx, &s.db.Queries, EventLoginFailed, a)
	}
	if err != nil {
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

// succeed clears what the try's own lane has counted, and remembers the address.
func (s *Service) succeed(ctx context.Context, q *store.Queries, a *attempt) error {
	if a.known && a.blocks.KnownFailures || !a.known && a.blocks.AccountFailures {
		if err := q.ClearThrottle(ctx, a.lane(), s.Now()); err != nil {
			return err
		}
	}
	if now := s.Now(); now.Sub(a.blocks.KnownSince) > knownAddressStep {
		return q.RememberAddress(ctx, a.user.ID, a.knownAddress, now, maxKnownAddresses)
	}
	return nil
}

// errThrottled is one answer for a right and a wrong password, and whatever it is that has to wait.
func errThrottled(wait time.Duration) error {
	e := problem.New(problem.TooManyRequests, "There were too many wrong passwords. Wait before the next try.")
	e.RetryAfter = min(wait, longestWait) // however far another replica's clock is ahead
	return e
}

// loginKey is a login as it is counted: folded as the account's name is, whether or not there is one.
func loginKey(login string) string {
	if strings.Contains(login, "@") {
		return emailKey(login)
	}
	if _, key, err := foldUsername(login); err == nil {
		return key
	}
	return login
}

// network is an address as it is counted: of IPv6 the first 64 bits, which is what one customer has.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}
