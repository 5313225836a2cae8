package store

import (
	"context"
	"encoding/base64"
)

// SetClientLogo stores the logo of a client, or deletes it if there is no content. CreateClient and UpdateClient store its hash.
func (q *Queries) SetClientLogo(ctx context.Context, clientID, hash string, content []byte) error {
	if len(content) == 0 {
		return q.later(ctx, `DELETE FROM client_logos WHERE client_id = $1`, clientID)
	}
	return q.later(ctx, `
		INSERT INTO client_logos (client_id, hash, content) VALUES ($1, $2, $3)
		ON CONFLICT (client_id) DO UPDATE SET hash = excluded.hash, content = excluded.content`,
		clientID, hash, base64.StdEncoding.EncodeToString(content))
}

// ClientLogo returns a logo by its hash. Errors: ErrNotFound.
func (q *Queries) ClientLogo(ctx context.Context, hash string) ([]byte, error) {
	var text string
	if err := q.read.QueryRowContext(ctx, `SELECT content FROM client_logos WHERE hash = $1 LIMIT 1`, hash).Scan(&text); err != nil {
		return nil, translate(err)
	}
	return base64.StdEncoding.DecodeString(text)
}
