package store

import (
	"context"
	"time"
)

// Logout is a row of logouts: a session that has ended, and whose client receives a logout token. A trigger inserts it (migration 21).
type Logout struct {
	SessionID    string
	ClientID     string
	UserID       string
	ExpiresAt    time.Time // of the session
	Attempts     int       // how often it was claimed
	ClaimedUntil time.Time // the end of the last lease
}

// LongestLogoutPause is the longest time from a failed attempt to send a logout token until the next one.
const LongestLogoutPause = time.Hour

const dueLogout = `(next_try_at <= $1 OR next_try_at > $2) AND (claimed_until <= $1 OR claimed_until > $3)`

// ClaimLogouts claims up to limit logouts that are due and not claimed, until the lease ends. Where none is due it writes nothing.
// A time that is too late is treated as by ClaimMails.
func (q *Queries) ClaimLogouts(ctx context.Context, now, lease time.Time, limit int) ([]Logout, error) {
	var due bool
	until := []any{micros(now), stale(now, LongestLogoutPause), stale(lease, 0)}
	if err := q.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM logouts WHERE `+dueLogout+`)`, until...).Scan(&due); err != nil || !due {
		return nil, translate(err)
	}
	fields := func(l *Logout) []any {
		return []any{&l.SessionID, &l.ClientID, &l.UserID, timeScanner{&l.ExpiresAt}, &l.Attempts, timeScanner{&l.ClaimedUntil}}
	}
	return writeRows(ctx, q, fields, `
		WITH batch AS MATERIALIZED (SELECT session_id FROM logouts WHERE `+dueLogout+` ORDER BY next_try_at LIMIT $5`+q.skipLocked+`)
		UPDATE logouts SET claimed_until = $4, attempts = attempts + 1, first_claimed_at = CASE WHEN first_claimed_at = 0 THEN $1 ELSE first_claimed_at END
		WHERE session_id IN (SELECT session_id FROM batch)
		RETURNING session_id, client_id, user_id, expires_at, attempts, claimed_until`, append(until, micros(lease), limit)...)
}

// WaitingLogouts returns how many logouts there are whose tokens are neither sent nor dropped, and when the oldest one was first claimed;
// the zero time if none was.
func (q *Queries) WaitingLogouts(ctx context.Context) (n int64, oldest time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COUNT(*), MIN(CASE WHEN first_claimed_at > 0 THEN first_claimed_at END) FROM logouts`)
	return n, oldest, translate(row.Scan(&n, timeScanner{&oldest}))
}

// DeleteLogout deletes a logout whose token was sent or dropped.
func (q *Queries) DeleteLogout(ctx context.Context, sessionID string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM logouts WHERE session_id = $1`, sessionID)
	return translate(err)
}

// RetryLogout releases a logout until it is due again, unless the lease has ended and another replica has claimed it.
func (q *Queries) RetryLogout(ctx context.Context, l Logout, at time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE logouts SET claimed_until = 0, next_try_at = $3 WHERE session_id = $1 AND claimed_until = $2`,
		l.SessionID, micros(l.ClaimedUntil), micros(at))
	return translate(err)
}
