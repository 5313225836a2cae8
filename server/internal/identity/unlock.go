package identity

import (
	"context"

	"sesame/server/internal/audit"
	"sesame/server/internal/network"
	"sesame/server/internal/store"
)

// maxNetworks bounds how many networks of an account Unlock looks at.
const maxNetworks = 1000

// Unlock ends the waiting periods of an account, so that its owner can log in at once, from every network. Waits of a whole network
// are not those of an account and stay. by is nil at the command line. Errors: NotFound; those of MayAdminister.
//
// A counter of a known network has the network in its key, so it cannot be found by the account. The account has logged in from every
// known network, so its events and its sessions name the network.
func (s *Service) Unlock(ctx context.Context, by *Caller, userID string) error {
	return NoSuchUser(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err = s.MayAdminister(by, user); err != nil {
			return err
		}
		addresses, err := q.AddressesOf(ctx, user.ID, maxNetworks)
		if err != nil {
			return err
		}
		keys := []string{s.loginCounters(user.UsernameKey, network.Network{}).Account, s.sessionCounter(user.ID), s.deviceCounter(user.ID)}
		if user.EmailVerified { // or else the address may be that of another account, too
			keys = append(keys, s.emailCounter(user.EmailKey))
		}
		for _, address := range addresses {
			keys = append(keys, s.loginCounters(user.UsernameKey, network.Of(address)).Known)
		}
		for _, key := range keys {
			if err = q.DropThrottle(ctx, key); err != nil {
				return err
			}
		}
		return audit.Record(ctx, q, audit.AccountUnlocked, audit.Event(ctx, user, by.Actor()), s.Now())
	}))
}
