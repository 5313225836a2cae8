package store

import (
	"context"
	"time"
)

// Mail is a row of mails: a mail in the queue.
type Mail struct {
	ID           string
	Kind         string
	Payload      string    // sealed
	Attempts     int       // how often it was claimed
	ClaimedUntil time.Time // the end of the last lease
	CreatedAt    time.Time
	NextTryAt    time.Time // only from ListMails, as is the next field
	LastError    string    // why the last attempt has failed
}

// EnqueueMail inserts a mail, which is due at once.
func (q *Queries) EnqueueMail(ctx context.Context, m Mail) error {
	return q.later(ctx, `
		INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at)
		VALUES ($1, $2, $3, 0, $4, 0, $4)`, m.ID, m.Kind, m.Payload, micros(m.CreatedAt))
}

// LongestMailPause is the longest time from a failed attempt to send a mail until the next one.
const LongestMailPause = time.Hour

// ClaimMails claims up to limit mails that are due and not claimed, until the lease ends. A time that is later than the
// longest pause or lease from now is that of a clock that was ahead, and counts as past. The batch is a MATERIALIZED
// expression, because the planner of PostgreSQL might run a subquery with a limit more than once (decision 36).
func (q *Queries) ClaimMails(ctx context.Context, now, lease time.Time, limit int) ([]Mail, error) {
	fields := func(m *Mail) []any {
		return []any{&m.ID, &m.Kind, &m.Payload, &m.Attempts, timeScanner{&m.ClaimedUntil}, timeScanner{&m.CreatedAt}}
	}
	return writeRows(ctx, q, fields, `
		WITH batch AS MATERIALIZED (
			SELECT id FROM mails WHERE (next_try_at <= $1 OR next_try_at > $4) AND (claimed_until <= $1 OR claimed_until > $5)
			ORDER BY next_try_at LIMIT $3`+q.skipLocked+`)
		UPDATE mails SET claimed_until = $2, attempts = attempts + 1 WHERE id IN (SELECT id FROM batch)
		RETURNING id, kind, payload, attempts, claimed_until, created_at`,
		micros(now), micros(lease), limit, stale(now, LongestMailPause), stale(lease, 0))
}

// WaitingMails returns how many mails there are that are neither sent nor dropped, and when the oldest one was stored.
func (q *Queries) WaitingMails(ctx context.Context) (n int64, oldest time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT count(*), min(created_at) FROM mails`)
	err = translate(row.Scan(&n, timeScanner{&oldest}))
	return n, oldest, err
}

// DeleteMail deletes a mail that was sent or dropped, even if another replica has claimed it.
func (q *Queries) DeleteMail(ctx context.Context, id string) error {
	return q.later(ctx, `DELETE FROM mails WHERE id = $1`, id)
}

// RetryMail releases a mail until it is due again, unless the lease has ended and another replica has claimed it. It stores
// why the attempt has failed.
func (q *Queries) RetryMail(ctx context.Context, m Mail, at time.Time, reason string) error {
	return q.later(ctx, `
		UPDATE mails SET claimed_until = 0, next_try_at = $3, last_error = $4 WHERE id = $1 AND claimed_until = $2`,
		m.ID, micros(m.ClaimedUntil), micros(at), reason)
}

// ListMails lists mails whose id is smaller than another one, the latest first.
func (q *Queries) ListMails(ctx context.Context, before string, limit int) ([]Mail, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT id, kind, payload, attempts, claimed_until, created_at, next_try_at, last_error
		FROM mails WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
	return collect(rows, err, func(m *Mail) []any {
		return []any{&m.ID, &m.Kind, &m.Payload, &m.Attempts, timeScanner{&m.ClaimedUntil}, timeScanner{&m.CreatedAt}, timeScanner{&m.NextTryAt}, &m.LastError}
	})
}

// HurryMail makes a mail due. Errors: ErrNotFound.
func (q *Queries) HurryMail(ctx context.Context, id string, now time.Time) error {
	return q.writeRow(ctx, []any{&id}, `UPDATE mails SET next_try_at = $2 WHERE id = $1 RETURNING id`, id, micros(now))
}

// RemoveMail deletes a mail that is not sent yet, and returns its kind. Errors: ErrNotFound.
func (q *Queries) RemoveMail(ctx context.Context, id string) (kind string, err error) {
	return kind, q.writeRow(ctx, []any{&kind}, `DELETE FROM mails WHERE id = $1 RETURNING kind`, id)
}
