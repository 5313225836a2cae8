package store

import (
	"context"
	"time"
)

// Certificate is a row of certificates. Secrets are sealed, or "".
type Certificate struct {
	Directory, Host                 string
	Account, Certificate, Challenge string
	Failures                        int
	AttemptAt                       time.Time // no replica makes another attempt before
}

const certificateColumns = `directory, host, account, certificate, challenge, failures, attempt_at`

func certificateFields(c *Certificate) []any {
	return []any{&c.Directory, &c.Host, &c.Account, &c.Certificate, &c.Challenge, &c.Failures, timeScanner{&c.AttemptAt}}
}

// Certificate returns the certificate of a host by an authority. Errors: ErrNotFound.
func (q *Queries) Certificate(ctx context.Context, directory, host string) (c Certificate, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT `+certificateColumns+` FROM certificates WHERE directory = $1 AND host = $2`, directory, host)
	return c, translate(row.Scan(certificateFields(&c)...))
}

// Certificates returns all certificates.
func (q *Queries) Certificates(ctx context.Context) ([]Certificate, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+certificateColumns+` FROM certificates`)
	return collect(rows, err, certificateFields)
}

// AddCertificate inserts an empty row, unless there is one.
func (q *Queries) AddCertificate(ctx context.Context, directory, host string) error {
	_, err := q.write.ExecContext(ctx, `INSERT INTO certificates (directory, host) VALUES ($1, $2) ON CONFLICT DO NOTHING`, directory, host)
	return translate(err)
}

// ClaimAttempt claims the next attempt to get a certificate: it counts as failed until StoreCertificate. Another one may begin
// at the time next. Errors: ErrNotFound when another replica has claimed it since c was read.
func (q *Queries) ClaimAttempt(ctx context.Context, c Certificate, next time.Time) error {
	return q.changeCertificate(ctx, `
		UPDATE certificates SET failures = failures + 1, attempt_at = $6
		WHERE directory = $1 AND host = $2 AND certificate = $3 AND failures = $4 AND attempt_at = $5 RETURNING host`,
		c.Directory, c.Host, c.Certificate, c.Failures, micros(c.AttemptAt), micros(next))
}

// DelayAttempt moves the next attempt to a time.
func (q *Queries) DelayAttempt(ctx context.Context, c Certificate, next time.Time) error {
	return q.changeCertificate(ctx, `UPDATE certificates SET attempt_at = $3 WHERE directory = $1 AND host = $2 RETURNING host`,
		c.Directory, c.Host, micros(next))
}

// SetAccount stores the key of the account.
func (q *Queries) SetAccount(ctx context.Context, c Certificate, sealed string) error {
	return q.changeCertificate(ctx, `UPDATE certificates SET account = $3 WHERE directory = $1 AND host = $2 RETURNING host`,
		c.Directory, c.Host, sealed)
}

// SetChallenge stores what the attempt in progress answers to the authority; "" for nothing.
func (q *Queries) SetChallenge(ctx context.Context, c Certificate, sealed string) error {
	return q.changeCertificate(ctx, `UPDATE certificates SET challenge = $3 WHERE directory = $1 AND host = $2 RETURNING host`,
		c.Directory, c.Host, sealed)
}

// StoreCertificate stores the certificate that an attempt has got. The next attempt may begin at the time next.
func (q *Queries) StoreCertificate(ctx context.Context, c Certificate, sealed string, next time.Time) error {
	return q.changeCertificate(ctx, `
		UPDATE certificates SET certificate = $3, challenge = '', failures = 0, attempt_at = $4 WHERE directory = $1 AND host = $2 RETURNING host`,
		c.Directory, c.Host, sealed, micros(next))
}

// ReplaceCertificateSecrets replaces the secrets of a row by the same, sealed again. Errors: ErrNotFound when another process
// has replaced one of them.
func (q *Queries) ReplaceCertificateSecrets(ctx context.Context, old Certificate, account, certificate string) error {
	return q.changeCertificate(ctx, `
		UPDATE certificates SET account = $3, certificate = $4
		WHERE directory = $1 AND host = $2 AND account = $5 AND certificate = $6 RETURNING host`,
		old.Directory, old.Host, account, certificate, old.Account, old.Certificate)
}

func (q *Queries) changeCertificate(ctx context.Context, query string, args ...any) error {
	var host string
	return q.writeRow(ctx, []any{&host}, query, args...)
}
