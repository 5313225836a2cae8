package account

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strings"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/names"
	"sesame/server/internal/passkey"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// maxFactors limits the second factors of an account.
	maxFactors = 20
	// recoveryCodes is how many an account gets, and recoveryBytes the random bytes of each: 80 bits, 16 characters of Base32.
	recoveryCodes = 10
	recoveryBytes = 10
)

// Factors are the second factors of an account, and how many recovery codes are left.
type Factors struct {
	Items     []store.Factor
	CodesLeft int
	User      store.User // with the time of a reset
}

// Factors lists the second factors of the caller.
func (s *Service) Factors(ctx context.Context, caller *identity.Caller) (Factors, error) {
	f, err := s.FactorsOf(ctx, caller.User.ID)
	return f, identity.Deleted(err)
}

// FactorsOf is Factors for the command line. Errors: store.ErrNotFound.
func (s *Service) FactorsOf(ctx context.Context, userID string) (f Factors, err error) {
	if f.User, err = s.db.UserByID(ctx, userID); err != nil {
		return f, err
	}
	if f.Items, err = s.db.FactorsOf(ctx, userID); err != nil {
		return f, err
	}
	f.CodesLeft, err = s.db.RecoveryCodesLeft(ctx, userID)
	return f, err
}

// NewFactor is a second factor to add.
type NewFactor struct {
	store.Factor
	EndOtherSessions bool
}

// AddFactor gives the caller's account a second factor. With the first one it returns the recovery codes of the account, which are
// not stored. From then on the session of the caller counts as one with a second factor, since the person has just proved to have
// it. Errors: StaleLogin, ValidationFailed, store.ErrConflict if the factor exists.
func (s *Service) AddFactor(ctx context.Context, caller *identity.Caller, f NewFactor) (codes []string, err error) {
	if f.Name, err = factorName(f.Name); err != nil {
		return nil, err
	}
	err = s.changeFactors(ctx, caller, func(q *store.Queries, user store.User) error {
		if codes, err = s.addFactor(ctx, q, user, f.Factor, caller.Actor()); err != nil {
			return err
		}
		methods := strings.Join(caller.Methods, " ")
		if !slices.Contains(caller.Methods, identity.TwoFactors) {
			methods += " " + methodOf(f.Factor) + " " + identity.TwoFactors
		}
		if err = q.SetSessionMethods(ctx, user.ID, caller.SessionID, methods); err != nil || !f.EndOtherSessions {
			return err
		}
		return s.endOtherSessions(ctx, q, user, caller)
	})
	return codes, err
}

// methodOf is the method of a sign-in with a factor (RFC 8176).
func methodOf(f store.Factor) string {
	if f.Kind == store.TOTP {
		return identity.ByCode
	}
	if c, err := passkey.Load(f.CredentialID, f.Secret, f.LastStep); err == nil {
		return identity.MethodOfPasskey(c)
	}
	return identity.ByDevice
}

// addFactor adds a factor in a transaction that has locked the user. With the first one it returns the recovery codes.
func (s *Service) addFactor(ctx context.Context, q *store.Queries, user store.User, f store.Factor, by *audit.Actor) (codes []string, err error) {
	existing, err := q.FactorsOf(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	if len(existing) >= maxFactors {
		return nil, problem.New(problem.ValidationFailed, "The account has the most second factors that it can have. Remove one first.")
	}
	f.UserID, f.CreatedAt = user.ID, s.now()
	if err = q.CreateFactor(ctx, f); err != nil {
		return nil, err
	}
	if err = q.SetFactorKinds(ctx, user.ID, s.now()); err != nil {
		return nil, err
	}
	if len(existing) == 0 {
		if codes, err = s.newRecoveryCodes(ctx, q, user); err != nil {
			return nil, err
		}
	}
	if err = s.outbox.NotifyOf(ctx, q, mailer.FactorAdded, user, mailer.Fields{Factor: f.Name}); err != nil {
		return nil, err
	}
	return codes, audit.Record(ctx, q, audit.FactorAdded, audit.Event(ctx, user, by), s.now())
}

// RenameFactor gives a factor of the caller another name. Errors: StaleLogin, NotFound, ValidationFailed.
func (s *Service) RenameFactor(ctx context.Context, caller *identity.Caller, id, name string) (renamed store.Factor, err error) {
	if name, err = factorName(name); err != nil {
		return renamed, err
	}
	err = s.changeFactors(ctx, caller, func(q *store.Queries, user store.User) error {
		renamed, err = q.RenameFactor(ctx, user.ID, id, name)
		return noSuchFactor(err)
	})
	return renamed, err
}

// RemoveFactor removes a second factor of the caller. With the last one, the recovery codes are deleted. Errors: StaleLogin,
// NotFound.
func (s *Service) RemoveFactor(ctx context.Context, caller *identity.Caller, id string, endOtherSessions bool) error {
	return s.changeFactors(ctx, caller, func(q *store.Queries, user store.User) error {
		factors, err := q.FactorsOf(ctx, user.ID)
		if err != nil {
			return err
		}
		if err = q.DeleteFactor(ctx, user.ID, id); err != nil {
			return noSuchFactor(err)
		}
		if err = q.SetFactorKinds(ctx, user.ID, s.now()); err != nil {
			return err
		}
		name := factors[slices.IndexFunc(factors, func(f store.Factor) bool { return f.ID == id })].Name
		if err = s.outbox.NotifyOf(ctx, q, mailer.FactorRemoved, user, mailer.Fields{Factor: name}); err != nil {
			return err
		}
		if endOtherSessions {
			if err = s.endOtherSessions(ctx, q, user, caller); err != nil {
				return err
			}
		}
		return s.record(ctx, q, audit.FactorRemoved, user, caller)
	})
}

// ReplaceRecoveryCodes gives the caller new recovery codes in place of the old ones. Errors: StaleLogin, NoSecondFactor.
func (s *Service) ReplaceRecoveryCodes(ctx context.Context, caller *identity.Caller) (codes []string, err error) {
	err = s.changeFactors(ctx, caller, func(q *store.Queries, user store.User) error {
		if user.Factors == "" {
			return problem.New(problem.NoSecondFactor, "The account has no second factor that recovery codes could replace.")
		}
		if codes, err = s.newRecoveryCodes(ctx, q, user); err != nil {
			return err
		}
		if err = s.outbox.Notify(ctx, q, mailer.CodesReplaced, user, ""); err != nil {
			return err
		}
		return s.record(ctx, q, audit.CodesReplaced, user, caller)
	})
	return codes, err
}

// changeFactors changes the factors of the caller in a transaction that locks the account: of two enrolments at once, the second
// one sees the factor of the first, which its login did not have. Errors: StaleLogin.
func (s *Service) changeFactors(ctx context.Context, caller *identity.Caller, change func(*store.Queries, store.User) error) error {
	return identity.Deleted(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, caller.User.ID)
		if err == nil {
			err = s.identity.RequireFreshLogin(caller, user)
		}
		if err != nil {
			return err
		}
		return change(q, user)
	}))
}

// newRecoveryCodes stores new recovery codes of a user, and returns them as people read them.
func (s *Service) newRecoveryCodes(ctx context.Context, q *store.Queries, user store.User) (codes []string, err error) {
	hashes := make([]string, recoveryCodes)
	for i := range hashes {
		var random [recoveryBytes]byte
		rand.Read(random[:])
		code := base32.StdEncoding.EncodeToString(random[:])
		codes = append(codes, strings.Join([]string{code[:4], code[4:8], code[8:12], code[12:]}, "-"))
		hashes[i] = identity.RecoveryHash(user.ID, code)
	}
	return codes, q.ReplaceRecoveryCodes(ctx, user.ID, hashes)
}

// endOtherSessions ends the sessions of the caller but the current one.
func (s *Service) endOtherSessions(ctx context.Context, q *store.Queries, user store.User, caller *identity.Caller) error {
	if err := q.EndOtherSessionsOf(ctx, user.ID, caller.SessionID); err != nil {
		return err
	}
	return s.record(ctx, q, audit.LogoutEverywhere, user, caller)
}

// maxFactorName is the limit of the contract, in characters.
const maxFactorName = 64

// factorName checks the name of a factor, which is shown on pages and in mails. Errors: ValidationFailed.
func factorName(name string) (string, error) {
	name = strings.TrimSpace(name)
	err := names.CheckFullName(name)
	switch {
	case name == "":
		err = errors.New("must not be empty")
	case len([]rune(name)) > maxFactorName:
		err = errors.New("must have at most 64 characters")
	}
	if err != nil {
		return "", problem.Invalid().At("/name", err.Error())
	}
	return name, nil
}

func noSuchFactor(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "The account has no such factor.")
	}
	return err
}
