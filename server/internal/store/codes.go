package store

import (
	"context"
	"time"
)

// Code is a row of one_time_codes.
type Code struct {
	Hash      string
	Purpose   string
	UserID    string // "" where whoever has the address may use it, and for nobody's
	Email     string // that it was mailed to
	EmailKey  string // folded
	ExpiresAt time.Time
}

// CreateCode inserts a code.
func (q *Queries) CreateCode(ctx context.Context, c Code) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO one_time_codes (hash, purpose, user_id, email, email_key, expires_at)
		VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6)`, c.Hash, c.Purpose, c.UserID, c.Email, c.EmailKey, micros(c.ExpiresAt))
	return translate(err)
}

// FindCode finds a code that is valid at that moment, and leaves it; ErrNotFound otherwise.
func (q *Queries) FindCode(ctx context.Context, hash, purpose string, now time.Time) (c Code, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+codeColumns+` FROM one_time_codes WHERE `+validCode, hash, purpose, micros(now))
	return c, translate(row.Scan(c.fields()...))
}

// UseCode is FindCode that deletes the code: of many who try at once, one gets it.
func (q *Queries) UseCode(ctx context.Context, hash, purpose string, now time.Time) (c Code, err error) {
	err = q.writeRow(ctx, c.fields(), `DELETE FROM one_time_codes WHERE `+validCode+` RETURNING `+codeColumns, hash, purpose, micros(now))
	return c, err
}

const (
	codeColumns = `hash, purpose, COALESCE(user_id, ''), email, email_key, expires_at`
	validCode   = `hash = $1 AND purpose = $2 AND expires_at > $3`
)

func (c *Code) fields() []any {
	return []any{&c.Hash, &c.Purpose, &c.UserID, &c.Email, &c.EmailKey, timeScanner{&c.ExpiresAt}}
}

// EndCodes ends every code that serves a user: it deletes those that are the user's own, and those that were mailed to
// an address reset the user's password only if they are made after now.
func (q *Queries) EndCodes(ctx context.Context, userID string, now time.Time) error {
	if _, err := q.write.ExecContext(ctx, `UPDATE users SET codes_from = $2 WHERE id = $1`, userID, micros(now)); err != nil {
		return translate(err)
	}
	_, err := q.write.ExecContext(ctx, `DELETE FROM one_time_codes WHERE user_id = $1`, userID)
	return translate(err)
}

// EndCodesTo deletes the codes for one purpose that were mailed to a folded address.
func (q *Queries) EndCodesTo(ctx context.Context, purpose, emailKey string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM one_time_codes WHERE email_key = $1 AND purpose = $2`, emailKey, purpose)
	return translate(err)
}

// EndOtherCodes deletes the codes of a user for one purpose, except those that were mailed to a folded address, which
// may be "".
func (q *Queries) EndOtherCodes(ctx context.Context, userID, purpose, exceptEmailKey string) error {
	_, err := q.write.ExecContext(ctx, `
		DELETE FROM one_time_codes WHERE user_id = $1 AND purpose = $2 AND email_key <> $3`, userID, purpose, exceptEmailKey)
	return translate(err)
}

// UsersToReset finds the enabled users whose password a code may reset that was made at a moment and mailed to a folded
// address: the one who has confirmed the address, then those whom an operator gave it, then, unless an enabled user has
// confirmed it, those who claim it; of each kind the oldest first. usernameKey narrows it to one of them, "" does not.
func (q *Queries) UsersToReset(ctx context.Context, emailKey string, made time.Time, usernameKey string, limit int) (users []User, err error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+loginColumns+` FROM users
		WHERE email_key = $1 AND NOT disabled AND codes_from < $2 AND ($3 = '' OR username_key = $3)
			AND (email_verified OR email_claimed_at IS NULL OR NOT EXISTS (SELECT 1 FROM users o WHERE o.email_key = $1 AND o.email_verified AND NOT o.disabled))
		ORDER BY email_verified DESC, CASE WHEN email_claimed_at IS NULL THEN 0 ELSE 1 END, id LIMIT $4`,
		emailKey, micros(made), usernameKey, limit)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var u User
		if err = rows.Scan(u.loginFields()...); err != nil {
			return nil, translate(err)
		}
		users = append(users, u)
	}
	return users, translate(rows.Err())
}

// ConfirmEmail gives an enabled user an address that they have proven to be theirs; ErrConflict when another
// user has confirmed it, ErrNotFound when the user is gone or disabled.
func (q *Queries) ConfirmEmail(ctx context.Context, id, email, emailKey string, now time.Time) (u User, err error) {
	err = q.writeRow(ctx, u.fields(), `
		UPDATE users SET email = $2, email_key = $3, email_verified = TRUE, email_claimed_at = NULL, updated_at = $4
		WHERE id = $1 AND NOT disabled RETURNING `+userColumns, id, email, emailKey, micros(now))
	return u, err
}

// RevokeClaims takes an address from up to limit users who merely claim it, and gives their ids and names; it
// removes every code that was mailed there.
func (q *Queries) RevokeClaims(ctx context.Context, emailKey string, now time.Time, limit int) (claimants []User, err error) {
	claimants, err = q.revokeClaims(ctx, `
		SELECT id FROM users WHERE email_key = $2 AND email_claimed_at IS NOT NULL AND NOT email_verified ORDER BY id LIMIT $3`, micros(now), emailKey, limit)
	if err != nil {
		return nil, err
	}
	_, err = q.write.ExecContext(ctx, `DELETE FROM one_time_codes WHERE email_key = $1`, emailKey)
	return claimants, translate(err)
}

// ExpireClaims takes the addresses from up to limit users who claimed them before a moment and have not confirmed them,
// and gives their ids and names. On PostgreSQL it skips the rows that others have locked, so it is no part of a deadlock.
func (q *Queries) ExpireClaims(ctx context.Context, before, now time.Time, limit int) (claimants []User, err error) {
	return q.revokeClaims(ctx, `
		SELECT id FROM users WHERE email_claimed_at < $2 AND NOT email_verified ORDER BY email_claimed_at LIMIT $3`+q.skipLocked, micros(now), micros(before), limit)
}

// revokeClaims takes the addresses from the users that a query finds and who still merely claim them. now is its $1.
func (q *Queries) revokeClaims(ctx context.Context, ids string, now int64, args ...any) (claimants []User, err error) {
	rows, err := q.write.QueryContext(ctx, `
		WITH batch AS MATERIALIZED (`+ids+`)
		UPDATE users SET email = NULL, email_key = NULL, email_claimed_at = NULL, updated_at = $1
		WHERE email_claimed_at IS NOT NULL AND NOT email_verified AND id IN (SELECT id FROM batch) RETURNING id, username`, append([]any{now}, args...)...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var u User
		if err = rows.Scan(&u.ID, &u.Username); err != nil {
			return nil, translate(err)
		}
		claimants = append(claimants, u)
	}
	return claimants, translate(rows.Err())
}
