package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Factor is a row of factors: a second factor of a user.
type Factor struct {
	ID           string
	UserID       string
	Kind         string // TOTP or Passkey
	Name         string
	Secret       string // of TOTP: sealed; of a passkey: its public key and flags, JSON
	CredentialID string // of a passkey, base64url; "" for another kind
	LastStep     int64  // of TOTP: the time step of the last code that was used; of a passkey: its signature counter
	Failures     int64  // consecutive ones
	CreatedAt    time.Time
	LastUsedAt   time.Time // zero for never
}

// The kinds of factors.
const (
	TOTP    = "totp"
	Passkey = "passkey"
)

const factorColumns = `id, user_id, kind, name, secret, COALESCE(credential_id, ''), last_step, failures, created_at, last_used_at`

func (f *Factor) fields() []any {
	return []any{
		&f.ID, &f.UserID, &f.Kind, &f.Name, &f.Secret, &f.CredentialID, &f.LastStep, &f.Failures,
		timeScanner{&f.CreatedAt},
		timeScanner{&f.LastUsedAt},
	}
}

// FactorsOf lists the factors of a user, the oldest first.
func (q *Queries) FactorsOf(ctx context.Context, userID string) ([]Factor, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+factorColumns+` FROM factors WHERE user_id = $1 ORDER BY created_at, id`, userID)
	return collect(rows, err, (*Factor).fields)
}

// CreateFactor inserts a factor, in a transaction that has called LockUser and calls SetFactorKinds. Errors: ErrConflict when the
// credential of a passkey exists already.
func (q *Queries) CreateFactor(ctx context.Context, f Factor) error {
	n, err := affected(q.write.ExecContext(ctx, `
		INSERT INTO factors (id, user_id, kind, name, secret, credential_id, last_step, created_at)
		VALUES ($1, $2, $3, $4, $5, NULLIF($6, ''), $7, $8) ON CONFLICT DO NOTHING`,
		f.ID, f.UserID, f.Kind, f.Name, f.Secret, f.CredentialID, f.LastStep, micros(f.CreatedAt)))
	if err == nil && n == 0 {
		return ErrConflict
	}
	return err
}

// DeleteFactor deletes a factor of a user, in a transaction like that of CreateFactor. Errors: ErrNotFound.
func (q *Queries) DeleteFactor(ctx context.Context, userID, id string) error {
	return one(q.write.ExecContext(ctx, `DELETE FROM factors WHERE id = $1 AND user_id = $2`, id, userID))
}

// DeleteFactorsOf deletes all factors and recovery codes of a user.
func (q *Queries) DeleteFactorsOf(ctx context.Context, userID string) error {
	if err := q.later(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, userID); err != nil {
		return err
	}
	return q.later(ctx, `DELETE FROM factors WHERE user_id = $1`, userID)
}

// SetFactorKinds records with the user which kinds of factors there are, so that a login sees it without a query of its own. Without
// any, it deletes the recovery codes, and ends a reset.
func (q *Queries) SetFactorKinds(ctx context.Context, userID string, now time.Time) error {
	factors, err := q.FactorsOf(ctx, userID)
	if err != nil {
		return err
	}
	if len(factors) == 0 {
		if err = q.DeleteFactorsOf(ctx, userID); err != nil {
			return err
		}
		if err = q.SetFactorReset(ctx, userID, time.Time{}); err != nil {
			return err
		}
	}
	kinds := make([]string, len(factors))
	for i, f := range factors {
		kinds[i] = f.Kind
	}
	slices.Sort(kinds)
	return one(q.write.ExecContext(ctx, `UPDATE users SET factors = $2, updated_at = $3 WHERE id = $1`,
		userID, strings.Join(slices.Compact(kinds), " "), micros(now)))
}

// RenameFactor gives a factor of a user another name, and returns it. Errors: ErrNotFound.
func (q *Queries) RenameFactor(ctx context.Context, userID, id, name string) (f Factor, err error) {
	err = q.writeRow(ctx, f.fields(), `UPDATE factors SET name = $3 WHERE id = $1 AND user_id = $2 RETURNING `+factorColumns, id, userID, name)
	return f, err
}

// FactorsAfter lists up to limit factors of a kind in the order of their ids, after one.
func (q *Queries) FactorsAfter(ctx context.Context, kind, id string, limit int) ([]Factor, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+factorColumns+` FROM factors WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3`, kind, id, limit)
	return collect(rows, err, (*Factor).fields)
}

// SetSessionMethods records that the person of a session has proved more of who they are.
func (q *Queries) SetSessionMethods(ctx context.Context, userID, id, methods string) error {
	return q.later(ctx, `UPDATE sessions SET methods = $3 WHERE id = $1 AND user_id = $2`, id, userID, methods)
}

// SetFactorReset records when a reset removes the factors of a user; the zero time for no reset.
func (q *Queries) SetFactorReset(ctx context.Context, userID string, at time.Time) error {
	return q.later(ctx, `UPDATE users SET factors_reset_at = $2 WHERE id = $1`, userID, orNull(at))
}

// UsersToResetFactors lists up to limit users whose reset is due.
func (q *Queries) UsersToResetFactors(ctx context.Context, now time.Time, limit int) ([]User, error) {
	rows, err := q.read.QueryContext(ctx, `SELECT `+loginColumns+` FROM users WHERE factors_reset_at <= $1 ORDER BY factors_reset_at LIMIT $2`, micros(now), limit)
	return collect(rows, err, (*User).loginFields)
}

// FactorPolicy returns since when a policy has applied to an audience, and records now if it is new.
func (q *Queries) FactorPolicy(ctx context.Context, who string, now time.Time) (since time.Time, err error) {
	err = q.writeRow(ctx, []any{timeScanner{&since}}, `
		INSERT INTO factor_policies (who, since) VALUES ($1, $2) ON CONFLICT (who) DO UPDATE SET since = factor_policies.since RETURNING since`, who, micros(now))
	return since, err
}

// EndFactorPolicy records that a policy no longer applies to an audience.
func (q *Queries) EndFactorPolicy(ctx context.Context, who string) error {
	return q.later(ctx, `DELETE FROM factor_policies WHERE who = $1`, who)
}

// UseFactorStep records the use of a TOTP code. Errors: ErrNotFound if a code of the same time step or a later one was used, or
// the factor is disabled. Of concurrent uses of a code exactly one succeeds. It ends the count of failures of every app of the user
// that is not disabled, since CountFactorFailures counts for every one; before the use, so that both lock the rows in one order.
func (q *Queries) UseFactorStep(ctx context.Context, f Factor, step int64, now time.Time, limit int64) error {
	err := q.later(ctx, `
		UPDATE factors SET failures = 0 WHERE user_id = $1 AND kind = $2 AND failures BETWEEN 1 AND $3 - 1`, f.UserID, f.Kind, limit)
	if err != nil {
		return err
	}
	return one(q.write.ExecContext(ctx, `
		UPDATE factors SET last_step = $2, last_used_at = $3 WHERE id = $1 AND last_step < $2 AND failures < $4`,
		f.ID, step, micros(now), limit))
}

// CountFactorFailures counts a failed try of each factor of a kind. It counts to the limit.
func (q *Queries) CountFactorFailures(ctx context.Context, userID, kind string, limit int64) error {
	_, err := q.write.ExecContext(ctx, `
		UPDATE factors SET failures = failures + 1 WHERE user_id = $1 AND kind = $2 AND failures < $3`, userID, kind, limit)
	return translate(err)
}

// ReplaceFactorSecret replaces what is stored for a factor, if it is what was read. Errors: ErrNotFound.
func (q *Queries) ReplaceFactorSecret(ctx context.Context, id, old, secret string) error {
	return one(q.write.ExecContext(ctx, `UPDATE factors SET secret = $3 WHERE id = $1 AND secret = $2`, id, old, secret))
}

// ReplaceRecoveryCodes stores new recovery codes of a user in place of the old ones.
func (q *Queries) ReplaceRecoveryCodes(ctx context.Context, userID string, hashes []string) error {
	if err := q.later(ctx, `DELETE FROM recovery_codes WHERE user_id = $1`, userID); err != nil {
		return err
	}
	for _, hash := range hashes {
		if err := q.later(ctx, `INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)`, userID, hash); err != nil {
			return err
		}
	}
	return nil
}

// HasRecoveryCode reports whether a user has a recovery code that was not used.
func (q *Queries) HasRecoveryCode(ctx context.Context, userID, hash string) (ok bool, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM recovery_codes WHERE user_id = $1 AND hash = $2 AND used_at IS NULL)`, userID, hash)
	return ok, translate(row.Scan(&ok))
}

// UseRecoveryCode uses a recovery code of a user. Errors: ErrNotFound when there is none, or it was used.
func (q *Queries) UseRecoveryCode(ctx context.Context, userID, hash string, now time.Time) error {
	return one(q.write.ExecContext(ctx, `
		UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND hash = $2 AND used_at IS NULL`, userID, hash, micros(now)))
}

// RecoveryCodesLeft counts the recovery codes of a user that were not used.
func (q *Queries) RecoveryCodesLeft(ctx context.Context, userID string) (left int, err error) {
	row := q.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL`, userID)
	return left, translate(row.Scan(&left))
}
