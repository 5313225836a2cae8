package auth

import (
	"context"
	"errors"
	"time"

	"sesame/server/store"
	"sesame/server/token"
)

// LoadKeys opens the signing keys of a database, and makes the first one where there is none. When
// several replicas do so at once, the database lets one key become the active one, for all of them.
func LoadKeys(ctx context.Context, db *store.DB, master token.MasterKey, now time.Time) (*token.Keyring, error) {
	rows, err := db.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		if err = addKey(ctx, db, master, now); err != nil {
			return nil, err
		}
		if rows, err = db.SigningKeys(ctx); err != nil {
			return nil, err
		}
	}
	keys := make([]token.Key, 0, len(rows))
	for _, row := range rows {
		key, err := token.Unseal(master, row.ID, row.PrivateKey)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(rows) == 0 || !rows[0].Active {
		return nil, errors.New("the database has no active signing key")
	}
	return token.NewKeyring(keys[0], keys[1:]...)
}

func addKey(ctx context.Context, db *store.DB, master token.MasterKey, now time.Time) error {
	key, err := token.GenerateKey()
	if err != nil {
		return err
	}
	sealed, err := key.Seal(master)
	if err != nil {
		return err
	}
	return db.AddSigningKey(ctx, store.SigningKey{
		ID: key.ID, Alg: key.Alg, PrivateKey: sealed, Active: true, CreatedAt: now,
	})
}

// PublicKeys lists the keys that verify access tokens.
func (s *Service) PublicKeys() []token.JWK { return s.issuer.Keys().JWKS() }
