package store

import (
	"context"
	"time"
)

// Mail is a row of mails: one that waits to be sent.
type Mail struct {
	ID           string
	Kind         string
	Payload      string    // sealed
	Attempts     int       // how often it was claimed
	ClaimedUntil time.Time // the lease of who claimed it last
	CreatedAt    time.Time
}

// EnqueueMail inserts a mail that may be sent at once: as soon as the transaction of q is committed.
func (q *Queries) EnqueueMail(ctx context.Context, m Mail) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at)
		VALUES ($1, $2, $3, 0, $4, 0, $4)`, m.ID, m.Kind, m.Payload, micros(m.CreatedAt))
	return translate(err)
}

// ClaimMails takes up to limit mails that are due and that nobody is sending, and keeps them from all
// others until the lease is over. The condition stands twice: PostgreSQL looks at the outer one again
// when another replica has claimed the row in the meantime.
func (q *Queries) ClaimMails(ctx context.Context, now, lease time.Time, limit int) (mails []Mail, err error) {
	rows, err := q.write.QueryContext(ctx, `
		UPDATE mails SET claimed_until = $2, attempts = attempts + 1
		WHERE claimed_until <= $1 AND id IN (
			SELECT id FROM mails WHERE next_try_at <= $1 AND claimed_until <= $1 ORDER BY next_try_at LIMIT $3)
		RETURNING id, kind, payload, attempts, claimed_until, created_at`, micros(now), micros(lease), limit)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var m Mail
		if err = rows.Scan(&m.ID, &m.Kind, &m.Payload, &m.Attempts, timeScanner{&m.ClaimedUntil}, timeScanner{&m.CreatedAt}); err != nil {
			return nil, translate(err)
		}
		mails = append(mails, m)
	}
	return mails, translate(rows.Err())
}

// DeleteMail removes a mail that was sent or is given up, whoever has claimed it by now.
func (q *Queries) DeleteMail(ctx context.Context, id string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM mails WHERE id = $1`, id)
	return translate(err)
}

// RetryMail lets go of a mail and says when it is due again, unless the lease is over and another has it.
func (q *Queries) RetryMail(ctx context.Context, m Mail, at time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE mails SET claimed_until = 0, next_try_at = $3 WHERE id = $1 AND claimed_until = $2`,
		m.ID, micros(m.ClaimedUntil), micros(at))
	return translate(err)
}
