package store

import (
	"context"
	"strings"
	"time"
)

// Session is a row of sessions. A session that has ended has no row.
type Session struct {
	ID         string
	UserID     string
	ClientID   string
	Scope      string
	SeedHash   string
	Generation uint32
	IPAddress  string
	UserAgent  string
	CreatedAt  time.Time
	LastUsedAt time.Time
	ExpiresAt  time.Time // unless it is refreshed before
	EndsAt     time.Time // even if it is refreshed
	BrowserID  string    // the session of the browser that it was started from; "" for none
	SignedInAt time.Time // when the person gave their password
	Resource   string    // the audience of its access tokens; "" for that of the server
	Claims     string    // that the client has asked for beyond its scopes, space-separated
	Methods    string    // how the person signed in (RFC 8176), space-separated; "" for a password
}

const sessionColumns = `s.id, s.user_id, s.client_id, s.scope, s.seed_hash, s.generation, s.ip_address,
	s.user_agent, s.created_at, s.last_used_at, s.expires_at, s.ends_at,
	COALESCE(s.browser_id, ''), COALESCE(s.signed_in_at, s.created_at), s.resource, s.claims, s.methods`

func (s *Session) fields() []any {
	return []any{
		&s.ID, &s.UserID, &s.ClientID, &s.Scope, &s.SeedHash, &s.Generation, &s.IPAddress,
		&s.UserAgent,
		timeScanner{&s.CreatedAt},
		timeScanner{&s.LastUsedAt},
		timeScanner{&s.ExpiresAt},
		timeScanner{&s.EndsAt},
		&s.BrowserID,
		timeScanner{&s.SignedInAt},
		&s.Resource,
		&s.Claims,
		&s.Methods,
	}
}

// CreateSession inserts a session, in a transaction that has called LockUnchanged.
func (q *Queries) CreateSession(ctx context.Context, s Session) error {
	return q.later(ctx, `
		INSERT INTO sessions (id, user_id, client_id, scope, seed_hash, generation, ip_address,
			user_agent, created_at, last_used_at, expires_at, ends_at, check_at, browser_id, signed_in_at, resource, claims, methods)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, NULLIF($13, ''), $14, $15, $16, $17)`,
		s.ID, s.UserID, s.ClientID, s.Scope, s.SeedHash, s.Generation, s.IPAddress,
		s.UserAgent, micros(s.CreatedAt), micros(s.LastUsedAt), micros(s.ExpiresAt), micros(s.EndsAt), s.BrowserID, orNull(s.SignedInAt), s.Resource, s.Claims, s.Methods)
}

// TrimSessions deletes the least recently used sessions of a user, and keeps the others: at most keep.
func (q *Queries) TrimSessions(ctx context.Context, userID string, keep int) error {
	return q.later(ctx, `
		WITH oldest AS MATERIALIZED (
			SELECT id FROM sessions WHERE user_id = $1 ORDER BY last_used_at DESC, id DESC LIMIT 1000 OFFSET $2)
		DELETE FROM sessions WHERE id IN (SELECT id FROM oldest)`,
		userID, keep)
}

// UserOfSession finds an enabled user by a valid session, and the scopes and claims of that session. Errors: ErrNotFound. Every
// request with an access token makes this query, and each column costs, so it reads none that the caller knows already.
func (q *Queries) UserOfSession(ctx context.Context, userID, id string, now time.Time) (u User, scope, claims string, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT u.username, COALESCE(u.email, ''), u.email_verified, COALESCE(u.full_name, ''),
			u.scopes, u.created_at, u.updated_at, u.user_metadata, u.factors, u.administrator_since, s.scope, s.claims
		FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.id = $1 AND s.expires_at > $2 AND u.id = $3 AND NOT u.disabled`, id, micros(now), userID)
	u.ID = userID
	err = translate(row.Scan(&u.Username, &u.Email, &u.EmailVerified, &u.FullName,
		&u.Scopes, timeScanner{&u.CreatedAt}, timeScanner{&u.UpdatedAt}, &u.Metadata, &u.Factors, timeScanner{&u.AdministratorSince}, &scope, &claims))
	return u, scope, claims, err
}

// SessionByID finds a session, even an expired one, and its user. Errors: ErrNotFound.
func (q *Queries) SessionByID(ctx context.Context, id string) (s Session, u User, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+sessionColumns+`, `+userColumns+`
		FROM sessions s JOIN users ON users.id = s.user_id WHERE s.id = $1`, id)
	return s, u, translate(row.Scan(append(s.fields(), u.fields()...)...))
}

// AdvanceSession moves a session from a generation to the next, if the seed and the client match, the session has not
// expired, its user is enabled, and its audience is that of the server or one of resources. It returns the fields that a new
// token needs. Of concurrent attempts at the same generation exactly one succeeds. Errors: ErrNotFound.
func (q *Queries) AdvanceSession(ctx context.Context, id, clientID, seedHash string, generation uint32, now time.Time, idle time.Duration, resources ...string) (s Session, u User, err error) {
	audiences := "  " + strings.Join(resources, " ") + " " // each, "" too, between spaces, which no URI has
	s.ID, s.ClientID = id, clientID
	err = q.writeRow(ctx, []any{&s.UserID, &s.Scope, timeScanner{&s.SignedInAt}, &s.Resource, &s.Claims, &s.Methods, &u.Scopes}, `
		UPDATE sessions SET generation = generation + 1, last_used_at = $4,
			expires_at = CASE WHEN ends_at < $5 THEN ends_at ELSE $5 END
		WHERE id = $1 AND seed_hash = $2 AND generation = $3 AND expires_at > $4 AND client_id = $6
			AND REPLACE($7, ' ' || resource || ' ', '') <> $7
			AND EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id AND NOT u.disabled)
		RETURNING user_id, scope, COALESCE(signed_in_at, created_at), resource, claims, methods, (SELECT u.scopes FROM users u WHERE u.id = sessions.user_id)`,
		id, seedHash, generation, micros(now), micros(now.Add(idle)), clientID, audiences)
	return s, u, err
}

// ConfirmSession writes a session without a change, and so waits for the synchronous standby of PostgreSQL. A commit whose wait was
// cancelled is visible before the standby has it: a response that only reads it could be lost in a failover. Errors: ErrNotFound.
func (q *Queries) ConfirmSession(ctx context.Context, id string) error {
	return one(q.write.ExecContext(ctx, `UPDATE sessions SET generation = generation WHERE id = $1`, id))
}

// ListSessions lists the valid sessions of a user, the most recently used first.
func (q *Queries) ListSessions(ctx context.Context, userID string, now time.Time, limit int) ([]Session, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+sessionColumns+` FROM sessions s WHERE s.user_id = $1 AND s.expires_at > $2
		ORDER BY s.last_used_at DESC, s.id DESC LIMIT $3`, userID, micros(now), limit)
	return collect(rows, err, (*Session).fields)
}

// PersonSession is a session with the name of its user.
type PersonSession struct {
	Session
	Username string
}

// ListAllSessions lists the valid sessions of all users, the latest login first: those before the session with an id; "" begins the
// list. Ids sort by time.
func (q *Queries) ListAllSessions(ctx context.Context, before string, now time.Time, limit int) ([]PersonSession, error) {
	args, where := []any{micros(now), limit}, ""
	if before != "" {
		args, where = append(args, before), " AND s.id < $3"
	}
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+sessionColumns+`, u.username FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.expires_at > $1`+where+` ORDER BY s.id DESC LIMIT $2`, args...)
	return collect(rows, err, func(s *PersonSession) []any { return append(s.fields(), &s.Username) })
}

// EndSession deletes a session. Errors: ErrNotFound; see must.
func (q *Queries) EndSession(ctx context.Context, id string) error {
	return q.must(ctx, `DELETE FROM sessions WHERE id = $1`, id)
}

// EndSessionOf deletes a session of a user, and those that were started from it, in a transaction that has called LockUser.
// Errors: ErrNotFound; see must.
func (q *Queries) EndSessionOf(ctx context.Context, userID, id string) error {
	if err := q.must(ctx, `DELETE FROM sessions WHERE id = $1 AND user_id = $2`, id, userID); err != nil {
		return err
	}
	return q.later(ctx, `DELETE FROM sessions WHERE browser_id = $1 AND user_id = $2`, id, userID)
}

// EndSessionsOf deletes all sessions of a user except one; "" excepts none.
func (q *Queries) EndSessionsOf(ctx context.Context, userID, except string) error {
	return q.later(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, userID, except)
}

// EndAccessOf deletes all sessions of a user except one, "" for none, and all personal access tokens: what somebody else may have
// got by the password, a factor or a sign-in that the account no longer has.
func (q *Queries) EndAccessOf(ctx context.Context, userID, except string) error {
	if err := q.EndSessionsOf(ctx, userID, except); err != nil {
		return err
	}
	return q.DeletePersonalTokensOf(ctx, userID)
}

// RevokeScope removes a scope from every session and personal access token of a user, so that a later grant does not restore it there.
func (q *Queries) RevokeScope(ctx context.Context, userID, scope string) error {
	const without = `TRIM(REPLACE(' ' || scope || ' ', ' ' || $2 || ' ', ' '))`
	for _, table := range []string{"sessions", "personal_tokens"} {
		if err := q.later(ctx, `
			UPDATE `+table+` SET scope = `+without+` WHERE user_id = $1 AND scope <> `+without, userID, scope); err != nil {
			return err
		}
	}
	return nil
}
