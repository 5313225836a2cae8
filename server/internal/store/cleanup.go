package store

import (
	"context"
	"time"
)

// What is over is removed by a batch at a time, oldest first, so that nobody waits for long. Each of these
// removes up to limit rows and says how many; when it is fewer than limit, there are no more for now.

// DeleteExpiredSessions removes sessions that have expired.
func (q *Queries) DeleteExpiredSessions(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "sessions", "id", "expires_at <= $1", "expires_at", now, limit)
}

// DeleteExpiredCodes removes codes that have expired.
func (q *Queries) DeleteExpiredCodes(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "one_time_codes", "hash", "expires_at <= $1", "expires_at", now, limit)
}

// DeleteExpiredRevokedTokens removes the ids of tokens that have expired.
func (q *Queries) DeleteExpiredRevokedTokens(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "revoked_tokens", "id", "expires_at <= $1", "expires_at", now, limit)
}

// DeleteExpiredThrottles removes counts that are over.
func (q *Queries) DeleteExpiredThrottles(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "throttles", "key", "clear_at <= $1 AND blocked_until <= $1", "clear_at", now, limit)
}

// DeleteKnownAddressesBefore removes addresses that were last used before a moment.
func (q *Queries) DeleteKnownAddressesBefore(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "known_addresses", "user_id, address", "last_used_at <= $1", "last_used_at", before, limit)
}

// DeleteEventsBefore removes those of the limit oldest events that happened before a moment. It looks at no
// more of them: ids sort by time, and there is no index on the time itself.
func (q *Queries) DeleteEventsBefore(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	return q.deleteBatch(ctx, "events", "id", "ORDER BY id", "at < $1", before, limit)
}

// forget removes up to limit rows of a table that are over. key is its primary key, and order what an index
// finds the oldest by.
func (q *Queries) deleteExpired(ctx context.Context, table, key, over, order string, moment time.Time, limit int) (deleted int64, err error) {
	return q.deleteBatch(ctx, table, key, "WHERE "+over+" ORDER BY "+order, over, moment, limit)
}

// deleteBatch looks at limit rows, and removes those that are over.
//
// On PostgreSQL it passes over the rows that others hold: it waits for nobody, so no deadlock has a part in
// it, and replicas that tidy at once share the work. A row that was used again since it was found, as a
// count may be, is looked at once more when it is locked, and stays.
func (q *Queries) deleteBatch(ctx context.Context, table, key, search, over string, moment time.Time, limit int) (deleted int64, err error) {
	result, err := q.write.ExecContext(ctx, `
		WITH batch AS MATERIALIZED (SELECT `+key+` FROM `+table+` `+search+` LIMIT $2`+q.skipLocked+`)
		DELETE FROM `+table+` WHERE `+over+` AND (`+key+`) IN (SELECT `+key+` FROM batch)`, micros(moment), limit)
	if err != nil {
		return 0, translate(err)
	}
	return result.RowsAffected()
}
