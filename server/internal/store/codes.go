package store

import (
	"context"
	"time"
)

// Code is a row of one_time_codes.
type Code struct {
	Hash      string
	Purpose   string
	UserID    string // "" for a code of every account that has the address, and for one that nobody can use
	Email     string // the address that it was mailed to
	EmailKey  string // folded
	Browser   string // the hash of a text of the only browser that may use it; "" for any
	ExpiresAt time.Time
}

// CreateCode inserts a code.
func (q *Queries) CreateCode(ctx context.Context, c Code) error {
	return q.later(ctx, `
		INSERT INTO one_time_codes (hash, purpose, user_id, email, email_key, expires_at, browser)
		VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6, $7)`, c.Hash, c.Purpose, c.UserID, c.Email, c.EmailKey, micros(c.ExpiresAt), c.Browser)
}

// FindCode finds a valid code, without using it. Errors: ErrNotFound.
func (q *Queries) FindCode(ctx context.Context, hash, purpose string, now time.Time) (c Code, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+codeColumns+` FROM one_time_codes WHERE `+validCode, hash, purpose, micros(now))
	return c, translate(row.Scan(c.fields()...))
}

// UseCode deletes a valid code: of concurrent attempts, one succeeds. Errors: ErrNotFound; see must.
func (q *Queries) UseCode(ctx context.Context, hash, purpose string, now time.Time) error {
	return q.must(ctx, `DELETE FROM one_time_codes WHERE `+validCode, hash, purpose, micros(now))
}

// UseSignInCode is UseCode for a code that signs its user in, and that was made at a time. It also fails if the user has changed the
// password or the address since, or is disabled, even if that happened while the code was being made. Errors: ErrNotFound.
func (q *Queries) UseSignInCode(ctx context.Context, c Code, made, now time.Time) error {
	return one(q.write.ExecContext(ctx, `
		DELETE FROM one_time_codes WHERE `+validCode+` AND EXISTS (
			SELECT 1 FROM users WHERE id = $4 AND email_key = $5 AND email_verified AND NOT disabled AND (codes_from < $6 OR codes_from > $7))`,
		c.Hash, c.Purpose, micros(now), c.UserID, c.EmailKey, micros(made), stale(made, LongestReset)))
}

const (
	codeColumns = `hash, purpose, COALESCE(user_id, ''), email, email_key, expires_at, browser`
	validCode   = `hash = $1 AND purpose = $2 AND expires_at > $3`
)

func (c *Code) fields() []any {
	return []any{&c.Hash, &c.Purpose, &c.UserID, &c.Email, &c.EmailKey, timeScanner{&c.ExpiresAt}, &c.Browser}
}

// EndCodes ends every code of a user: it deletes the user's own, and makes those that were mailed to an address before now
// invalid for this user.
func (q *Queries) EndCodes(ctx context.Context, userID string, now time.Time) error {
	if err := q.later(ctx, `UPDATE users SET codes_from = $2 WHERE id = $1`, userID, micros(now)); err != nil {
		return err
	}
	return q.later(ctx, `DELETE FROM one_time_codes WHERE user_id = $1`, userID)
}

// EndCodesTo deletes the codes of a purpose that were mailed to a folded address.
func (q *Queries) EndCodesTo(ctx context.Context, purpose, emailKey string) error {
	return q.later(ctx, `DELETE FROM one_time_codes WHERE email_key = $1 AND purpose = $2`, emailKey, purpose)
}

// EndOtherCodes deletes the codes of a user for a purpose, except those that were mailed to a folded address; "" excepts
// none.
func (q *Queries) EndOtherCodes(ctx context.Context, userID, purpose, exceptEmailKey string) error {
	return q.later(ctx, `
		DELETE FROM one_time_codes WHERE user_id = $1 AND purpose = $2 AND email_key <> $3`, userID, purpose, exceptEmailKey)
}

// LongestReset is the life of a code that resets a password.
const LongestReset = time.Hour

// UsersToReset finds the enabled users whose password a code can reset that was created at a time and mailed to a folded
// address: the user who has confirmed the address, then those who were given it by an operator, then, unless an enabled
// user has confirmed it, those who claim it; of each kind the oldest first. usernameKey selects one of them; "" selects
// all.
//
// The time from which the codes of a user are valid is never later than the end of a valid code's life, unless a clock that
// was ahead has stored it. Then it counts only for the codes of that clock: otherwise nobody could reset the password until
// that time comes.
func (q *Queries) UsersToReset(ctx context.Context, emailKey string, made time.Time, usernameKey string, limit int) ([]User, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+loginColumns+` FROM users WHERE `+resettable+` AND ($4 = '' OR username_key = $4)
		ORDER BY email_verified DESC, CASE WHEN email_claimed_at IS NULL THEN 0 ELSE 1 END, id LIMIT $5`,
		emailKey, micros(made), stale(made, LongestReset), usernameKey, limit)
	return collect(rows, err, (*User).loginFields)
}

const resettable = `email_key = $1 AND NOT disabled AND (codes_from < $2 OR codes_from > $3)
	AND (email_verified OR email_claimed_at IS NULL OR NOT EXISTS (SELECT 1 FROM users o WHERE o.email_key = $1 AND o.email_verified AND NOT o.disabled))`

// Resettable reports whether UsersToReset finds a user, and whether another one, enabled or not, has confirmed the address.
func (q *Queries) Resettable(ctx context.Context, id, emailKey string, made time.Time) (resets, foreign bool, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM users WHERE id = $4 AND `+resettable+`),
			EXISTS (SELECT 1 FROM users WHERE email_key = $1 AND email_verified AND id <> $4)`,
		emailKey, micros(made), stale(made, LongestReset), id)
	return resets, foreign, translate(row.Scan(&resets, &foreign))
}

// ConfirmEmail gives an enabled user a confirmed address. Errors: ErrConflict when another user has confirmed it,
// ErrNotFound when the user was deleted or disabled; see must.
func (q *Queries) ConfirmEmail(ctx context.Context, id, email, emailKey string, now time.Time) error {
	return q.must(ctx, `
		UPDATE users SET email = $2, email_key = $3, email_verified = TRUE, email_claimed_at = NULL, updated_at = $4
		WHERE id = $1 AND NOT disabled`, id, email, emailKey, micros(now))
}

// RevokeClaims takes an address from up to limit users who only claim it, and returns their ids, names and scopes. It deletes
// every code that was mailed there.
func (q *Queries) RevokeClaims(ctx context.Context, emailKey string, now time.Time, limit int) (claimants []User, err error) {
	claimants, err = q.revokeClaims(ctx, `
		SELECT id FROM users WHERE email_key = $2 AND email_claimed_at IS NOT NULL AND NOT email_verified ORDER BY id LIMIT $3`, micros(now), emailKey, limit)
	if err != nil {
		return nil, err
	}
	return claimants, q.later(ctx, `DELETE FROM one_time_codes WHERE email_key = $1`, emailKey)
}

// ExpireClaims takes the addresses from up to limit users who claimed them before a time and have not confirmed them, and
// returns their ids and names. On PostgreSQL it skips locked rows, so that it cannot cause a deadlock.
func (q *Queries) ExpireClaims(ctx context.Context, before, now time.Time, limit int) (claimants []User, err error) {
	return q.revokeClaims(ctx, `
		SELECT id FROM users WHERE email_claimed_at < $2 AND NOT email_verified ORDER BY email_claimed_at LIMIT $3`+q.skipLocked, micros(now), micros(before), limit)
}

// revokeClaims takes the addresses from the users that a query finds, if they still only claim them. now is its $1.
func (q *Queries) revokeClaims(ctx context.Context, ids string, now int64, args ...any) ([]User, error) {
	return writeRows(ctx, q, func(u *User) []any { return []any{&u.ID, &u.Username, &u.Scopes} }, `
		WITH batch AS MATERIALIZED (`+ids+`)
		UPDATE users SET email = NULL, email_key = NULL, email_claimed_at = NULL, updated_at = $1
		WHERE email_claimed_at IS NOT NULL AND NOT email_verified AND id IN (SELECT id FROM batch) RETURNING id, username, scopes`, append([]any{now}, args...)...)
}
