package store

import (
	"context"
	"time"
)

// Identity is a row of identities: a person at a provider. Provider and ProviderLabel are those of the provider that has the issuer
// now, or "".
type Identity struct {
	ID, UserID              string
	Issuer, Subject         string
	Label                   string // what the provider called the person when the identity was linked
	CreatedAt               time.Time
	UsedAt                  time.Time // zero before the first sign-in
	Provider, ProviderLabel string
}

const identityColumns = `i.id, i.user_id, i.issuer, i.subject, i.label, i.created_at, i.used_at, COALESCE(p.name, ''), COALESCE(p.label, '')`

func (i *Identity) fields() []any {
	return []any{&i.ID, &i.UserID, &i.Issuer, &i.Subject, &i.Label, timeScanner{&i.CreatedAt}, timeScanner{&i.UsedAt}, &i.Provider, &i.ProviderLabel}
}

// IdentityBySubject finds an identity. Errors: ErrNotFound.
func (q *Queries) IdentityBySubject(ctx context.Context, issuer, subject string) (i Identity, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+identityColumns+` FROM identities i LEFT JOIN providers p ON p.issuer = i.issuer WHERE i.issuer = $1 AND i.subject = $2`, issuer, subject)
	return i, translate(row.Scan(i.fields()...))
}

// ListIdentities lists the identities of a user, the oldest first, at most limit.
func (q *Queries) ListIdentities(ctx context.Context, userID string, limit int) ([]Identity, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT `+identityColumns+` FROM identities i LEFT JOIN providers p ON p.issuer = i.issuer WHERE i.user_id = $1
		ORDER BY i.created_at, i.id LIMIT $2`, userID, limit)
	return collect(rows, err, (*Identity).fields)
}

// CountIdentities counts the identities at an issuer.
func (q *Queries) CountIdentities(ctx context.Context, issuer string) (n int64, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM identities WHERE issuer = $1`, issuer)
	return n, translate(row.Scan(&n))
}

// CreateIdentity links an identity to a user, in a transaction that has locked or created the user. Errors: ErrConflict when it
// is linked already; the transaction can continue.
func (q *Queries) CreateIdentity(ctx context.Context, i Identity) error {
	n, err := affected(q.write.ExecContext(ctx, `
		INSERT INTO identities (id, user_id, issuer, subject, label, created_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`, i.ID, i.UserID, i.Issuer, i.Subject, i.Label, micros(i.CreatedAt), orNull(i.UsedAt)))
	if err == nil && n == 0 {
		err = ErrConflict
	}
	return err
}

// UseIdentity records that a user signs in with an identity, in the transaction that starts the session. Errors: ErrNotFound when
// it is no longer linked to the user, or has no provider any more.
func (q *Queries) UseIdentity(ctx context.Context, userID, issuer, subject string, now time.Time) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE identities SET used_at = $4 WHERE user_id = $1 AND issuer = $2 AND subject = $3
			AND EXISTS (SELECT 1 FROM providers p WHERE p.issuer = identities.issuer)`, userID, issuer, subject, micros(now)))
}

// DeleteIdentity deletes an identity of a user. Errors: ErrNotFound.
func (q *Queries) DeleteIdentity(ctx context.Context, userID, id string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM identities WHERE id = $2 AND user_id = $1`, userID, id))
}

// DeleteIdentitiesOf deletes all identities of a user, and returns how many there were.
func (q *Queries) DeleteIdentitiesOf(ctx context.Context, userID string) (int64, error) {
	return affected(q.write.ExecContext(ctx, `DELETE FROM identities WHERE user_id = $1`, userID))
}

// OtherWayIn reports whether a user can still sign in without an identity: with a password, or with another identity whose provider
// exists. A transaction that decides by it has called LockUser.
func (q *Queries) OtherWayIn(ctx context.Context, userID, withoutIdentity string) (found bool, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM users WHERE id = $1 AND COALESCE(password_hash, '') <> '')
			OR EXISTS (SELECT 1 FROM identities i JOIN providers p ON p.issuer = i.issuer WHERE i.user_id = $1 AND i.id <> $2)`, userID, withoutIdentity)
	return found, translate(row.Scan(&found))
}

// UseState records that the answer of a provider was used. Errors: ErrConflict when it was used before.
func (q *Queries) UseState(ctx context.Context, id string, expires time.Time) error {
	used, err := q.UseAuthorizationCode(ctx, id, stateUse, expires)
	if err == nil && used != "" {
		err = ErrConflict
	}
	return err
}

// stateUse marks a state among the used codes, where others have the session that they started. It is no session's id.
const stateUse = "state of a provider"
