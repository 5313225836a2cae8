package store

import (
	"context"
	"time"
)

// Throttle is a counter.
type Throttle struct {
	Key     string
	Free    int       // how many failures cost no wait
	ClearAt time.Time // when the counter expires
}

// Counters are the keys under which the failures of a login are counted; "" is not used.
type Counters struct {
	Account string
	Email   string // the address that was typed, if it was one
	Known   string // the account, in one network
	Address string // the network: an IPv4 address, or an IPv6 /64
	Site    string // the /48 around it; "" for IPv4
}

// KnownAddress is what a network is stored as: the keyed hash, and that of the second master key or "".
type KnownAddress struct{ Key, SecondKey string }

// ThrottleState is the state of the counters of a login. A time without a row is 1970.
type ThrottleState struct {
	Account, Known, Address, Site time.Time // until when each blocks logins; Account is the later of Account and Email
	KnownSince                    time.Time // the last recorded login of the account from the network
	RecordedAt                    time.Time // the same, under the key of the master key alone
}

// A wait that ends later than the longest one from now is stale: a clock that was ahead has made it. It counts as ended, or
// else that clock would block an account for as long as it was ahead. maxSkew allows for clocks of replicas that differ.
const (
	maxSkew     = time.Minute
	LongestWait = 15 * time.Minute // of CountFailure
	mailWait    = time.Hour        // of CountMail
)

// Pending reports whether a wait that lasts at most longest still has to be waited for.
func Pending(until, now time.Time, longest time.Duration) bool {
	return until.After(now) && !until.After(now.Add(longest+maxSkew))
}

// stale returns the time after which the end of a wait is stale.
func stale(now time.Time, longest time.Duration) int64 { return micros(now.Add(longest + maxSkew)) }

// ReadThrottles reads the counters of a login in one query. userID may be "" for an unknown user; the work is the same.
func (q *Queries) ReadThrottles(ctx context.Context, counters Counters, userID string, known KnownAddress, now time.Time) (b ThrottleState, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT COALESCE(MAX(CASE WHEN key IN ($1, $2) AND blocked_until <= $8 THEN blocked_until END), 0),
			COALESCE(MAX(CASE WHEN key = $3 AND blocked_until <= $8 THEN blocked_until END), 0),
			COALESCE(MAX(CASE WHEN key = $4 AND blocked_until <= $8 THEN blocked_until END), 0), COALESCE(MAX(CASE WHEN key = $5 AND blocked_until <= $8 THEN blocked_until END), 0),
			COALESCE((SELECT MAX(last_used_at) FROM known_addresses WHERE user_id = $6 AND address IN ($7, $9)), 0),
			COALESCE((SELECT last_used_at FROM known_addresses WHERE user_id = $6 AND address = $7), 0)
		FROM throttles WHERE key IN ($1, $2, $3, $4, $5)`, counters.Account, counters.Email, counters.Known, counters.Address, counters.Site, userID, known.Key, stale(now, LongestWait), known.SecondKey)
	err = translate(row.Scan(timeScanner{&b.Account}, timeScanner{&b.Known}, timeScanner{&b.Address}, timeScanner{&b.Site}, timeScanner{&b.KnownSince}, timeScanner{&b.RecordedAt}))
	return b, err
}

// CountFailure counts one failure, unless the key is blocked: then it changes nothing and reports false. With any number
// of concurrent calls, on any number of replicas, it counts no more than the free failures and one after each wait. The
// waits are 1 s, doubling to 15 min.
func (q *Queries) CountFailure(ctx context.Context, t Throttle, now time.Time) (counted bool, err error) {
	n, err := affected(q.write.ExecContext(ctx, `
		INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ($1, 1, $2, 0, $3)
		ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN throttles.clear_at <= $4 OR throttles.blocked_until > $5 THEN 1 ELSE throttles.failures + 1 END,
			blocked_until = CASE
				WHEN throttles.clear_at <= $4 OR throttles.blocked_until > $5 OR throttles.failures + 1 < throttles.free THEN 0
				WHEN throttles.failures + 1 >= throttles.free + 10 THEN $4 + 900000000
				ELSE $4 + (1000000 << (throttles.failures + 1 - throttles.free)) END,
			clear_at = excluded.clear_at
		WHERE throttles.blocked_until <= $4 OR throttles.blocked_until > $5`,
		t.Key, t.Free, micros(t.ClearAt), micros(now), stale(now, LongestWait)))
	return n > 0, err
}

// CountUse counts one use, unless Free uses are counted already: then it changes nothing and reports false, until ClearAt.
// With any number of concurrent calls, on any number of replicas, it counts no more. The first use sets ClearAt.
func (q *Queries) CountUse(ctx context.Context, t Throttle, now time.Time) (counted bool, err error) {
	n, err := affected(q.write.ExecContext(ctx, `
		INSERT INTO throttles (key, failures, free, blocked_until, clear_at) VALUES ($1, 1, $2, 0, $3)
		ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN throttles.clear_at <= $4 OR throttles.clear_at > $5 THEN 1 ELSE throttles.failures + 1 END,
			free = excluded.free,
			clear_at = CASE WHEN throttles.clear_at <= $4 OR throttles.clear_at > $5 THEN excluded.clear_at ELSE throttles.clear_at END
		WHERE throttles.failures < $2 OR throttles.clear_at <= $4 OR throttles.clear_at > $5`,
		t.Key, t.Free, micros(t.ClearAt), micros(now), stale(t.ClearAt, 0)))
	return n > 0, err
}

// LimitReachedUntil returns when CountUse counts a use again, for Pending; a time in the past if it does so now.
func (q *Queries) LimitReachedUntil(ctx context.Context, key string, free int) (until time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(clear_at), 0) FROM throttles WHERE key = $1 AND failures >= $2`, key, free)
	return until, translate(row.Scan(timeScanner{&until}))
}

// CountMail counts a mail, unless the last one was less than a minute ago, or was the fifth with less than an hour between
// each and the next: then it changes nothing and reports false, until an hour has passed since the last one. So it allows
// at most five in an hour, and when it refuses one, the last is at most an hour old.
func (q *Queries) CountMail(ctx context.Context, key string, now time.Time) (counted bool, err error) {
	return q.countMail(ctx, key, now, `TRUE`)
}

// MailsRefusedUntil returns until when CountMail refuses; a time in the past if it does not.
func (q *Queries) MailsRefusedUntil(ctx context.Context, key string) (until time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(blocked_until), 0) FROM throttles WHERE key = $1`, key)
	return until, translate(row.Scan(timeScanner{&until}))
}

// CountNewPlaceMail is CountMail for a mail about a network that is unknown for a user. It counts none if all are.
func (q *Queries) CountNewPlaceMail(ctx context.Context, key, userID string, now time.Time) (counted bool, err error) {
	return q.countMail(ctx, key, now, `EXISTS (SELECT 1 FROM known_addresses WHERE user_id = $7)`, userID)
}

func (q *Queries) countMail(ctx context.Context, key string, now time.Time, condition string, args ...any) (counted bool, err error) {
	const atOnce = 5
	args = append([]any{key, atOnce, micros(now.Add(mailWait)), micros(now), micros(now.Add(time.Minute)), stale(now, mailWait)}, args...)
	n, err := affected(q.write.ExecContext(ctx, `
		INSERT INTO throttles (key, failures, free, blocked_until, clear_at)
		SELECT $1, 1, CAST($2 AS BIGINT), CAST($5 AS BIGINT), CAST($3 AS BIGINT) WHERE `+condition+`
		ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN throttles.clear_at <= $4 OR throttles.blocked_until > $6 THEN 1 ELSE throttles.failures + 1 END,
			blocked_until = CASE
				WHEN throttles.clear_at <= $4 OR throttles.blocked_until > $6 OR throttles.failures + 1 < throttles.free THEN $5
				ELSE $3 END,
			clear_at = $3
		WHERE throttles.blocked_until <= $4 OR throttles.blocked_until > $6`, args...))
	return n > 0, err
}

// ThrottleUnreported reports whether the current wait of a key has no event yet. Most refused attempts call only this, and
// write nothing.
func (q *Queries) ThrottleUnreported(ctx context.Context, key string) (unreported bool, err error) {
	err = translate(q.read.QueryRowContext(ctx, `SELECT told <> blocked_until FROM throttles WHERE key = $1`, key).Scan(&unreported))
	return unreported, IgnoreNotFound(err)
}

// ReportThrottle records that the current wait of a key has an event. Of concurrent calls one succeeds. Errors:
// ErrNotFound; see must.
func (q *Queries) ReportThrottle(ctx context.Context, key string) error {
	return q.must(ctx, `UPDATE throttles SET told = blocked_until WHERE key = $1 AND told <> blocked_until`, key)
}

// ClearThrottle deletes a counter, unless it blocks logins.
func (q *Queries) ClearThrottle(ctx context.Context, key string, now time.Time) error {
	return q.later(ctx, `DELETE FROM throttles WHERE key = $1 AND (blocked_until <= $2 OR blocked_until > $3)`, key, micros(now), stale(now, LongestWait))
}

// DropThrottle deletes a counter, even if it blocks logins.
func (q *Queries) DropThrottle(ctx context.Context, key string) error {
	return q.later(ctx, `DELETE FROM throttles WHERE key = $1`, key)
}

// DeleteKnownAddresses deletes the known networks of a user.
func (q *Queries) DeleteKnownAddresses(ctx context.Context, userID string) error {
	return q.later(ctx, `DELETE FROM known_addresses WHERE user_id = $1`, userID)
}

// AddKnownAddress records that a user has logged in from a network, and keeps the most recent ones.
func (q *Queries) AddKnownAddress(ctx context.Context, userID, address string, now time.Time, keep int) error {
	err := q.later(ctx, `
		INSERT INTO known_addresses (user_id, address, last_used_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, address) DO UPDATE SET last_used_at = excluded.last_used_at`,
		userID, address, micros(now))
	if err != nil {
		return err
	}
	return q.later(ctx, `
		WITH oldest AS MATERIALIZED (
			SELECT address FROM known_addresses WHERE user_id = $1
			ORDER BY last_used_at DESC, address LIMIT 1000 OFFSET $2)
		DELETE FROM known_addresses WHERE user_id = $1 AND address IN (SELECT address FROM oldest)`, userID, keep)
}
