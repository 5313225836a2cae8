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
	UserID, Username               string // of ListConsentsOfClient
	ClientID, ClientName, LogoHash string // of ListConsents
	Registration, DocumentURI      string // of ListConsents; see Client
	Scope                          string
	CreatedAt, UpdatedAt           time.Time
}

// ListConsents lists what a user has granted, sorted by the id of the client, after that of one; "" begins the list.
func (q *Queries) ListConsents(ctx context.Context, userID, after string, limit int) ([]GrantedConsent, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT k.client_id, c.name, c.logo_hash, c.registration, c.document_uri, k.scope, k.created_at, k.updated_at FROM consents k JOIN clients c ON c.id = k.client_id
		WHERE k.user_id = $1 AND k.client_id > $2 ORDER BY k.client_id LIMIT $3`, userID, after, limit)
	return collect(rows, err, func(k *GrantedConsent) []any {
		return []any{&k.ClientID, &k.ClientName, &k.LogoHash, &k.Registration, &k.DocumentURI, &k.Scope, timeScanner{&k.CreatedAt}, timeScanner{&k.UpdatedAt}}
	})
}

// ListConsentsOfClient lists what users have granted to a client, sorted by the id of the user, after that of one; "" begins the list.
func (q *Queries) ListConsentsOfClient(ctx context.Context, clientID, after string, limit int) ([]GrantedConsent, error) {
	rows, err := q.read.QueryContext(ctx, `
		SELECT k.user_id, u.username, k.scope, k.created_at, k.updated_at FROM consents k JOIN users u ON u.id = k.user_id
		WHERE k.client_id = $1 AND k.user_id > $2 ORDER BY k.user_id LIMIT $3`, clientID, after, limit)
	return collect(rows, err, func(k *GrantedConsent) []any {
		return []any{&k.UserID, &k.Username, &k.Scope, timeScanner{&k.CreatedAt}, timeScanner{&k.UpdatedAt}}
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
