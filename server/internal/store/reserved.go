package store

import (
	"context"
	"time"
)

// ReserveUsername prevents the public registration of a folded username until a time.
func (q *Queries) ReserveUsername(ctx context.Context, key string, until time.Time) error {
	return q.later(ctx, `
		INSERT INTO reserved_usernames (username_key, reserved_until) VALUES ($1, $2)
		ON CONFLICT (username_key) DO UPDATE SET reserved_until = excluded.reserved_until`, key, micros(until))
}

// UsernameReserved reports whether a folded username is reserved. A reservation that a clock in the future has made is not
// ignored, as a wait is: somebody could register the name of an account that was just deleted.
func (q *Queries) UsernameReserved(ctx context.Context, key string, now time.Time) (reserved bool, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM reserved_usernames WHERE username_key = $1 AND reserved_until > $2)`, key, micros(now))
	return reserved, translate(row.Scan(&reserved))
}

// DeleteExpiredReservations deletes expired reservations.
func (q *Queries) DeleteExpiredReservations(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "reserved_usernames", "username_key", "reserved_until <= $1", "reserved_until", now, limit)
}
