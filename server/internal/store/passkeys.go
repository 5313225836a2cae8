package store

import (
	"context"
	"time"
)

// PasskeyForLogin finds the passkey with a credential ID, and its user. Errors: ErrNotFound.
func (q *Queries) PasskeyForLogin(ctx context.Context, credentialID string) (f Factor, u User, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT factors.id, factors.name, factors.secret, factors.last_step, `+loginColumns+`
		FROM factors JOIN users ON users.id = factors.user_id WHERE factors.credential_id = $1`, credentialID)
	f.CredentialID, f.Kind = credentialID, Passkey
	err = translate(row.Scan(append([]any{&f.ID, &f.Name, &f.Secret, &f.LastStep}, u.loginFields()...)...))
	f.UserID = u.ID
	return f, u, err
}

// PasskeyUse is the use of a passkey for a sign-in.
type PasskeyUse struct {
	FactorID        string
	Counter         int64  // of the signature; 0 of a passkey that does not count
	Secret          string // to store
	ChallengeID     string // each is valid once
	ChallengeEndsAt time.Time
	UsedBy          string // the session that it starts
}

// ascends is the condition for the counter $2 of a signature.
const ascends = `(last_step < $2 OR last_step = 0 AND $2 = 0)`

// UsePasskey records the use of a passkey. Errors: ErrNotFound if the counter is not greater than the stored one, or the challenge
// was used; see must. Of concurrent uses of a challenge exactly one succeeds.
func (q *Queries) UsePasskey(ctx context.Context, use PasskeyUse, now time.Time) error {
	err := q.must(ctx, `
		UPDATE factors SET last_step = $2, secret = $3, failures = 0, last_used_at = $4 WHERE id = $1 AND `+ascends,
		use.FactorID, use.Counter, use.Secret, micros(now))
	if err != nil {
		return err
	}
	return q.UseChallenge(ctx, use.ChallengeID, use.UsedBy, use.ChallengeEndsAt)
}

// UseChallenge records the use of a challenge by a session. Errors: ErrNotFound if it was used; see must.
func (q *Queries) UseChallenge(ctx context.Context, id, sessionID string, endsAt time.Time) error {
	return q.must(ctx, `
		INSERT INTO used_codes (id, session_id, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, sessionID, micros(endsAt))
}

// CanUsePasskey reports whether UsePasskey would succeed.
func (q *Queries) CanUsePasskey(ctx context.Context, use PasskeyUse) (ok bool, err error) {
	row := q.read.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM factors WHERE id = $1 AND `+ascends+`) AND NOT EXISTS (SELECT 1 FROM used_codes WHERE id = $3)`,
		use.FactorID, use.Counter, use.ChallengeID)
	return ok, translate(row.Scan(&ok))
}
