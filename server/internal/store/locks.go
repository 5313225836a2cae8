package store

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"

	"sesame/server/internal/problem"
)

// The rows that a transaction locks before it decides anything. Two transactions that lock in the same order cannot wait for
// each other:
//
//  1. the ownership of addresses (LockAddresses), all that it needs at once;
//  2. the row of the user (LockUser, LockVerifiedUser);
//  3. the rows that belong to the user, and the rows of users who lose their claim to a locked address;
//  4. the administration row (LockAdministration). A transaction that holds it locks no further user.
//
// Each lock is an UPDATE, which also works at the isolation level repeatable read and on databases without advisory locks:
// a transaction that began before the holder of the lock has committed is run again.

// addressSlots is how many rows address_locks has. Two addresses share one with a probability of 1 in addressSlots, and then
// only wait for each other.
const addressSlots = 4096

// errChanged makes Tx run a transaction again that has locked too little, because a row has changed since it was read.
var errChanged = problem.Wrap(problem.Unavailable, "The account was changed several times just now. Try again shortly.",
	errors.New("the account changed while the transaction waited for its locks"))

// LockAddresses locks the ownership of folded addresses until the transaction ends: which account has confirmed them, and
// which claim them. "" locks nothing.
func (q *Queries) LockAddresses(ctx context.Context, emailKeys ...string) error {
	slots := make([]int64, 0, len(emailKeys))
	for _, key := range emailKeys {
		if key != "" {
			slots = append(slots, addressSlot(key))
		}
	}
	slices.Sort(slots)
	for _, slot := range slices.Compact(slots) {
		if _, err := q.write.ExecContext(ctx, `UPDATE address_locks SET changes = changes + 1 WHERE slot = $1`, slot); err != nil {
			return translate(err)
		}
	}
	return nil
}

func addressSlot(emailKey string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(emailKey))
	return int64(h.Sum32() % addressSlots)
}

// LockUser is UserByID that locks the row until the transaction ends. Errors: ErrNotFound.
func (q *Queries) LockUser(ctx context.Context, id string) (u User, err error) {
	err = q.writeRow(ctx, u.loginFields(), `UPDATE users SET updated_at = updated_at WHERE id = $1 RETURNING `+loginColumns, id)
	return u, err
}

// LockUserAndAddress locks the ownership of a folded address and of the user's own, and then the user. Both addresses,
// because a transaction that confirms an address locks the users who claim it: two users who claim each other's address
// would otherwise wait for each other. known is the user as it was read before. If the address of the user is another one by now,
// the transaction begins again, with that address in known. Errors: ErrNotFound.
func (q *Queries) LockUserAndAddress(ctx context.Context, known *User, emailKey string) (u User, err error) {
	if err = q.LockAddresses(ctx, emailKey, known.EmailKey); err != nil {
		return u, err
	}
	if u, err = q.LockUser(ctx, known.ID); err != nil {
		return u, err
	}
	if u.EmailKey != "" && u.EmailKey != emailKey && u.EmailKey != known.EmailKey {
		known.EmailKey = u.EmailKey
		return u, errChanged
	}
	return u, nil
}

// LockAdministration locks the administration row until the transaction ends. A transaction that takes away the last
// administrator's rights must not run beside another one that does: it takes this lock before it counts the others.
func (q *Queries) LockAdministration(ctx context.Context) error {
	_, err := q.write.ExecContext(ctx, `UPDATE administration SET changes = changes + 1`)
	return translate(err)
}
