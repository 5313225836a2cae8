package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 uses HMAC-SHA-1, whose security does not need a hash without collisions
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/mailer"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

const (
	// totpStep and totpDigits are what authenticator apps expect (RFC 6238 §4, §5.3).
	totpStep   = 30 * time.Second
	totpDigits = 6
	// maxFactorFailures is how many consecutive failures disable a factor (NIST SP 800-63B-4 §3.2.2).
	maxFactorFailures = 100
)

// IsDisabled reports whether a factor is disabled after too many failures.
func IsDisabled(f store.Factor) bool { return f.Failures >= maxFactorFailures }

// ErrWrongCode is the cause of the error for a code of a second factor that is wrong or was used before.
var ErrWrongCode = errors.New("the code of the second factor is wrong")

func errWrongCode() error {
	return problem.Wrap(problem.InvalidGrant, "The code of the second factor is wrong, or was used before.", ErrWrongCode)
}

// addCode adds the code of a second factor to an Authentication: of an authenticator app, or a recovery code. Errors:
// InvalidGrant with ErrWrongCode, TooManyRequests.
//
// It counts the try as a failure before it looks: many tries at once would otherwise all be compared before one is counted. A
// session that starts clears the counter.
func (s *Service) addCode(ctx context.Context, who *Authentication, code secret.Text) error {
	if err := s.reserveTry(ctx, who.attempt); err != nil {
		return err
	}
	given := withoutSpaces(code)
	use, err := s.codeUse(ctx, who, given)
	if err != nil {
		return err
	}
	if use == nil {
		return s.countWrongCode(ctx, who, IsRecoveryCode(code))
	}
	who.Methods = append(who.Methods, ByCode, TwoFactors)
	who.use = func(ctx context.Context, q *store.Queries, _ string) error {
		err := use(ctx, q)
		if errors.Is(err, store.ErrNotFound) { // used meanwhile
			return errWrongCode()
		}
		return err
	}
	return nil
}

// withoutSpaces returns a code without what people add to read it.
func withoutSpaces(code secret.Text) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(code.Reveal())
}

// IsRecoveryCode reports whether a code is no code of an authenticator app.
func IsRecoveryCode(code secret.Text) bool { return len(withoutSpaces(code)) != totpDigits }

// codeUse returns what uses up a code, or nil for a wrong one.
func (s *Service) codeUse(ctx context.Context, who *Authentication, code string) (func(context.Context, *store.Queries) error, error) {
	if len(code) != totpDigits { // as in IsRecoveryCode
		hash := RecoveryHash(who.user.ID, code)
		if unused, err := s.db.HasRecoveryCode(ctx, who.user.ID, hash); err != nil || !unused {
			return nil, err
		}
		return s.recoveryUse(who, hash), nil
	}
	factors, err := s.db.FactorsOf(ctx, who.user.ID)
	if err != nil {
		return nil, err
	}
	for _, f := range factors {
		if f.Kind != store.TOTP || IsDisabled(f) {
			continue
		}
		shared, err := s.Factors.Open(f.Secret, f.ID)
		if err != nil {
			return nil, fmt.Errorf("open the secret of factor %s: %w", f.ID, err)
		}
		if step, ok := MatchTOTP(shared, code, s.Now()); ok && step > f.LastStep {
			return func(ctx context.Context, q *store.Queries) error {
				return q.UseFactorStep(ctx, f, step, s.Now(), maxFactorFailures)
			}, nil
		}
	}
	return nil, nil
}

// recoveryUse is what uses up a recovery code. The owner learns of it, since somebody else may have found the codes.
func (s *Service) recoveryUse(who *Authentication, hash string) func(context.Context, *store.Queries) error {
	return func(ctx context.Context, q *store.Queries) error {
		if err := q.UseRecoveryCode(ctx, who.user.ID, hash, s.Now()); err != nil {
			return err
		}
		left, err := q.RecoveryCodesLeft(ctx, who.user.ID)
		if err != nil {
			return err
		}
		if err = s.Outbox.NotifyOf(ctx, q, mailer.RecoveryCodeUsed, who.user, mailer.Fields{CodesLeft: left}); err != nil {
			return err
		}
		return audit.Record(ctx, q, audit.RecoveryCodeUsed, audit.Event(ctx, who.user, &audit.Actor{ID: who.user.ID, ClientID: who.attempt.clientID}), s.Now())
	}
}

// misread are the digits that Base32 does not have, and the letters that people take for them.
var misread = strings.NewReplacer("0", "O", "1", "I", "8", "B")

// RecoveryHash is how a recovery code is stored. A code has 80 random bits, so that a fast hash without a key is enough. A key would
// be derived from the master key, and the codes would end when an operator replaces that: they cannot be hashed again.
func RecoveryHash(userID, code string) string {
	sum := sha256.Sum256([]byte("recovery code of " + userID + ": " + misread.Replace(strings.ToUpper(code))))
	return hex.EncodeToString(sum[:])
}

// resealBatch bounds the factors that one query reads.
const resealBatch = 500

// ResealFactors seals the secrets that the second master key has sealed with the master key. Every server does so at its start, as
// with the signing keys. Without a second master key it does nothing.
func ResealFactors(ctx context.Context, db *store.DB, sealer token.Sealer, log *slog.Logger) error {
	resealed, after := 0, ""
	for sealer.HasSecond() {
		batch, err := db.FactorsAfter(ctx, store.TOTP, after, resealBatch)
		if err != nil {
			return err
		}
		for _, f := range batch {
			sealed, changed := sealer.Reseal(f.Secret, f.ID)
			if !changed {
				continue
			}
			if err = db.ReplaceFactorSecret(ctx, f.ID, f.Secret, sealed); store.IgnoreNotFound(err) != nil {
				return err
			}
			resealed++
		}
		if len(batch) < resealBatch {
			break
		}
		after = batch[len(batch)-1].ID
	}
	if resealed > 0 {
		log.InfoContext(ctx, "secrets of second factors sealed with the new master key", "factors", resealed)
	}
	return nil
}

// MatchTOTP returns the time step of a code (RFC 6238 §4.2). A code is valid for its own step, and for the one before and after
// it, since clocks differ (§5.2). A caller that stores the step accepts each code once.
func MatchTOTP(shared []byte, code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / int64(totpStep/time.Second)
	for step = current - 1; step <= current+1; step++ {
		if subtle.ConstantTimeCompare([]byte(TOTP(shared, step)), []byte(code)) == 1 {
			return step, true
		}
	}
	return 0, false
}

// TOTP returns the code of a time step (RFC 4226 §5.3).
func TOTP(shared []byte, step int64) string {
	mac := hmac.New(sha1.New, shared)
	_ = binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}

// reserveTry counts a try as a failure. Errors: TooManyRequests.
func (s *Service) reserveTry(ctx context.Context, a *attempt) error {
	for _, key := range a.failureKeys() {
		counted, err := s.countFailure(ctx, key, freeFailures, s.Now().Add(failureMemory))
		if err != nil {
			return err
		}
		if !counted {
			return s.throttled(ctx, a, key, justBlocked)
		}
	}
	a.reserved = true
	return nil
}

// countWrongCode counts what reserveTry has not, and returns the error for a wrong code. A wrong recovery code is no failure of an app.
func (s *Service) countWrongCode(ctx context.Context, who *Authentication, recovery bool) error {
	if !recovery {
		if err := s.db.CountFactorFailures(ctx, who.user.ID, store.TOTP, maxFactorFailures); err != nil {
			return err
		}
	}
	for _, n := range s.NetworkCounters(failedLogins, network.FromContext(ctx), freeFailuresOfNetwork) {
		if _, err := s.countFailure(ctx, n.Key, n.Limit, s.Now().Truncate(networkMemory).Add(networkMemory)); err != nil {
			return err
		}
	}
	if err := audit.Record(ctx, &s.db.Queries, audit.WrongCode, who.attempt.event(), s.Now()); err != nil {
		return err
	}
	return errWrongCode()
}
