package store

import (
	"context"
	"time"
)

// PersonalToken is a row of personal_tokens: a personal access token. A token that was revoked has no row.
type PersonalToken struct {
	ID         string
	UserID     string
	Hash       string // of the token
	Name       string
	Scope      string // space-separated
	Methods    string // how the person had signed in (RFC 8176), space-separated
	CreatedAt  time.Time
	LastUsedAt time.Time // to the hour; zero for never
	ExpiresAt  time.Time
}

const personalTokenColumns = `t.id, t.user_id, t.hash, t.name, t.scope, t.methods, t.created_at, t.last_used_at, t.expires_at`

func (t *PersonalToken) fields() []any {
	return []any{
		&t.ID, &t.UserID, &t.Hash, &t.Name, &t.Scope, &t.Methods,
		timeScanner{&t.CreatedAt},
		timeScanner{&t.LastUsedAt},
		timeScanner{&t.ExpiresAt},
	}
}

// passwordEnd is what a personal access token remembers of the password hash of a user: enough to notice another password, and a
// small part of what the table of the users holds anyway.
const passwordEnd = `COALESCE(SUBSTR(u.password_hash, LENGTH(u.password_hash) - 15), '')`

// ofValidTokens selects valid tokens: programs before migration 33 change passwords and leave the tokens.
const ofValidTokens = ` FROM personal_tokens t JOIN users u ON u.id = t.user_id WHERE t.expires_at > $2 AND t.password = ` + passwordEnd

// CreatePersonalToken inserts a token, in a transaction that has locked the user.
func (q *Queries) CreatePersonalToken(ctx context.Context, t PersonalToken) error {
	return q.later(ctx, `
		INSERT INTO personal_tokens (id, user_id, hash, name, scope, methods, password, created_at, expires_at)
		SELECT $1, u.id, $3, $4, $5, $6, `+passwordEnd+`, $7, $8 FROM users u WHERE u.id = $2`,
		t.ID, t.UserID, t.Hash, t.Name, t.Scope, t.Methods, micros(t.CreatedAt), micros(t.ExpiresAt))
}

// PersonalTokenByHash finds a valid token of an enabled user, and the user. Errors: ErrNotFound. Every request with such a token makes
// this query.
func (q *Queries) PersonalTokenByHash(ctx context.Context, hash string, now time.Time) (t PersonalToken, u User, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+personalTokenColumns+`, u.username, COALESCE(u.email, ''), u.email_verified, COALESCE(u.full_name, ''),
			u.scopes, u.created_at, u.updated_at, u.user_metadata, u.factors, u.administrator_since`+
		ofValidTokens+` AND t.hash = $1 AND NOT u.disabled`, hash, micros(now))
	err = translate(row.Scan(append(t.fields(), &u.Username, &u.Email, &u.EmailVerified, &u.FullName,
		&u.Scopes, timeScanner{&u.CreatedAt}, timeScanner{&u.UpdatedAt}, &u.Metadata, &u.Factors, timeScanner{&u.AdministratorSince})...))
	u.ID = t.UserID
	return t, u, err
}

// PersonalTokensOf lists the valid tokens of a user, the latest first.
func (q *Queries) PersonalTokensOf(ctx context.Context, userID string, now time.Time, limit int) ([]PersonalToken, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+personalTokenColumns+ofValidTokens+` AND t.user_id = $1 ORDER BY t.id DESC LIMIT $3`, userID, micros(now), limit)
	return collect(rows, err, (*PersonalToken).fields)
}

// UsePersonalToken records that a token was used, unless another request has done so since a time.
func (q *Queries) UsePersonalToken(ctx context.Context, id string, now, since time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE personal_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)`, id, micros(now), micros(since))
	return translate(err)
}

// DeletePersonalToken deletes a token of a user. Errors: ErrNotFound.
func (q *Queries) DeletePersonalToken(ctx context.Context, userID, id string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM personal_tokens WHERE id = $1 AND user_id = $2`, id, userID))
}

// DeletePersonalTokensOf deletes all tokens of a user.
func (q *Queries) DeletePersonalTokensOf(ctx context.Context, userID string) error {
	return q.later(ctx, `DELETE FROM personal_tokens WHERE user_id = $1`, userID)
}

// keepPersonalTokens keeps the tokens of a user valid whose password hash is replaced by one of the same password. old is the hash
// before.
func (q *Queries) keepPersonalTokens(ctx context.Context, userID, old string) error {
	return q.later(ctx, `
		UPDATE personal_tokens SET password = (SELECT `+passwordEnd+` FROM users u WHERE u.id = personal_tokens.user_id)
		WHERE user_id = $1 AND password = $2`, userID, old[max(0, len(old)-16):])
}

// DeleteExpiredPersonalTokens deletes expired tokens.
func (q *Queries) DeleteExpiredPersonalTokens(ctx context.Context, now time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "personal_tokens", "id", "expires_at <= $1", "expires_at", now, limit)
}
