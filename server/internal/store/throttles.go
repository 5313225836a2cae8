package store

import (
	"context"
	"errors"
	"time"
)

// Throttle is what is counted under one key.
type Throttle struct {
	Key     string
	Free    int       // failures that cost no wait
	ClearAt time.Time // when a count that is made now is deleted
}

// Counters are the keys that a login's failures are counted under; "" is one that does not matter.
type Counters struct {
	Account string
	Email   string // what was typed, if it was an address
	Known   string // the account, from an address of the network that it has logged in from before
	Address string // of the network: an IPv4 address, or an IPv6 /64
	Site    string // the /48 around that; "" for IPv4
}

// ThrottleState is how a login stands before its password is looked at. A time is 1970 where there is no row.
type ThrottleState struct {
	Account, Known, Address, Site time.Time // until when each is blocked; Account is the later of Account and Email
	AccountFailures               bool      // whether there is something to clear
	KnownFailures                 bool
	KnownSince                    time.Time // when the account was last noted to log in from the address
}

// ReadThrottles reads the counts of a login in one go. userID and knownAddress may be of nobody: the work
// is the same.
func (q *Queries) ReadThrottles(ctx context.Context, counters Counters, userID, knownAddress string) (b ThrottleState, err error) {
	var accountFailures, knownFailures int64
	row := q.read.QueryRowContext(ctx, `
		SELECT COALESCE(MAX(CASE WHEN key IN ($1, $2) THEN blocked_until END), 0), COALESCE(MAX(CASE WHEN key IN ($1, $2) THEN failures END), 0),
			COALESCE(MAX(CASE WHEN key = $3 THEN blocked_until END), 0), COALESCE(MAX(CASE WHEN key = $3 THEN failures END), 0),
			COALESCE(MAX(CASE WHEN key = $4 THEN blocked_until END), 0), COALESCE(MAX(CASE WHEN key = $5 THEN blocked_until END), 0),
			COALESCE((SELECT last_used_at FROM known_addresses WHERE user_id = $6 AND address = $7), 0)
		FROM throttles WHERE key IN ($1, $2, $3, $4, $5)`, counters.Account, counters.Email, counters.Known, counters.Address, counters.Site, userID, knownAddress)
	err = translate(row.Scan(timeScanner{&b.Account}, &accountFailures, timeScanner{&b.Known}, &knownFailures, timeScanner{&b.Address}, timeScanner{&b.Site}, timeScanner{&b.KnownSince}))
	b.AccountFailures, b.KnownFailures = accountFailures > 0, knownFailures > 0
	return b, err
}

// CountFailure counts one failure, unless the key is blocked at that moment: then it changes nothing
// and reports false. However many do it at once, on however many replicas, no more are counted than
// the free ones and one after each wait. The waits are 1 s, doubling to 15 min.
func (q *Queries) CountFailure(ctx context.Context, t Throttle, now time.Time) (counted bool, err error) {
	result, err := q.write.ExecContext(ctx, `
		INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ($1, 1, $2, 0, $3)
		ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN throttles.clear_at <= $4 THEN 1 ELSE throttles.failures + 1 END,
			blocked_until = CASE
				WHEN throttles.clear_at <= $4 OR throttles.failures + 1 < throttles.free THEN 0
				WHEN throttles.failures + 1 >= throttles.free + 10 THEN $4 + 900000000
				ELSE $4 + (1000000 << (throttles.failures + 1 - throttles.free)) END,
			clear_at = excluded.clear_at
		WHERE throttles.blocked_until <= $4`,
		t.Key, t.Free, micros(t.ClearAt), micros(now))
	if err != nil {
		return false, translate(err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// CountUse counts one use of what Free uses are allowed of until ClearAt, unless they are used up: then it changes nothing
// and reports false. However many do it at once, on however many replicas, no more are counted. The first use sets
// ClearAt for those that follow.
func (q *Queries) CountUse(ctx context.Context, t Throttle, now time.Time) (counted bool, err error) {
	result, err := q.write.ExecContext(ctx, `
		INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ($1, 1, $2, 0, $3)
		ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN throttles.clear_at <= $4 THEN 1 ELSE throttles.failures + 1 END,
			free = excluded.free,
			clear_at = CASE WHEN throttles.clear_at <= $4 THEN excluded.clear_at ELSE throttles.clear_at END
		WHERE throttles.failures < $2 OR throttles.clear_at <= $4`,
		t.Key, t.Free, micros(t.ClearAt), micros(now))
	if err != nil {
		return false, translate(err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// LimitReachedUntil gives when what CountUse counts may be used again; a time in the past if it may be used now.
func (q *Queries) LimitReachedUntil(ctx context.Context, key string, free int) (until time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(clear_at), 0) FROM throttles WHERE key = $1 AND failures >= $2`, key, free)
	return until, translate(row.Scan(timeScanner{&until}))
}

// CountMail counts a mail, unless the last one was less than a minute ago, or was the fifth with less than
// an hour between each and the next: then it changes nothing and reports false, until an hour has passed.
// So there are never more than five in an hour, and whenever one is refused, the last is not older.
func (q *Queries) CountMail(ctx context.Context, key string, now time.Time) (counted bool, err error) {
	const atOnce = 5
	result, err := q.write.ExecContext(ctx, `
		INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ($1, 1, $2, $5, $3)
		ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN throttles.clear_at <= $4 THEN 1 ELSE throttles.failures + 1 END,
			blocked_until = CASE
				WHEN throttles.clear_at <= $4 OR throttles.failures + 1 < throttles.free THEN $5
				ELSE $3 END,
			clear_at = $3
		WHERE throttles.blocked_until <= $4`, key, atOnce, micros(now.Add(time.Hour)), micros(now), micros(now.Add(time.Minute)))
	if err != nil {
		return false, translate(err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// ThrottleUnreported reports whether the block of a key has no event yet. Most tries that are turned away ask this, and
// write nothing.
func (q *Queries) ThrottleUnreported(ctx context.Context, key string) (unreported bool, err error) {
	err = translate(q.read.QueryRowContext(ctx, `SELECT told < blocked_until FROM throttles WHERE key = $1`, key).Scan(&unreported))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return unreported, err
}

// ReportThrottle notes that the block of a key has an event. Of several that try it one succeeds; ErrNotFound
// for the rest.
func (q *Queries) ReportThrottle(ctx context.Context, key string) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE throttles SET told = blocked_until WHERE key = $1 AND told < blocked_until`, key))
}

// ClearThrottle forgets a count, unless the key is blocked by now.
func (q *Queries) ClearThrottle(ctx context.Context, key string, now time.Time) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM throttles WHERE key = $1 AND blocked_until <= $2`, key, micros(now))
	return translate(err)
}

// DropThrottle forgets a count and the block that came of it.
func (q *Queries) DropThrottle(ctx context.Context, key string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM throttles WHERE key = $1`, key)
	return translate(err)
}

// HasKnownAddresses reports whether a user has logged in from anywhere that is remembered.
func (q *Queries) HasKnownAddresses(ctx context.Context, userID string) (any bool, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM known_addresses WHERE user_id = $1)`, userID)
	return any, translate(row.Scan(&any))
}

// DeleteKnownAddresses forgets from where a user has logged in.
func (q *Queries) DeleteKnownAddresses(ctx context.Context, userID string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM known_addresses WHERE user_id = $1`, userID)
	return translate(err)
}

// AddKnownAddress notes that a user has logged in from an address, and keeps the newest so many.
func (q *Queries) AddKnownAddress(ctx context.Context, userID, address string, now time.Time, keep int) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO known_addresses (user_id, address, last_used_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, address) DO UPDATE SET last_used_at = excluded.last_used_at`,
		userID, address, micros(now))
	if err != nil {
		return translate(err)
	}
	_, err = q.write.ExecContext(ctx, `
		DELETE FROM known_addresses WHERE user_id = $1 AND address IN (
			SELECT address FROM known_addresses WHERE user_id = $1
			ORDER BY last_used_at DESC, address LIMIT 1000 OFFSET $2)`, userID, keep)
	return translate(err)
}
