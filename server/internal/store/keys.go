package store

import (
	"context"
	"time"
)

// The states of a signing key, in the order of its life.
const (
	KeyPublished = "published"
	KeySigning   = "signing"
	KeyRetired   = "retired"
)

// SigningKey is a row of signing_keys. A time that does not apply yet is zero.
type SigningKey struct {
	ID         string
	Alg        string
	PrivateKey string // sealed
	State      string
	CreatedAt  time.Time
	SignsFrom  time.Time
	RetiredAt  time.Time
	RemovedAt  time.Time
	TokenTTL   time.Duration // the longest life of a token that it may have signed
}

// AddSigningKey inserts a key. Errors: ErrNotFound when another key is in its state.
func (q *Queries) AddSigningKey(ctx context.Context, k SigningKey) error {
	return q.changeKey(ctx, `
		INSERT INTO signing_keys (id, alg, private_key, state, created_at, signs_from, token_ttl)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
		k.ID, k.Alg, k.PrivateKey, k.State, micros(k.CreatedAt), micros(k.SignsFrom), k.TokenTTL.Microseconds())
}

// SigningKeys lists all keys: the signing key, the published one, and the retired ones, newest first.
func (q *Queries) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT id, alg, private_key, state, created_at, signs_from, retired_at, removed_at, token_ttl FROM signing_keys
		ORDER BY CASE state WHEN 'signing' THEN 1 WHEN 'published' THEN 2 ELSE 3 END, signs_from DESC`)
	return collect(rows, err, func(k *SigningKey) []any {
		return []any{
			&k.ID, &k.Alg, &k.PrivateKey, &k.State,
			timeScanner{&k.CreatedAt},
			timeScanner{&k.SignsFrom},
			timeScanner{&k.RetiredAt},
			timeScanner{&k.RemovedAt},
			durationScanner{&k.TokenTTL},
		}
	})
}

// LockSigningKey locks the signing key until the transaction ends; other changes of the keys wait for it. Errors:
// ErrNotFound when another key signs.
func (q *Queries) LockSigningKey(ctx context.Context, id string) error {
	return q.changeKey(ctx, `UPDATE signing_keys SET state = state WHERE id = $1 AND state = 'signing' RETURNING id`, id)
}

// RetireSigningKey retires the signing key. It is to be removed after the life of its tokens and a further period. Errors:
// ErrNotFound when another key signs.
func (q *Queries) RetireSigningKey(ctx context.Context, id string, now time.Time, period time.Duration) error {
	return q.changeKey(ctx, `
		UPDATE signing_keys SET state = 'retired', retired_at = $2, removed_at = $3 + token_ttl
		WHERE id = $1 AND state = 'signing' RETURNING id`, id, micros(now), micros(now.Add(period)))
}

// StartSigning makes the published key sign. Errors: ErrNotFound when it is no longer published.
func (q *Queries) StartSigning(ctx context.Context, id string, now time.Time) error {
	return q.changeKey(ctx, `
		UPDATE signing_keys SET state = 'signing', signs_from = $2 WHERE id = $1 AND state = 'published' RETURNING id`,
		id, micros(now))
}

// RaiseTokenTTL records that tokens of this life are about to be signed. Errors: ErrNotFound when another key signs.
func (q *Queries) RaiseTokenTTL(ctx context.Context, id string, ttl time.Duration) error {
	return q.changeKey(ctx, `
		UPDATE signing_keys SET token_ttl = CASE WHEN token_ttl < $2 THEN $2 ELSE token_ttl END
		WHERE id = $1 AND state = 'signing' RETURNING id`, id, ttl.Microseconds())
}

// ReplaceSealed replaces the sealed private half of a key by the same key, sealed again. Errors: ErrNotFound when another
// process has replaced or removed it.
func (q *Queries) ReplaceSealed(ctx context.Context, id, old, sealed string) error {
	return q.changeKey(ctx, `UPDATE signing_keys SET private_key = $3 WHERE id = $1 AND private_key = $2 RETURNING id`, id, old, sealed)
}

// RemoveSigningKey deletes a key in a state. Errors: ErrNotFound.
func (q *Queries) RemoveSigningKey(ctx context.Context, id, state string) error {
	return q.changeKey(ctx, `DELETE FROM signing_keys WHERE id = $1 AND state = $2 RETURNING id`, id, state)
}

// RemoveSigningKeys deletes all keys.
func (q *Queries) RemoveSigningKeys(ctx context.Context) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM signing_keys`)
	return translate(err)
}

func (q *Queries) changeKey(ctx context.Context, query string, args ...any) error {
	var id string
	return q.writeRow(ctx, []any{&id}, query, args...)
}
