package store

import (
	"context"
	"time"
)

// Webhook is a row of webhooks: a server that receives events.
type Webhook struct {
	ID, URL, Description string
	Kinds                string // space-separated; "" for every kind
	Disabled             bool
	Secret, OldSecret    string    // sealed; OldSecret is "" for none
	OldSecretUntil       time.Time // until when OldSecret signs, too
	FailingSince         time.Time // the zero time if the last deliveries succeeded
	FullSince            time.Time // since when no event is queued, because too many wait; the zero time if they are
	CreatedAt            time.Time
}

const webhookColumns = `id, url, description, kinds, disabled, secret, old_secret, old_secret_until, failing_since, full_since, created_at`

func (w *Webhook) fields() []any {
	return []any{
		&w.ID, &w.URL, &w.Description, &w.Kinds, &w.Disabled, &w.Secret, &w.OldSecret,
		timeScanner{&w.OldSecretUntil},
		timeScanner{&w.FailingSince},
		timeScanner{&w.FullSince},
		timeScanner{&w.CreatedAt},
	}
}

// CreateWebhook inserts a webhook.
func (q *Queries) CreateWebhook(ctx context.Context, w Webhook) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO webhooks (id, url, description, kinds, disabled, secret, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		w.ID, w.URL, w.Description, w.Kinds, w.Disabled, w.Secret, micros(w.CreatedAt))
	return translate(err)
}

// WebhookByID finds a webhook. Errors: ErrNotFound.
func (q *Queries) WebhookByID(ctx context.Context, id string) (w Webhook, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+webhookColumns+` FROM webhooks WHERE id = $1`, id)
	return w, translate(row.Scan(w.fields()...))
}

// LockWebhook locks the row of a webhook until the transaction ends, and reads it. Errors: ErrNotFound.
func (q *Queries) LockWebhook(ctx context.Context, id string) (w Webhook, err error) {
	err = q.writeRow(ctx, w.fields(), `UPDATE webhooks SET id = id WHERE id = $1 RETURNING `+webhookColumns, id)
	return w, err
}

// ListWebhooks lists up to limit webhooks after an id, the oldest first.
func (q *Queries) ListWebhooks(ctx context.Context, after string, limit int) ([]Webhook, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+webhookColumns+` FROM webhooks WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	return collect(rows, err, (*Webhook).fields)
}

// UpdateWebhook replaces everything of a webhook but its id and its creation. Errors: ErrNotFound.
func (q *Queries) UpdateWebhook(ctx context.Context, w Webhook) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE webhooks SET url = $2, description = $3, kinds = $4, disabled = $5, secret = $6, old_secret = $7, old_secret_until = $8,
			failing_since = $9, full_since = $10 WHERE id = $1`,
		w.ID, w.URL, w.Description, w.Kinds, w.Disabled, w.Secret, w.OldSecret, micros(w.OldSecretUntil), orNull(w.FailingSince), orNull(w.FullSince)))
}

// ReplaceWebhookSecrets replaces sealed secrets by the same, sealed again. Errors: ErrNotFound when another process has replaced them.
func (q *Queries) ReplaceWebhookSecrets(ctx context.Context, was Webhook, secret, oldSecret string) error {
	return one(q.write.ExecContext(ctx, `UPDATE webhooks SET secret = $4, old_secret = $5 WHERE id = $1 AND secret = $2 AND old_secret = $3`,
		was.ID, was.Secret, was.OldSecret, secret, oldSecret))
}

// DeleteWebhook deletes a webhook, and leaves its deliveries to DeleteDeliveriesOf. Errors: ErrNotFound.
func (q *Queries) DeleteWebhook(ctx context.Context, id string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM webhooks WHERE id = $1`, id))
}

// SetWebhookFull sets since when the queue of a webhook is full; the zero time for a queue with room. It waits for no lock and keeps the
// value where another replica has set one.
func (q *Queries) SetWebhookFull(ctx context.Context, id string, since time.Time) error {
	_, err := q.write.ExecContext(ctx, `UPDATE webhooks SET full_since = $2 WHERE id = $1 AND (full_since IS NULL) <> (CAST($2 AS BIGINT) IS NULL)`, id, orNull(since))
	return translate(err)
}

// SetWebhookFailing sets since when every attempt of a webhook fails; the zero time if one has succeeded.
func (q *Queries) SetWebhookFailing(ctx context.Context, id string, since time.Time) error {
	_, err := q.write.ExecContext(ctx, `UPDATE webhooks SET failing_since = $2 WHERE id = $1 AND (failing_since IS NULL) <> (CAST($2 AS BIGINT) IS NULL)`, id, orNull(since))
	return translate(err)
}
