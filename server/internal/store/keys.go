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

// KeyTable holds the keys of one use. The keys of ID tokens have a table of their own, so no key is taken for one of the other use.
type KeyTable struct {
	q    *Queries
	name string
}

// AccessTokenKeys are the keys that sign access tokens.
func (q *Queries) AccessTokenKeys() KeyTable { return KeyTable{q, "signing_keys"} }

// IDTokenKeys are the keys that sign ID tokens.
func (q *Queries) IDTokenKeys() KeyTable { return KeyTable{q, "id_token_keys"} }

// IsForIDTokens reports whether the keys sign ID tokens.
func (t KeyTable) IsForIDTokens() bool { return t.name == "id_token_keys" }

// Add inserts a key. Errors: ErrNotFound when another key is in its state.
func (t KeyTable) Add(ctx context.Context, k SigningKey) error {
	return t.change(ctx, `
		INSERT INTO `+t.name+` (id, alg, private_key, state, created_at, signs_from, token_ttl)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
		k.ID, k.Alg, k.PrivateKey, k.State, micros(k.CreatedAt), micros(k.SignsFrom), k.TokenTTL.Microseconds())
}

// All lists all keys: the signing key, the published one, and the retired ones, newest first.
func (t KeyTable) All(ctx context.Context) ([]SigningKey, error) {
	rows, err := t.q.read.QueryContext(ctx, `
		SELECT id, alg, private_key, state, created_at, signs_from, retired_at, removed_at, token_ttl FROM `+t.name+`
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

// Lock locks the signing key until the transaction ends; other changes of the keys wait for it. Errors:
// ErrNotFound when another key signs.
func (t KeyTable) Lock(ctx context.Context, id string) error {
	return t.change(ctx, `UPDATE `+t.name+` SET state = state WHERE id = $1 AND state = 'signing' RETURNING id`, id)
}

// Retire retires the signing key. It is to be removed after the life of its tokens and a further period. Errors:
// ErrNotFound when another key signs.
func (t KeyTable) Retire(ctx context.Context, id string, now time.Time, period time.Duration) error {
	return t.change(ctx, `
		UPDATE `+t.name+` SET state = 'retired', retired_at = $2, removed_at = $3 + token_ttl
		WHERE id = $1 AND state = 'signing' RETURNING id`, id, micros(now), micros(now.Add(period)))
}

// StartSigning makes the published key sign. Errors: ErrNotFound when it is no longer published.
func (t KeyTable) StartSigning(ctx context.Context, id string, now time.Time) error {
	return t.change(ctx, `
		UPDATE `+t.name+` SET state = 'signing', signs_from = $2 WHERE id = $1 AND state = 'published' RETURNING id`,
		id, micros(now))
}

// RaiseTokenTTL records that tokens of this life are about to be signed. Errors: ErrNotFound when another key signs.
func (t KeyTable) RaiseTokenTTL(ctx context.Context, id string, ttl time.Duration) error {
	return t.change(ctx, `
		UPDATE `+t.name+` SET token_ttl = CASE WHEN token_ttl < $2 THEN $2 ELSE token_ttl END
		WHERE id = $1 AND state = 'signing' RETURNING id`, id, ttl.Microseconds())
}

// ReplaceSealed replaces the sealed private half of a key by the same key, sealed again. Errors: ErrNotFound when another
// process has replaced or removed it.
func (t KeyTable) ReplaceSealed(ctx context.Context, id, old, sealed string) error {
	return t.change(ctx, `UPDATE `+t.name+` SET private_key = $3 WHERE id = $1 AND private_key = $2 RETURNING id`, id, old, sealed)
}

// Remove deletes a key in a state. Errors: ErrNotFound.
func (t KeyTable) Remove(ctx context.Context, id, state string) error {
	return t.change(ctx, `DELETE FROM `+t.name+` WHERE id = $1 AND state = $2 RETURNING id`, id, state)
}

// RemoveAll deletes all keys.
func (t KeyTable) RemoveAll(ctx context.Context) error {
	_, err := t.q.write.ExecContext(ctx, `DELETE FROM `+t.name+``)
	return translate(err)
}

func (t KeyTable) change(ctx context.Context, query string, args ...any) error {
	var id string
	return t.q.writeRow(ctx, []any{&id}, query, args...)
}
