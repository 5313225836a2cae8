package store

import (
	"context"
	"time"
)

// BrowserClient is the client_id of the sessions of browsers. No client can have it: their ids are UUIDs.
const BrowserClient = "browser"

// BrowserSession finds the valid session of a browser and its enabled user. Errors: ErrNotFound.
func (q *Queries) BrowserSession(ctx context.Context, id, seedHash string, now time.Time) (s Session, u User, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+sessionColumns+`, `+userColumns+`
		FROM sessions s JOIN users ON users.id = s.user_id
		WHERE s.id = $1 AND s.client_id = '`+BrowserClient+`' AND s.seed_hash = $2 AND s.expires_at > $3 AND NOT users.disabled`,
		id, seedHash, micros(now))
	return s, u, translate(row.Scan(append(s.fields(), u.fields()...)...))
}

// ReplaceSeedHash replaces the random bits of a session, if they are what was read. Errors: ErrNotFound.
func (q *Queries) ReplaceSeedHash(ctx context.Context, id, old, seedHash string) error {
	return one(q.write.ExecContext(ctx, `UPDATE sessions SET seed_hash = $3 WHERE id = $1 AND seed_hash = $2`, id, old, seedHash))
}

// TouchSession records that a session was used. Errors: ErrNotFound.
func (q *Queries) TouchSession(ctx context.Context, id string, now time.Time, idle time.Duration) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE sessions SET last_used_at = $2, expires_at = CASE WHEN ends_at < $3 THEN ends_at ELSE $3 END WHERE id = $1`,
		id, micros(now), micros(now.Add(idle))))
}

// LockUserOfSession locks the row of the enabled user of a valid session, and reads it and the methods of the session. Errors:
// ErrNotFound. So a session that the transaction creates does not outlive the account or its password.
func (q *Queries) LockUserOfSession(ctx context.Context, userID, sessionID string, now time.Time) (u User, methods string, err error) {
	err = q.writeRow(ctx, u.loginFields(), `
		UPDATE users SET updated_at = updated_at WHERE id = $1 AND NOT disabled
		RETURNING `+loginColumns, userID)
	if err != nil {
		return u, "", err
	}
	row := q.read.QueryRowContext(ctx, `SELECT methods FROM sessions WHERE id = $1 AND user_id = $2 AND expires_at > $3`, sessionID, userID, micros(now))
	return u, methods, translate(row.Scan(&methods))
}

// UseAuthorizationCode records that an authorization code was used, and by which session. used is the session that an earlier use has
// started; "" for the first use.
func (q *Queries) UseAuthorizationCode(ctx context.Context, id, sessionID string, expires time.Time) (used string, err error) {
	n, err := affected(q.write.ExecContext(ctx, `
		INSERT INTO used_codes (id, session_id, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, sessionID, micros(expires)))
	if err != nil || n == 1 {
		return "", err
	}
	return used, translate(q.read.QueryRowContext(ctx, `SELECT session_id FROM used_codes WHERE id = $1`, id).Scan(&used))
}

// DeleteExpiredCodeUses deletes the records of used authorization codes that have expired.
func (q *Queries) DeleteExpiredCodeUses(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "used_codes", "id", "expires_at <= $1", "expires_at", now, limit)
}

// TrimSessionsOfBrowser deletes the least recently used sessions that a client has started from the session of a browser, and
// keeps the others: at most keep.
func (q *Queries) TrimSessionsOfBrowser(ctx context.Context, browserID, clientID string, keep int) error {
	return q.later(ctx, `
		WITH oldest AS MATERIALIZED (
			SELECT id FROM sessions WHERE browser_id = $1 AND client_id = $2 ORDER BY last_used_at DESC, id DESC LIMIT 1000 OFFSET $3)
		DELETE FROM sessions WHERE id IN (SELECT id FROM oldest)`, browserID, clientID, keep)
}

// ReplaceBrowserSession deletes the session of a browser, and lets those that were started from it belong to another one, in a
// transaction that has called LockUser.
func (q *Queries) ReplaceBrowserSession(ctx context.Context, old, next string) error {
	if err := q.later(ctx, `UPDATE sessions SET browser_id = $2 WHERE browser_id = $1`, old, next); err != nil {
		return err
	}
	return q.later(ctx, `DELETE FROM sessions WHERE id = $1`, old) // it may have ended meanwhile
}

// Consent is a row of consents.
type Consent struct {
	UserID, ClientID, Scope string
	Resources               string // of a client that no operator has made: lines of a resource and the scopes for it
	CreatedAt, UpdatedAt    time.Time
}

// ConsentOf finds what a user has granted to a client. Errors: ErrNotFound.
func (q *Queries) ConsentOf(ctx context.Context, userID, clientID string) (c Consent, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT user_id, client_id, scope, resources, created_at, updated_at FROM consents WHERE user_id = $1 AND client_id = $2`, userID, clientID)
	return c, translate(row.Scan(&c.UserID, &c.ClientID, &c.Scope, &c.Resources, timeScanner{&c.CreatedAt}, timeScanner{&c.UpdatedAt}))
}

// SetConsentResources stores what a user has granted to a client for each resource. Errors: ErrNotFound.
func (q *Queries) SetConsentResources(ctx context.Context, userID, clientID, resources string) error {
	return one(q.write.ExecContext(ctx, `UPDATE consents SET resources = $3 WHERE user_id = $1 AND client_id = $2`, userID, clientID, resources))
}

// SetConsent stores what a user has granted to a client, in place of what was granted before.
func (q *Queries) SetConsent(ctx context.Context, userID, clientID, scope string, now time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO consents (user_id, client_id, scope, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (user_id, client_id) DO UPDATE SET scope = excluded.scope, updated_at = excluded.updated_at`,
		userID, clientID, scope, micros(now))
	return translate(err)
}
