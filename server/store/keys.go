package store

import (
	"context"
	"time"
)

// SigningKey is a row of signing_keys.
type SigningKey struct {
	ID         string
	Alg        string
	PrivateKey string // sealed
	Active     bool
	CreatedAt  time.Time
}

// AddSigningKey inserts a key, unless it would be a second active one of its algorithm.
func (q *Queries) AddSigningKey(ctx context.Context, k SigningKey) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO signing_keys (id, alg, private_key, active, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`, k.ID, k.Alg, k.PrivateKey, k.Active, micros(k.CreatedAt))
	return known(err)
}

// SigningKeys gives all keys, the active one first.
func (q *Queries) SigningKeys(ctx context.Context) (keys []SigningKey, err error) {
	rows, err := q.read.QueryContext(ctx,
		`SELECT id, alg, private_key, active, created_at FROM signing_keys ORDER BY active DESC, created_at DESC`)
	if err != nil {
		return nil, known(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k SigningKey
		if err = rows.Scan(&k.ID, &k.Alg, &k.PrivateKey, &k.Active, instant{&k.CreatedAt}); err != nil {
			return nil, known(err)
		}
		keys = append(keys, k)
	}
	return keys, known(rows.Err())
}
