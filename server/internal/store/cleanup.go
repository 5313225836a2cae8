package store

import (
	"context"
	"time"
)

// Expired rows are deleted a batch at a time, oldest first, so that no request waits for long. Each method deletes up to
// limit rows and returns how many; fewer than limit means that no more are expired.

// DeleteExpiredSessions deletes expired sessions. A refresh moves the end of a session and leaves check_at, where the index
// finds it (migration 14). So of the sessions that are due for a check, it deletes those that have expired and moves check_at
// of the others to their present end. It returns how many it has deleted or moved, but
// at most limit.
func (q *Queries) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (checked int64, err error) {
	const due = "WHERE check_at <= $1 ORDER BY check_at"
	deleted, err := q.deleteBatch(ctx, "sessions", "id", due, "expires_at <= $1", now, limit)
	if err != nil {
		return deleted, err
	}
	// The same batch again, without the deleted rows: it begins with all that were not deleted.
	moved, err := affected(q.write.ExecContext(ctx, `
		WITH batch AS MATERIALIZED (SELECT id FROM sessions `+due+` LIMIT $2`+q.skipLocked+`)
		UPDATE sessions SET check_at = expires_at WHERE expires_at > $1 AND id IN (SELECT id FROM batch)`, micros(now), limit))
	return min(deleted+moved, int64(limit)), err
}

// DeleteExpiredCodes deletes expired codes.
func (q *Queries) DeleteExpiredCodes(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "one_time_codes", "hash", "expires_at <= $1", "expires_at", now, limit)
}

// DeleteExpiredRevokedTokens deletes the ids of revoked tokens that have expired.
func (q *Queries) DeleteExpiredRevokedTokens(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "revoked_tokens", "id", "expires_at <= $1", "expires_at", now, limit)
}

// DeleteExpiredThrottles deletes expired counters.
func (q *Queries) DeleteExpiredThrottles(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "throttles", "key", "clear_at <= $1 AND blocked_until <= $1", "clear_at", now, limit)
}

// DeleteKnownAddressesBefore deletes known networks that were last used before a time.
func (q *Queries) DeleteKnownAddressesBefore(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "known_addresses", "user_id, address", "last_used_at <= $1", "last_used_at", before, limit)
}

// DeleteEventsBefore deletes those of the limit oldest events that happened before a time. Ids sort by time, so it needs no
// index on the time itself.
func (q *Queries) DeleteEventsBefore(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	return q.deleteBatch(ctx, "events", "id", "ORDER BY id", "at < $1", before, limit)
}

// deleteExpired deletes up to limit rows of a table for which a condition holds. key is its primary key, and order the
// indexed column by which the oldest rows are found.
func (q *Queries) deleteExpired(ctx context.Context, table, key, condition, order string, moment time.Time, limit int) (deleted int64, err error) {
	return q.deleteBatch(ctx, table, key, "WHERE "+condition+" ORDER BY "+order, condition, moment, limit)
}

// deleteBatch searches limit rows, and deletes those for which a condition holds.
//
// On PostgreSQL it skips locked rows: it never waits, so it cannot cause a deadlock, and replicas that clean up at once
// share the work. The condition is checked again when a row is locked, so a row that was used meanwhile stays.
func (q *Queries) deleteBatch(ctx context.Context, table, key, search, condition string, moment time.Time, limit int) (deleted int64, err error) {
	return affected(q.write.ExecContext(ctx, `
		WITH batch AS MATERIALIZED (SELECT `+key+` FROM `+table+` `+search+` LIMIT $2`+q.skipLocked+`)
		DELETE FROM `+table+` WHERE `+condition+` AND (`+key+`) IN (SELECT `+key+` FROM batch)`, micros(moment), limit))
}
