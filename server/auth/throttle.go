package auth

import (
	"context"
	"errors"
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
	name, knownLane, address, knownAddress string // keys
	blocks                                 store.Blocks
	known                                  bool // whether the known lane is the one
}

// begin reads how a try stands; TooManyRequests when it has to wait. userID is "" for an unknown name,
// for which the work is the same.
func (s *Service) begin(ctx context.Context, name, userID string, from Origin) (*attempt, error) {
	address := network(from.IPAddress)
	a := &attempt{
		name: s.Blind.Key("account", name), knownLane: s.Blind.Key("account", name, "from", address),
		address: s.Blind.Key("address", address), knownAddress: s.Blind.Key("known", address),
	}
	return a, s.look(ctx, a, userID)
}

// look reads how a try stands now.
func (s *Service) look(ctx context.Context, a *attempt, userID string) (err error) {
	if a.blocks, err = s.db.ReadBlocks(ctx, a.name, a.knownLane, a.address, userID, a.knownAddress); err != nil {
		return err
	}
	now := s.Now()
	a.known = a.blocks.KnownSince.After(now.Add(-knownAddressTTL))
	until := a.blocks.Account
	switch {
	case a.known:
		until = a.blocks.Known
	case a.blocks.Address.After(until):
		until = a.blocks.Address
	}
	if until.After(now) {
		return errThrottled(until.Sub(now))
	}
	return nil
}

// failLane is fail for a password that is not a login's.
func (s *Service) failLane(ctx context.Context, lane string, wrong error) error {
	if err := s.count(ctx, lane, freeFailures, s.Now().Add(failureMemory)); err != nil {
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
	if err := s.count(ctx, a.lane(), freeFailures, s.Now().Add(failureMemory)); err != nil {
		return err
	}
	err := s.count(ctx, a.address, freeFailuresOfAddress, s.Now().Truncate(addressMemory).Add(addressMemory))
	if err == nil || a.known && isThrottled(err) {
		return wrong
	}
	return err
}

// count counts a failure; TooManyRequests when the key is blocked by now. That wait has only just begun.
func (s *Service) count(ctx context.Context, key string, free int, clearAt time.Time) error {
	counted, err := s.db.CountFailure(ctx, store.Throttle{Key: key, Free: free, ClearAt: clearAt}, s.Now())
	if err == nil && !counted {
		err = errThrottled(time.Second)
	}
	return err
}

// succeed clears what the try's own lane has counted, and remembers the address.
func (s *Service) succeed(ctx context.Context, q *store.Queries, a *attempt, userID string) error {
	if a.known && a.blocks.KnownFailures || !a.known && a.blocks.AccountFailures {
		if err := q.ClearThrottle(ctx, a.lane(), s.Now()); err != nil {
			return err
		}
	}
	if now := s.Now(); now.Sub(a.blocks.KnownSince) > knownAddressStep {
		return q.RememberAddress(ctx, userID, a.knownAddress, now, maxKnownAddresses)
	}
	return nil
}

// errThrottled is one answer for a right and a wrong password, and whatever it is that has to wait.
func errThrottled(wait time.Duration) error {
	e := problem.New(problem.TooManyRequests, "There were too many wrong passwords. Wait before the next try.")
	e.RetryAfter = min(wait, longestWait) // however far another replica's clock is ahead
	return e
}

func isThrottled(err error) bool {
	p, ok := errors.AsType[*problem.Error](err)
	return ok && p.Code == problem.TooManyRequests
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
