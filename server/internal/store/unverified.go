package store

import (
	"context"
	"time"
)

// Clients that no operator has made are of use only while people have agreed to them. Each is examined when it is a day old, and once
// a day from then on, so the cost of the cleanup does not grow with the number of the clients that are used.

// UnusedTTL is how long a client that no operator has made is kept while nobody uses it.
const UnusedTTL = 24 * time.Hour

// CountUnusedClients counts the clients that have registered themselves and that nobody has agreed to yet.
func (q *Queries) CountUnusedClients(ctx context.Context) (n int, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM clients WHERE registration = 'dynamic' AND NOT agreed`)
	return n, translate(row.Scan(&n))
}

// DeleteOldestUnusedClient deletes the oldest client that has registered itself before a time, and that nobody has agreed to. Errors:
// ErrNotFound if there is none.
func (q *Queries) DeleteOldestUnusedClient(ctx context.Context, before time.Time) error {
	return one(q.write.ExecContext(ctx, `
		WITH oldest AS MATERIALIZED (
			SELECT id FROM clients WHERE registration = 'dynamic' AND NOT agreed AND created_at < $1 ORDER BY created_at LIMIT 1`+q.skipLocked+`)
		DELETE FROM clients WHERE registration = 'dynamic' AND NOT agreed AND id IN (SELECT id FROM oldest)`, micros(before)))
}

// SaveDocumentClient stores a client with a metadata document, or changes it to what the document says now.
func (q *Queries) SaveDocumentClient(ctx context.Context, c Client, now time.Time) (created bool, err error) {
	n, err := affected(q.write.ExecContext(ctx, `
		UPDATE clients SET name = $2, name_key = $3, redirect_uris = $4, check_at = $5 WHERE id = $1`,
		c.ID, c.Name, clientKey(c.Name), c.RedirectURIs, micros(now.Add(UnusedTTL))))
	if err != nil || n > 0 {
		return false, err
	}
	return true, q.CreateClient(ctx, c)
}

// MarkClientAgreed records that a person agrees to a client that no operator has made. Errors: ErrNotFound.
func (q *Queries) MarkClientAgreed(ctx context.Context, id string, now time.Time) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE clients SET agreed = TRUE, check_at = $2 WHERE id = $1 AND registration <> 'operator'`, id, micros(now.Add(UnusedTTL))))
}

// DeleteUnusedClients deletes, of the clients that no operator has made and that are due, those that have no consent, and so no session
// either, and examines the others again in a day. It returns how many it has deleted or examined, but at most limit.
func (q *Queries) DeleteUnusedClients(ctx context.Context, now time.Time, limit int) (checked int64, err error) {
	const due = "WHERE registration <> 'operator' AND check_at <= $1 ORDER BY check_at"
	deleted, err := q.deleteBatch(ctx, "clients", "id", due, `registration <> 'operator' AND check_at <= $1
		AND NOT EXISTS (SELECT 1 FROM consents k WHERE k.client_id = clients.id)`, now, limit)
	if err != nil {
		return deleted, err
	}
	// The same batch again, without the deleted rows: it begins with all that are used.
	moved, err := affected(q.write.ExecContext(ctx, `
		WITH batch AS MATERIALIZED (SELECT id FROM clients `+due+` LIMIT $2`+q.skipLocked+`)
		UPDATE clients SET check_at = $3 WHERE id IN (SELECT id FROM batch)
			AND EXISTS (SELECT 1 FROM consents k WHERE k.client_id = clients.id)`,
		micros(now), limit, micros(now.Add(UnusedTTL))))
	return min(deleted+moved, int64(limit)), err
}
