package store

import (
	"cmp"
	"context"
	"strings"
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
	Public        bool // it has no secret
	ThirdParty    bool // people are asked whether they agree
	PKCEOptional  bool
	RedirectURIs  string // one per line
	SignOutURIs   string // one per line
	DeviceGrant   bool   // people may sign in through it on devices without a browser
	LogoutURI     string // where the server sends logout tokens, or ""
	// OldSecretHash is that of the secret that is being replaced. It is valid until OldSecretUntil.
	OldSecretHash  secret.Text
	OldSecretUntil time.Time
	AccessTTL      time.Duration // of its access tokens; 0 for that of the server
	SessionTTL     time.Duration // of its sessions, likewise
	LogoHash       string        // of its logo; see SetClientLogo
	Registration   string        // ByOperator, ByItself or ByDocument; "" is ByOperator in CreateClient
	DocumentURI    string        // the client_id that it sends, if it has a metadata document
	NameKey        string        // read only by ListClients
}

// The values of Client.Registration.
const (
	ByOperator = "operator"
	ByItself   = "dynamic"  // RFC 7591
	ByDocument = "document" // a client ID metadata document
)

const clientColumns = `c.id, c.name, c.secret_hash, c.scopes, c.password_grant, c.created_at,
	c.public, c.third_party, c.pkce_optional, c.redirect_uris, c.sign_out_uris, c.device_grant, c.logout_uri, c.old_secret_hash, c.old_secret_until,
	c.access_ttl, c.session_ttl, c.logo_hash, c.registration, c.document_uri`

func (c *Client) fields() []any {
	return []any{
		&c.ID, &c.Name,
		secretScanner{&c.SecretHash},
		&c.Scopes, &c.PasswordGrant,
		timeScanner{&c.CreatedAt},
		&c.Public, &c.ThirdParty, &c.PKCEOptional, &c.RedirectURIs, &c.SignOutURIs, &c.DeviceGrant, &c.LogoutURI,
		secretScanner{&c.OldSecretHash},
		timeScanner{&c.OldSecretUntil},
		durationScanner{&c.AccessTTL},
		durationScanner{&c.SessionTTL},
		&c.LogoHash, &c.Registration, &c.DocumentURI,
	}
}

// CreateClient inserts a client. Errors: ErrConflict when the name is taken.
func (q *Queries) CreateClient(ctx context.Context, c Client) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO clients (id, name, secret_hash, scopes, password_grant, created_at,
			public, third_party, pkce_optional, redirect_uris, sign_out_uris, device_grant, logout_uri, access_ttl, session_ttl, logo_hash,
			registration, document_uri, check_at, name_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		c.ID, c.Name, c.SecretHash.Reveal(), c.Scopes, c.PasswordGrant, micros(c.CreatedAt),
		c.Public, c.ThirdParty, c.PKCEOptional, c.RedirectURIs, c.SignOutURIs, c.DeviceGrant, c.LogoutURI,
		c.AccessTTL.Microseconds(), c.SessionTTL.Microseconds(), c.LogoHash,
		cmp.Or(c.Registration, ByOperator), c.DocumentURI, micros(c.CreatedAt.Add(UnusedTTL)), clientKey(c.Name))
	return translate(err)
}

// ClientByID finds a client. Errors: ErrNotFound.
func (q *Queries) ClientByID(ctx context.Context, id string) (c Client, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients c WHERE c.id = $1`, id)
	return c, translate(row.Scan(c.fields()...))
}

// LockClient locks the row of a client until the transaction ends, and reads it. Errors: ErrNotFound.
func (q *Queries) LockClient(ctx context.Context, id string) (c Client, err error) {
	err = q.writeRow(ctx, c.fields(), `UPDATE clients SET name = name WHERE id = $1 RETURNING `+strings.ReplaceAll(clientColumns, "c.", ""), id)
	return c, err
}

// ClientOfToken finds a client by a token of its own. Errors: ErrNotFound when the client was deleted or the token
// revoked.
func (q *Queries) ClientOfToken(ctx context.Context, id, tokenID string) (c Client, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+clientColumns+` FROM clients c
		WHERE c.id = $1 AND NOT EXISTS (SELECT 1 FROM revoked_tokens r WHERE r.id = $2)`, id, tokenID)
	return c, translate(row.Scan(c.fields()...))
}

// UpdateClient replaces everything of a client but its id and its age. Errors: ErrNotFound, and ErrConflict
// when the name is taken.
func (q *Queries) UpdateClient(ctx context.Context, c Client) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE clients SET name = $2, secret_hash = $3, scopes = $4, password_grant = $5,
			public = $6, third_party = $7, pkce_optional = $8, redirect_uris = $9, sign_out_uris = $10,
			old_secret_hash = $11, old_secret_until = $12, device_grant = $13, logout_uri = $14,
			access_ttl = $15, session_ttl = $16, logo_hash = $17, name_key = $18 WHERE id = $1`,
		c.ID, c.Name, c.SecretHash.Reveal(), c.Scopes, c.PasswordGrant, c.Public, c.ThirdParty, c.PKCEOptional, c.RedirectURIs, c.SignOutURIs,
		c.OldSecretHash.Reveal(), micros(c.OldSecretUntil), c.DeviceGrant, c.LogoutURI,
		c.AccessTTL.Microseconds(), c.SessionTTL.Microseconds(), c.LogoHash, clientKey(c.Name)))
}

// DeleteClient deletes a client. Errors: ErrNotFound.
func (q *Queries) DeleteClient(ctx context.Context, id string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM clients WHERE id = $1`, id))
}

// EndSessionsOfClient deletes up to limit sessions of a client, and returns how many: one statement for all sessions would
// keep every other writer waiting. On PostgreSQL it skips those that are being used.
func (q *Queries) EndSessionsOfClient(ctx context.Context, clientID string, limit int) (deleted int64, err error) {
	return affected(q.write.ExecContext(ctx, `
		WITH batch AS MATERIALIZED (SELECT id FROM sessions WHERE client_id = $1 LIMIT $2`+q.skipLocked+`)
		DELETE FROM sessions WHERE id IN (SELECT id FROM batch)`, clientID, limit))
}

// EndRemainingSessionsOfClient deletes all sessions of a client. Call it when EndSessionsOfClient has left few.
func (q *Queries) EndRemainingSessionsOfClient(ctx context.Context, clientID string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM sessions WHERE client_id = $1`, clientID)
	return translate(err)
}

// RevokeToken records the id of an access token without a session as revoked, until it expires.
func (q *Queries) RevokeToken(ctx context.Context, id string, expires time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO revoked_tokens (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, micros(expires))
	return translate(err)
}
