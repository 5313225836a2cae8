package store

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"sesame/server/internal/problem"
)

// The rows that a transaction locks before it decides anything. Two transactions that lock in the same order cannot wait for
// each other:
//
//  1. the ownership of addresses (LockAddresses), all that it needs at once;
//  2. the row of the user (LockUser, LockUnchanged);
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
		if err := q.later(ctx, `UPDATE address_locks SET changes = changes + 1 WHERE slot = $1`, slot); err != nil {
			return err
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

// LockUnchanged locks the row of an enabled user that is as it was read, as far as sessions and mails depend on it, if none
// of up to four counters makes the user wait. Errors: ErrNotFound; see must, and TxUnchanged. The transaction waits for a
// change of the account that is in progress, and a later change sees the session that the transaction creates. So no login
// outlives the account, its password or a granted scope.
func (q *Queries) LockUnchanged(ctx context.Context, u User, now time.Time, counters ...string) error {
	var keys [4]string // "" is no key
	copy(keys[:], counters)
	var resetAt int64
	if !u.FactorsResetAt.IsZero() {
		resetAt = micros(u.FactorsResetAt)
	}
	return q.must(ctx, `
		UPDATE users SET updated_at = updated_at
		WHERE id = $1 AND NOT disabled AND COALESCE(password_hash, '') = $2 AND scopes = $3 AND COALESCE(email, '') = $4 AND email_verified = $5 AND factors = $12 AND COALESCE(factors_reset_at, 0) = $13
			AND NOT EXISTS (SELECT 1 FROM throttles WHERE key IN ($6, $7, $8, $9) AND blocked_until > $10 AND blocked_until <= $11)`,
		u.ID, u.PasswordHash.Reveal(), u.Scopes, u.Email, u.EmailVerified, keys[0], keys[1], keys[2], keys[3], micros(now), stale(now, LongestWait), u.Factors, resetAt)
}

// maxReads is how often TxUnchanged reads the user.
const maxReads = 5

// TxUnchanged is Tx for a user who has proved the password, with a function that calls LockUnchanged. If something else
// of the user has changed since it was read, it calls check, if there is one, and begins again with the user as it is.
// Errors: ErrNotFound when the user was deleted or disabled, or has another password.
func (db *DB) TxUnchanged(ctx context.Context, u User, check func() error, f func(*Queries, User) error) error {
	for range maxReads {
		err := db.Tx(ctx, func(q *Queries) error { return f(q, u) })
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if check != nil {
			if err = check(); err != nil {
				return err
			}
		}
		verified := u.PasswordHash.Reveal()
		if u, err = db.UserByID(ctx, u.ID); err != nil {
			return err
		}
		if u.Disabled || u.PasswordHash.Reveal() != verified {
			return ErrNotFound
		}
	}
	return errChanged
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
// administrator's rights must not run beside another one that does: it takes this lock before it counts the others. So does one that
// makes something of which an installation has a maximum.
func (q *Queries) LockAdministration(ctx context.Context) error {
	return q.later(ctx, `UPDATE administration SET changes = changes + 1`)
}
