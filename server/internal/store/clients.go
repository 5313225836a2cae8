package store

import (
	"context"
	"database/sql"
	"time"

	"sesame/server/secret"
)

// Client is a row of clients.
type Client struct {
	ID            string
	Name          string
	SecretHash    secret.Text // SHA-256, in hex
	Scopes        string
	PasswordGrant bool
	CreatedAt     time.Time
}

const clientColumns = `c.id, c.name, c.secret_hash, c.scopes, c.password_grant, c.created_at`

func (c *Client) fields() []any {
	return []any{&c.ID, &c.Name, secretScanner{&c.SecretHash}, &c.Scopes, &c.PasswordGrant, timeScanner{&c.CreatedAt}}
}

// CreateClient inserts a client. Errors: ErrConflict when the name is taken.
func (q *Queries) CreateClient(ctx context.Context, c Client) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO clients (id, name, secret_hash, scopes, password_grant, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		c.ID, c.Name, c.SecretHash.Reveal(), c.Scopes, c.PasswordGrant, micros(c.CreatedAt))
	return translate(err)
}

// ClientByID finds a client. Errors: ErrNotFound.
func (q *Queries) ClientByID(ctx context.Context, id string) (c Client, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients c WHERE c.id = $1`, id)
	return c, translate(row.Scan(c.fields()...))
}

// ClientOfToken finds a client by a token of its own. Errors: ErrNotFound when the client was deleted or the token
// revoked.
func (q *Queries) ClientOfToken(ctx context.Context, id, tokenID string) (c Client, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+clientColumns+` FROM clients c
		WHERE c.id = $1 AND NOT EXISTS (SELECT 1 FROM revoked_tokens r WHERE r.id = $2)`, id, tokenID)
	return c, translate(row.Scan(c.fields()...))
}

// ListClients lists all clients, sorted by name.
func (q *Queries) ListClients(ctx context.Context) ([]Client, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+clientColumns+` FROM clients c ORDER BY c.name`)
	return collect(rows, err, (*Client).fields)
}

// DeleteClient deletes a client. Errors: ErrNotFound.
func (q *Queries) DeleteClient(ctx context.Context, id string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM clients WHERE id = $1`, id))
}

// sessionBatch is how many sessions a statement ends.
const sessionBatch = 20_000

// EndSessionsOfClient deletes all sessions of a client, which may be those of everybody: in batches, since PostgreSQL ends a
// statement that takes too long.
func (q *Queries) EndSessionsOfClient(ctx context.Context, clientID string) error {
	for after := ""; ; {
		var last sql.NullString
		if err := q.read.QueryRowContext(ctx, `SELECT MAX(id) FROM (
			SELECT id FROM sessions WHERE client_id = $1 AND id > $2 ORDER BY id LIMIT $3) batch`, clientID, after, sessionBatch).Scan(&last); err != nil || !last.Valid {
			return translate(err)
		}
		if _, err := q.write.ExecContext(ctx, `DELETE FROM sessions WHERE client_id = $1 AND id > $2 AND id <= $3`, clientID, after, last.String); err != nil {
			return translate(err)
		}
		after = last.String
	}
}

// RevokeToken records the id of an access token without a session as revoked, until it expires.
func (q *Queries) RevokeToken(ctx context.Context, id string, expires time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO revoked_tokens (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, micros(expires))
	return translate(err)
}
