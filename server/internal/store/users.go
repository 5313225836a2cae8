package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sesame/server/secret"
)

// User is a row of users. Email, FullName and PasswordHash are empty where the column is null, and EmailClaimedAt is zero.
type User struct {
	ID             string
	Username       string
	UsernameKey    string
	Email          string
	EmailKey       string
	EmailVerified  bool
	EmailClaimedAt time.Time // when a person claimed the address; zero if it is confirmed, or an operator gave it
	FullName       string
	PasswordHash   secret.Text
	Scopes         string
	Disabled       bool
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Metadata       string // JSON; "" for none
	Factors        string // the kinds of the second factors, space-separated
	// AdministratorSince is when the account got the scopes of administrators; zero for its creation.
	AdministratorSince time.Time
	FactorsResetAt     time.Time // when a reset removes the factors; zero for no reset
	ImportedAs         string    // written by CreateUser, read by the query of that name
}

// OnlyClaimed reports whether neither the owner of the address nor an operator has vouched for it. (A server of an older
// version does not clear EmailClaimedAt when the owner confirms the address.)
func (u *User) OnlyClaimed() bool { return !u.EmailVerified && !u.EmailClaimedAt.IsZero() }

// ImportedBefore is the ImportedAs of accounts that were imported before the column existed.
const ImportedBefore = "unknown"

// userColumns omits the columns that only a login needs: the password hash and the folded keys.
const userColumns = `users.id, users.username, COALESCE(users.email, ''), users.email_verified,
	COALESCE(users.full_name, ''), users.scopes, users.disabled, users.created_at, users.updated_at, users.user_metadata, users.factors, users.administrator_since`

func (u *User) fields() []any {
	return []any{
		&u.ID, &u.Username, &u.Email, &u.EmailVerified, &u.FullName,
		&u.Scopes, &u.Disabled,
		timeScanner{&u.CreatedAt},
		timeScanner{&u.UpdatedAt},
		&u.Metadata,
		&u.Factors,
		timeScanner{&u.AdministratorSince},
	}
}

// loginColumns include them, the time of the claim and that of a reset.
const loginColumns = `COALESCE(users.password_hash, ''), users.username_key, COALESCE(users.email_key, ''), users.email_claimed_at, users.factors_reset_at, ` + userColumns

func (u *User) loginFields() []any {
	return append([]any{secretScanner{&u.PasswordHash}, &u.UsernameKey, &u.EmailKey, timeScanner{&u.EmailClaimedAt}, timeScanner{&u.FactorsResetAt}}, u.fields()...)
}

// CreateUser inserts a user. Errors: ErrConflict when the username or the confirmed address is taken; the transaction can
// continue.
func (q *Queries) CreateUser(ctx context.Context, u User) error {
	err := one(q.write.ExecContext(ctx, `
		INSERT INTO users (id, username, username_key, email, email_key, email_verified, full_name,
			password_hash, scopes, disabled, created_at, updated_at, email_claimed_at, imported_as, user_metadata)
		VALUES ($1, $2, $3, NULLIF($4, ''), NULLIF($5, ''), $6, NULLIF($7, ''), NULLIF($8, ''), $9, $10, $11, $12, $13, NULLIF($14, ''), $15)
		ON CONFLICT DO NOTHING`,
		u.ID, u.Username, u.UsernameKey, u.Email, u.EmailKey, u.EmailVerified, u.FullName,
		u.PasswordHash.Reveal(), u.Scopes, u.Disabled, micros(u.CreatedAt), micros(u.UpdatedAt), orNull(u.EmailClaimedAt), u.ImportedAs, u.Metadata))
	if errors.Is(err, ErrNotFound) {
		return ErrConflict
	}
	return err
}

// ImportedAs returns the record of an import that created a user: a digest, ImportedBefore, or "" for none.
func (q *Queries) ImportedAs(ctx context.Context, id string) (digest string, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COALESCE(imported_as, '') FROM users WHERE id = $1`, id)
	return digest, translate(row.Scan(&digest))
}

// UserByUsername finds a user by the folded username. Errors: ErrNotFound.
func (q *Queries) UserByUsername(ctx context.Context, key string) (User, error) {
	return q.userForLogin(ctx, `username_key = $1`, key)
}

// UserByEmail finds a user by a folded address that the user has confirmed. Errors: ErrNotFound.
func (q *Queries) UserByEmail(ctx context.Context, key string) (User, error) {
	return q.userForLogin(ctx, `email_key = $1 AND email_verified`, key)
}

// UserByID finds a user. Errors: ErrNotFound.
func (q *Queries) UserByID(ctx context.Context, id string) (User, error) {
	return q.userForLogin(ctx, `id = $1`, id)
}

func (q *Queries) userForLogin(ctx context.Context, where, value string) (u User, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+loginColumns+` FROM users WHERE `+where, value)
	return u, translate(row.Scan(u.loginFields()...))
}

// UserWithWait is UserByID that also reads until when a counter makes the user wait.
func (q *Queries) UserWithWait(ctx context.Context, id, counter string, now time.Time) (u User, until time.Time, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT COALESCE((SELECT blocked_until FROM throttles WHERE key = $2 AND blocked_until <= $3), 0), `+loginColumns+`
		FROM users WHERE id = $1`, id, counter, stale(now, LongestWait))
	return u, until, translate(row.Scan(append([]any{timeScanner{&until}}, u.loginFields()...)...))
}

// UserForLogin finds a user by the folded username or, if byEmail, by the folded address that the user has confirmed. The
// zero User means that there is none. In the same query it reads up to limit users with a password, from a point of 12
// hexadecimal digits on, in an order that is random but fixed. After the last user the order continues with the first.
func (q *Queries) UserForLogin(ctx context.Context, key string, byEmail bool, point string, limit int) (found User, near []User, err error) {
	where := `username_key = $1`
	if byEmail {
		where = `email_key = $1 AND email_verified`
	}
	type row struct {
		part  int64
		place string
		User
	}
	const nearest = `SELECT * FROM (SELECT %d AS part, SUBSTR(id, 25) AS place, ` + loginColumns + ` FROM users
		WHERE password_hash IS NOT NULL AND SUBSTR(id, 25) %s $2 ORDER BY SUBSTR(id, 25) LIMIT $3) AS near%[1]d`
	rows, err := q.read.QueryContext(ctx, `SELECT 0 AS part, '' AS place, `+loginColumns+` FROM users WHERE `+where+`
		UNION ALL `+fmt.Sprintf(nearest, 1, ">=")+` UNION ALL `+fmt.Sprintf(nearest, 2, "<")+` ORDER BY part, place`, key, point, limit)
	all, err := collect(rows, err, func(r *row) []any { return append([]any{&r.part, &r.place}, r.loginFields()...) })
	for _, r := range all {
		switch {
		case r.part == 0:
			found = r.User
		case len(near) < limit:
			near = append(near, r.User)
		}
	}
	return found, near, err
}

// ReplacePasswordHash replaces a password hash by one of the same password, in a transaction. Errors: ErrNotFound when the stored one
// is not the old one.
func (q *Queries) ReplacePasswordHash(ctx context.Context, id, old, hash string, now time.Time) error {
	err := one(q.write.ExecContext(ctx, `
		UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2`,
		id, old, hash, micros(now)))
	if err != nil {
		return err
	}
	return q.keepPersonalTokens(ctx, id, old)
}

// SetPasswordHash stores a password hash. Errors: ErrNotFound; see must.
func (q *Queries) SetPasswordHash(ctx context.Context, id, hash string, now time.Time) error {
	return q.must(ctx, `UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1`, id, hash, micros(now))
}

// CountHashes counts the users whose password hash has a prefix. It reads every user.
func (q *Queries) CountHashes(ctx context.Context, prefix string) (n int64, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE SUBSTR(password_hash, 1, LENGTH($1)) = $1`, prefix)
	return n, translate(row.Scan(&n))
}

// UserChange changes a user; nil keeps a value.
type UserChange struct {
	FullName *string // "" clears
	Email    *string // "" clears; an address that differs in any byte is neither confirmed nor a claim
	EmailKey *string // folded; nil with Email
	Disabled *bool
	Scopes   *string
	Metadata *string // "" clears
	// AdministratorSince is when the account got the scopes of administrators.
	AdministratorSince time.Time // zero keeps it
}

// UpdateUser changes a user and returns the new state. Errors: ErrNotFound.
func (q *Queries) UpdateUser(ctx context.Context, id string, c UserChange, now time.Time) (u User, err error) {
	err = q.writeRow(ctx, u.loginFields(), `
		UPDATE users SET full_name = NULLIF(COALESCE($2, full_name), ''),
			email = NULLIF(COALESCE($3, email), ''), email_key = NULLIF(COALESCE($4, email_key), ''),
			email_verified = email_verified AND COALESCE($3, email) = email,
			email_claimed_at = CASE WHEN COALESCE($3, email) = email THEN email_claimed_at END,
			disabled = COALESCE($5, disabled), scopes = COALESCE($6, scopes), updated_at = $7, user_metadata = COALESCE($8, user_metadata),
			administrator_since = COALESCE($9, administrator_since)
		WHERE id = $1 RETURNING `+loginColumns,
		id, c.FullName, c.Email, c.EmailKey, c.Disabled, c.Scopes, micros(now), c.Metadata, orNull(c.AdministratorSince))
	return u, err
}

// CountOtherAdministrators counts the enabled users, except one, that have a scope. A transaction that
// decides by this number has to hold the administration lock: otherwise another one can lower it meanwhile.
func (q *Queries) CountOtherAdministrators(ctx context.Context, scope, besides string) (n int64, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM users WHERE scopes <> '' AND NOT disabled AND id <> $1
			AND ' ' || scopes || ' ' LIKE '% ' || $2 || ' %'`, besides, scope)
	return n, translate(row.Scan(&n))
}

// DeleteUser deletes a user and, by the foreign keys, everything that belongs to it. Errors: ErrNotFound; see
// must.
func (q *Queries) DeleteUser(ctx context.Context, id string) error {
	return q.must(ctx, `DELETE FROM users WHERE id = $1`, id)
}
