package store

import (
	"context"
	"time"
)

// DeviceRequest is a row of device_requests: a device waits for a person to sign it in.
type DeviceRequest struct {
	Hash       string // of the device code
	UserCode   string // its keyed hash
	ClientID   string
	Scope      string
	IPAddress  string // of the device
	CreatedAt  time.Time
	ExpiresAt  time.Time
	Wait       int64     // seconds between two polls
	PolledAt   time.Time // 1970 before the first poll
	State      string    // DevicePending, DeviceGranted or DeviceDenied
	UserID     string    // the person who has granted it, or ""
	BrowserID  string    // the session in which they did
	SignedInAt time.Time // when they gave their password
}

// The states of a device request.
const (
	DevicePending = "pending"
	DeviceGranted = "granted"
	DeviceDenied  = "denied"
)

const deviceColumns = `hash, user_code, client_id, scope, ip_address, created_at, expires_at, wait, polled_at, state,
	COALESCE(user_id, ''), COALESCE(browser_id, ''), COALESCE(signed_in_at, 0)`

func (d *DeviceRequest) fields() []any {
	return []any{
		&d.Hash, &d.UserCode, &d.ClientID, &d.Scope, &d.IPAddress,
		timeScanner{&d.CreatedAt},
		timeScanner{&d.ExpiresAt},
		&d.Wait,
		timeScanner{&d.PolledAt},
		&d.State, &d.UserID, &d.BrowserID,
		timeScanner{&d.SignedInAt},
	}
}

// CreateDeviceRequest inserts a pending request. Errors: ErrConflict when another one has the user code.
func (q *Queries) CreateDeviceRequest(ctx context.Context, d DeviceRequest) error {
	_, err := q.write.ExecContext(ctx, `
		INSERT INTO device_requests (hash, user_code, client_id, scope, ip_address, created_at, expires_at, wait)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		d.Hash, d.UserCode, d.ClientID, d.Scope, d.IPAddress, micros(d.CreatedAt), micros(d.ExpiresAt), d.Wait)
	return translate(err)
}

// DeviceRequestByHash finds a request by the hash of its device code, even an expired one. Errors: ErrNotFound.
func (q *Queries) DeviceRequestByHash(ctx context.Context, hash string) (d DeviceRequest, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+deviceColumns+` FROM device_requests WHERE hash = $1`, hash)
	return d, translate(row.Scan(d.fields()...))
}

// DeviceRequestByUserCode finds a request that waits for a person, by one of the keyed hashes of its user code. Errors:
// ErrNotFound.
func (q *Queries) DeviceRequestByUserCode(ctx context.Context, key, secondKey string, now time.Time) (d DeviceRequest, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT `+deviceColumns+` FROM device_requests WHERE user_code IN ($1, $2) AND state = '`+DevicePending+`' AND expires_at > $3`,
		key, secondKey, micros(now))
	return d, translate(row.Scan(d.fields()...))
}

// RecordDevicePoll records that a device has polled, and how long it has to wait from now on.
func (q *Queries) RecordDevicePoll(ctx context.Context, hash string, wait int64, now time.Time) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE device_requests SET polled_at = $2, wait = CASE WHEN wait < $3 THEN $3 ELSE wait END WHERE hash = $1`, hash, micros(now), wait)
	return translate(err)
}

// DecideDeviceRequest records what a person has decided about a request that waits for it: of concurrent decisions one counts.
// Errors: ErrNotFound.
func (q *Queries) DecideDeviceRequest(ctx context.Context, d DeviceRequest, now time.Time) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE device_requests SET state = $2, user_id = NULLIF($3, ''), browser_id = NULLIF($4, ''), signed_in_at = $5
		WHERE hash = $1 AND state = '`+DevicePending+`' AND expires_at > $6`,
		d.Hash, d.State, d.UserID, d.BrowserID, orNull(d.SignedInAt), micros(now)))
}

// UseDeviceRequest deletes a request that a person has granted: of concurrent uses one succeeds. Errors: ErrNotFound.
func (q *Queries) UseDeviceRequest(ctx context.Context, hash, userID string, now time.Time) error {
	return one(q.write.ExecContext(ctx, `
		DELETE FROM device_requests WHERE hash = $1 AND state = '`+DeviceGranted+`' AND user_id = $2 AND expires_at > $3`,
		hash, userID, micros(now)))
}

// DeleteDeviceRequestsBefore deletes requests that had expired before a time.
func (q *Queries) DeleteDeviceRequestsBefore(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	return q.deleteExpired(ctx, "device_requests", "hash", "expires_at <= $1", "expires_at", before, limit)
}
