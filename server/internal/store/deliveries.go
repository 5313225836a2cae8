package store

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// The states of a delivery.
const (
	DeliveryPending = "pending"
	DeliveryDone    = "delivered"
	DeliveryFailed  = "failed"
)

// Delivery is a row of webhook_deliveries: an event for a webhook. A trigger inserts it (migration 34).
type Delivery struct {
	WebhookID    string
	EventID      string
	Kind         string // of the event
	State        string
	Attempts     int // since it was queued
	QueuedAt     time.Time
	DueAt        time.Time // the next attempt of a pending one; while it is claimed, the end of the lease
	ClaimedUntil time.Time // the end of the last lease, or 1970
	AttemptedAt  time.Time // the last attempt; the zero time for none
	Duration     time.Duration
	Status       int    // of the answer; 0 for none
	Fault        string // why the last attempt failed
}

const deliveryColumns = `webhook_id, event_id, kind, state, attempts, queued_at, due_at, claimed_until, attempted_at, duration, status, fault`

func (d *Delivery) fields() []any {
	return []any{
		&d.WebhookID, &d.EventID, &d.Kind, &d.State, &d.Attempts,
		timeScanner{&d.QueuedAt},
		timeScanner{&d.DueAt},
		timeScanner{&d.ClaimedUntil},
		timeScanner{&d.AttemptedAt},
		durationScanner{&d.Duration},
		&d.Status, &d.Fault,
	}
}

// LongestDeliveryPause is the longest time from a failed attempt to deliver an event until the next one: 5 hours, and up to a fifth more.
const LongestDeliveryPause = 6 * time.Hour

// QueueDelivery queues an event for a webhook, whatever kinds it has chosen, unless it is queued.
func (q *Queries) QueueDelivery(ctx context.Context, webhookID string, e Event) error {
	return q.later(ctx, `
		INSERT INTO webhook_deliveries (webhook_id, event_id, kind, queued_at, due_at) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (webhook_id, event_id) DO NOTHING`, webhookID, e.ID, e.Kind, micros(e.At))
}

// WebhooksDue lists the webhooks that have a delivery which is due.
func (q *Queries) WebhooksDue(ctx context.Context, now time.Time) ([]Webhook, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+webhookColumns+` FROM webhooks WHERE NOT disabled AND EXISTS (
			SELECT 1 FROM webhook_deliveries WHERE webhook_id = webhooks.id AND state = 'pending' AND due_at <= $1)`, micros(now))
	return collect(rows, err, (*Webhook).fields)
}

// ClaimDeliveries claims up to limit deliveries of a webhook that are due, until the lease ends.
func (q *Queries) ClaimDeliveries(ctx context.Context, webhookID string, now, lease time.Time, limit int) ([]Delivery, error) {
	return writeRows(ctx, q, (*Delivery).fields, claimDeliveries(q.skipLocked), webhookID, micros(now), micros(lease), limit)
}

// claimDeliveries is the statement of ClaimDeliveries. The batch is MATERIALIZED as in ClaimMails. The update names the primary key and not
// the state again: without statistics, PostgreSQL would then read every delivery that waits, by the index of the batch.
func claimDeliveries(skipLocked string) string {
	return `
		WITH batch AS MATERIALIZED (
			SELECT event_id FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'pending' AND due_at <= $2
			ORDER BY due_at LIMIT $4` + skipLocked + `)
		UPDATE webhook_deliveries SET due_at = $3, claimed_until = $3, attempts = attempts + 1
		WHERE webhook_id = $1 AND event_id IN (SELECT event_id FROM batch)
		RETURNING ` + deliveryColumns
}

// RecordDelivery records the outcome of an attempt, and releases the delivery, unless the lease has ended and another replica has claimed
// it.
func (q *Queries) RecordDelivery(ctx context.Context, d Delivery) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE webhook_deliveries SET state = $4, due_at = $5, claimed_until = 0, attempted_at = $6, duration = $7, status = $8, fault = $9
		WHERE webhook_id = $1 AND event_id = $2 AND claimed_until = $3`,
		d.WebhookID, d.EventID, micros(d.ClaimedUntil), d.State, micros(d.DueAt), micros(d.AttemptedAt), d.Duration.Microseconds(), d.Status, d.Fault)
	return translate(err)
}

// ResendDelivery makes a delivery due, unless it is being sent. Errors: ErrNotFound when there is none, or it is being sent.
func (q *Queries) ResendDelivery(ctx context.Context, webhookID, eventID string, now time.Time) (d Delivery, err error) {
	err = q.writeRow(ctx, d.fields(), `
		UPDATE webhook_deliveries SET state = 'pending', attempts = 0, queued_at = $3, due_at = $3, claimed_until = 0
		WHERE webhook_id = $1 AND event_id = $2 AND claimed_until <= $3
		RETURNING `+deliveryColumns, webhookID, eventID, micros(now))
	return d, err
}

// DeliveryByID finds a delivery. Errors: ErrNotFound.
func (q *Queries) DeliveryByID(ctx context.Context, webhookID, eventID string) (d Delivery, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE webhook_id = $1 AND event_id = $2`, webhookID, eventID)
	return d, translate(row.Scan(d.fields()...))
}

// DeliveryQuery selects deliveries of a webhook.
type DeliveryQuery struct {
	WebhookID string
	State     string // "" for every state
	Before    string // the id of an event: only earlier ones; "" for all
	Limit     int
}

// ListDeliveries lists deliveries, those of the latest events first.
func (q *Queries) ListDeliveries(ctx context.Context, query DeliveryQuery) ([]Delivery, error) {
	args, where := []any{query.WebhookID, query.Limit}, ""
	for _, c := range [...]struct{ column, value string }{{"state =", query.State}, {"event_id <", query.Before}} {
		if c.value != "" {
			args = append(args, c.value)
			where += " AND " + c.column + " $" + strconv.Itoa(len(args))
		}
	}
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE webhook_id = $1`+where+` ORDER BY event_id DESC LIMIT $2`, args...)
	return collect(rows, err, (*Delivery).fields)
}

// EventsByID reads up to a few events, in any order. Those that were deleted are missing.
func (q *Queries) EventsByID(ctx context.Context, ids []string) ([]Event, error) {
	args, places := make([]any, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		args[i], places[i] = id, "$"+strconv.Itoa(i+1)
	}
	rows, err := q.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id IN (`+strings.Join(places, ", ")+`)`, args...)
	return collect(rows, err, (*Event).fields)
}

// CountPendingDeliveries counts the deliveries of a webhook that wait, up to limit.
func (q *Queries) CountPendingDeliveries(ctx context.Context, webhookID string, limit int) (n int, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM (SELECT 1 FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'pending' LIMIT $2) AS waiting`, webhookID, limit)
	return n, translate(row.Scan(&n))
}

// ReleaseDeliveries makes the deliveries of a webhook due whose next attempt is later than a right clock can have set it.
func (q *Queries) ReleaseDeliveries(ctx context.Context, webhookID string, now time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE webhook_deliveries SET due_at = $2, claimed_until = 0 WHERE webhook_id = $1 AND state = 'pending' AND due_at > $3`,
		webhookID, micros(now), stale(now, LongestDeliveryPause))
	return translate(err)
}

// WaitingDeliveries returns how many deliveries wait for webhooks that are not disabled, and when the oldest of them was queued.
func (q *Queries) WaitingDeliveries(ctx context.Context) (n int64, oldest time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT COUNT(*), MIN(queued_at) FROM webhook_deliveries WHERE state = 'pending' AND webhook_id IN (SELECT id FROM webhooks WHERE NOT disabled)`)
	return n, oldest, translate(row.Scan(&n, timeScanner{&oldest}))
}

// DeleteDeliveriesBefore deletes deliveries that were queued before a time, whatever became of them.
func (q *Queries) DeleteDeliveriesBefore(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "webhook_deliveries", "webhook_id, event_id", "queued_at <= $1", "queued_at", before, limit)
}

// DeleteDeliveriesOf deletes up to limit deliveries of a webhook.
func (q *Queries) DeleteDeliveriesOf(ctx context.Context, webhookID string, limit int) (deleted int64, err error) {
	return affected(q.write.ExecContext(ctx, `
		WITH batch AS MATERIALIZED (SELECT event_id FROM webhook_deliveries WHERE webhook_id = $1 LIMIT $2`+q.skipLocked+`)
		DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND event_id IN (SELECT event_id FROM batch)`, webhookID, limit))
}
