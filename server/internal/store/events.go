package store

import (
	"context"
	"time"
)

// Event is a row of events. A text without a value is empty.
type Event struct {
	ID        string // a UUIDv7
	At        time.Time
	Kind      string
	UserID    string
	Username  string
	Actor     string
	ClientID  string
	SessionID string
	TokenID   string // of the personal access token that was made, revoked or used
	IPAddress string
	UserAgent string
}

const eventColumns = `id, at, kind, user_id, username, actor, client_id, session_id, token_id, ip_address, user_agent`

// fields are the destinations of eventColumns.
func (e *Event) fields() []any {
	return []any{&e.ID, timeScanner{&e.At}, &e.Kind, &e.UserID, &e.Username, &e.Actor, &e.ClientID, &e.SessionID, &e.TokenID, &e.IPAddress, &e.UserAgent}
}

// RecordEvent inserts an event. A trigger queues it for the webhooks that have chosen its kind (migration 34).
func (q *Queries) RecordEvent(ctx context.Context, e Event) error {
	err := q.later(ctx, `
		INSERT INTO events (`+eventColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		e.ID, micros(e.At), e.Kind, e.UserID, e.Username, e.Actor, e.ClientID, e.SessionID, e.TokenID, e.IPAddress, e.UserAgent)
	if then := q.recorded; err == nil && then != nil {
		q.AfterCommit(func() { then(e) })
	}
	return err
}

// OnEvent makes the database call a function after the commit of each event that this process records, before the
// response to the request. Call it before the database is used.
func (db *DB) OnEvent(f func(Event)) { db.recorded = f }

// AddressesOf lists the IP addresses from which the owner of an account has used it, the latest first, as far as its events and its
// sessions tell.
func (q *Queries) AddressesOf(ctx context.Context, userID string, limit int) ([]string, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT ip_address FROM (
			SELECT ip_address, at FROM events WHERE user_id = $1 AND kind NOT IN ('login_failed', 'login_throttled')
			UNION ALL SELECT ip_address, last_used_at FROM sessions WHERE user_id = $1) AS used
		WHERE ip_address <> '' GROUP BY ip_address ORDER BY MAX(at) DESC, ip_address LIMIT $2`, userID, limit)
	return collect(rows, err, func(address *string) []any { return []any{address} })
}
