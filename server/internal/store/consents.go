package store

import (
	"context"
	"time"
)

// EndOtherSessionsOf deletes the sessions of a user except one and those that were started from it.
func (q *Queries) EndOtherSessionsOf(ctx context.Context, userID, except string) error {
	_, err := q.write.ExecContext(ctx, `
		DELETE FROM sessions WHERE user_id = $1 AND id <> $2 AND (browser_id IS NULL OR browser_id <> $2)`, userID, except)
	return translate(err)
}

// GrantedConsent is what a user has granted to a client.
type GrantedConsent struct {
	ClientID, ClientName, LogoHash, Scope string
	Registration, DocumentURI             string // see Client
	UpdatedAt                             time.Time
}

// ListConsents lists what a user has granted, sorted by the name of the client.
func (q *Queries) ListConsents(ctx context.Context, userID string, limit int) ([]GrantedConsent, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT k.client_id, c.name, c.logo_hash, k.scope, c.registration, c.document_uri, k.updated_at FROM consents k JOIN clients c ON c.id = k.client_id
		WHERE k.user_id = $1 ORDER BY c.name, k.client_id LIMIT $2`, userID, limit)
	return collect(rows, err, func(k *GrantedConsent) []any {
		return []any{&k.ClientID, &k.ClientName, &k.LogoHash, &k.Scope, &k.Registration, &k.DocumentURI, timeScanner{&k.UpdatedAt}}
	})
}

// DeleteConsent deletes what a user has granted to a client. Errors: ErrNotFound.
func (q *Queries) DeleteConsent(ctx context.Context, userID, clientID string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM consents WHERE user_id = $1 AND client_id = $2`, userID, clientID))
}

// EndSessionsWith deletes the sessions of a user with a client.
func (q *Queries) EndSessionsWith(ctx context.Context, userID, clientID string) error {
	_, err := q.write.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND client_id = $2`, userID, clientID)
	return translate(err)
}
