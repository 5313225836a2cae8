package store

import (
	"context"
	"time"
)

// Provider is a row of providers.
type Provider struct {
	Name, Kind, Label string
	Issuer            string
	ClientID          string
	ClientSecret      string // sealed; "" for none
	Scopes            string // space-separated
	LinkAddresses     bool
	CreatedAt         time.Time
}

const providerColumns = `name, kind, label, issuer, client_id, client_secret, scopes, link_addresses, created_at`

func (p *Provider) fields() []any {
	return []any{&p.Name, &p.Kind, &p.Label, &p.Issuer, &p.ClientID, &p.ClientSecret, &p.Scopes, &p.LinkAddresses, timeScanner{&p.CreatedAt}}
}

// CreateProvider inserts a provider. Errors: ErrConflict when its name or its issuer is taken.
func (q *Queries) CreateProvider(ctx context.Context, p Provider) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO providers (`+providerColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.Name, p.Kind, p.Label, p.Issuer, p.ClientID, p.ClientSecret, p.Scopes, p.LinkAddresses, micros(p.CreatedAt))
	return translate(err)
}

// ProviderByName finds a provider. Errors: ErrNotFound.
func (q *Queries) ProviderByName(ctx context.Context, name string) (p Provider, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+providerColumns+` FROM providers WHERE name = $1`, name)
	return p, translate(row.Scan(p.fields()...))
}

// LockProvider locks the row of a provider until the transaction ends, and reads it. Errors: ErrNotFound.
func (q *Queries) LockProvider(ctx context.Context, name string) (p Provider, err error) {
	err = q.writeRow(ctx, p.fields(), `UPDATE providers SET name = name WHERE name = $1 RETURNING `+providerColumns, name)
	return p, err
}

// ListProviders lists all providers, the oldest first.
func (q *Queries) ListProviders(ctx context.Context) ([]Provider, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+providerColumns+` FROM providers ORDER BY created_at, name`)
	return collect(rows, err, (*Provider).fields)
}

// UpdateProvider replaces what can change of a provider: not its kind and its issuer. Errors: ErrNotFound.
func (q *Queries) UpdateProvider(ctx context.Context, p Provider) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE providers SET label = $2, client_id = $3, client_secret = $4, scopes = $5, link_addresses = $6 WHERE name = $1`,
		p.Name, p.Label, p.ClientID, p.ClientSecret, p.Scopes, p.LinkAddresses))
}

// ReplaceProviderSecret replaces a sealed secret by the same, sealed again. Errors: ErrNotFound when another process has replaced it.
func (q *Queries) ReplaceProviderSecret(ctx context.Context, name, old, sealed string) error {
	return one(q.write.ExecContext(ctx, `UPDATE providers SET client_secret = $3 WHERE name = $1 AND client_secret = $2`, name, old, sealed))
}

// DeleteProvider deletes a provider, and leaves the identities of its issuer. Errors: ErrNotFound.
func (q *Queries) DeleteProvider(ctx context.Context, name string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM providers WHERE name = $1`, name))
}
