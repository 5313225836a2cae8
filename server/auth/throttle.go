package auth

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
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
	store.Lanes
	userID       string // "" for an unknown name
	knownAddress string // a key
	blocks       store.Blocks
	known        bool // whether the known lane is the one
}

// begin reads how a try stands; TooManyRequests when it has to wait. user is nobody for an unknown
// name, for which the work is the same.
//
// Failures are counted under the account's username, so all its names share one count, and it is the
// count that the name had before there was an account and has when there is none any more. An e-mail
// address may come to belong to an account, or cease to; so what it was tried for is counted beside.
func (s *Service) begin(ctx context.Context, name string, user store.User, from Origin) (*attempt, error) {
	account, address := cmp.Or(user.UsernameKey, name), network(from.IPAddress)
	a := &attempt{
		Lanes: store.Lanes{
			Account: s.Blind.Key("account", account), Known: s.Blind.Key("account", account, "from", address),
			Address: s.Blind.Key("address", address),
		},
		userID: user.ID, knownAddress: s.Blind.Key("known", address),
	}
	if isEmail(name) {
		a.Email = s.emailLane(name)
	}
	return a, s.look(ctx, a)
}

func (s *Service) emailLane(key string) string { return s.Blind.Key("email", key) }

// look reads how a try stands now.
func (s *Service) look(ctx context.Context, a *attempt) (err error) {
	if a.blocks, err = s.db.ReadBlocks(ctx, a.Lanes, a.userID, a.knownAddress); err != nil {
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
func (s *Service) fail(ctx context.Context, a *attempt, wrong error) error {
	lanes := []string{a.Account}
	switch {
	case a.known:
		lanes = []string{a.Known}
	case a.Email != "":
		lanes = append(lanes, a.Email)
	}
	for _, lane := range lanes {
		if err := s.count(ctx, lane, freeFailures, s.Now().Add(failureMemory)); err != nil {
			return err
		}
	}
	err := s.count(ctx, a.Address, freeFailuresOfAddress, s.Now().Truncate(addressMemory).Add(addressMemory))
	if err == nil || a.known && isThrottled(err) {
		return wrong
	}
	return err
}

// count counts a failure; TooManyRequests when the key is blocked by now. That wait has only just begun.
// Who hangs up before the answer is counted too, or guessing many at once and leaving would be free.
func (s *Service) count(ctx context.Context, key string, free int, clearAt time.Time) error {
	counted, err := s.db.CountFailure(context.WithoutCancel(ctx), store.Throttle{Key: key, Free: free, ClearAt: clearAt}, s.Now())
	if err == nil && !counted {
		err = errThrottled(time.Second)
	}
	return err
}

// succeed clears what the try's own lane has counted, by whichever of the account's names, and
// remembers the address.
func (s *Service) succeed(ctx context.Context, q *store.Queries, a *attempt, user store.User) error {
	var lanes []string
	switch {
	case a.known && a.blocks.KnownFailures:
		lanes = []string{a.Known}
	case !a.known && a.blocks.AccountFailures:
		lanes = []string{a.Account}
		if user.EmailVerified {
			lanes = append(lanes, s.emailLane(user.EmailKey))
		}
	}
	for _, lane := range lanes {
		if err := q.ClearThrottle(ctx, lane, s.Now()); err != nil {
			return err
		}
	}
	if now := s.Now(); now.Sub(a.blocks.KnownSince) > knownAddressStep {
		return q.RememberAddress(ctx, user.ID, a.knownAddress, now, maxKnownAddresses)
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
