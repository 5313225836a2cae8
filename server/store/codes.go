package store

import (
	"context"
	"time"
)

// Code is a row of one_time_codes.
type Code struct {
	Hash      string
	Purpose   string
	UserID    string // "" for nobody's
	Email     string // that it was mailed to
	EmailKey  string // folded
	ExpiresAt time.Time
}

// CreateCode inserts a code.
func (q *Queries) CreateCode(ctx context.Context, c Code) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO one_time_codes (hash, purpose, user_id, email, email_key, expires_at)
		VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6)`, c.Hash, c.Purpose, c.UserID, c.Email, c.EmailKey, micros(c.ExpiresAt))
	return known(err)
}

// FindCode finds a code that is somebody's and good at that moment, and leaves it; ErrNotFound otherwise.
func (q *Queries) FindCode(ctx context.Context, hash, purpose string, now time.Time) (c Code, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+codeColumns+` FROM one_time_codes WHERE `+goodCode, hash, purpose, micros(now))
	return c, known(row.Scan(c.fields()...))
}

// UseCode is FindCode that takes the code away: of many who try at once, one gets it.
func (q *Queries) UseCode(ctx context.Context, hash, purpose string, now time.Time) (c Code, err error) {
	err = q.writeRow(ctx, c.fields(), `DELETE FROM one_time_codes WHERE `+goodCode+` RETURNING `+codeColumns, hash, purpose, micros(now))
	return c, err
}

const (
	codeColumns = `hash, purpose, user_id, email, email_key, expires_at`
	goodCode    = `hash = $1 AND purpose = $2 AND expires_at > $3 AND user_id IS NOT NULL`
)

func (c *Code) fields() []any {
	return []any{&c.Hash, &c.Purpose, &c.UserID, &c.Email, &c.EmailKey, instant{&c.ExpiresAt}}
}

// DropCodes removes the codes of a user.
func (q *Queries) DropCodes(ctx context.Context, userID string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM one_time_codes WHERE user_id = $1`, userID)
	return known(err)
}

// DropCodesFor removes the codes of a user for one purpose, but for those that were mailed to an address, which may
// be "".
func (q *Queries) DropCodesFor(ctx context.Context, userID, purpose, exceptEmailKey string) error {
	_, err := q.write.ExecContext(ctx, `
		DELETE FROM one_time_codes WHERE user_id = $1 AND purpose = $2 AND email_key <> $3`, userID, purpose, exceptEmailKey)
	return known(err)
}

// UserToReset finds the user whose password a folded address may reset: who has confirmed it, or
// else who was the first to claim it.
func (q *Queries) UserToReset(ctx context.Context, emailKey string) (User, error) {
	// Each is the first entry of an index, however many claim the address.
	return q.userForLogin(ctx, `id = COALESCE(
		(SELECT id FROM users WHERE email_key = $1 AND email_verified),
		(SELECT id FROM users WHERE email_key = $1 ORDER BY id LIMIT 1))`, emailKey)
}

// ProveEmail gives an enabled user an address that they have proven to be theirs; ErrConflict when another
// user has confirmed it, ErrNotFound when the user is gone or disabled.
func (q *Queries) ProveEmail(ctx context.Context, id, email, emailKey string, now time.Time) (u User, err error) {
	err = q.writeRow(ctx, u.fields(), `
		UPDATE users SET email = $2, email_key = $3, email_verified = TRUE, updated_at = $4
		WHERE id = $1 AND NOT disabled RETURNING `+userColumns, id, email, emailKey, micros(now))
	return u, err
}

// TakeEmail takes an address from up to limit users who only claimed it, and gives their ids and names; it
// removes every code that was mailed there.
func (q *Queries) TakeEmail(ctx context.Context, emailKey string, now time.Time, limit int) (losers []User, err error) {
	rows, err := q.write.QueryContext(ctx, `
		UPDATE users SET email = NULL, email_key = NULL, updated_at = $2
		WHERE id IN (SELECT id FROM users WHERE email_key = $1 AND NOT email_verified ORDER BY id LIMIT $3)
		RETURNING id, username`, emailKey, micros(now), limit)
	if err != nil {
		return nil, known(err)
	}
	defer rows.Close()
	for rows.Next() {
		var u User
		if err = rows.Scan(&u.ID, &u.Username); err != nil {
			return nil, known(err)
		}
		losers = append(losers, u)
	}
	if err = rows.Err(); err != nil {
		return nil, known(err)
	}
	_, err = q.write.ExecContext(ctx, `DELETE FROM one_time_codes WHERE email_key = $1`, emailKey)
	return losers, known(err)
}
