package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Declared is an account that a bootstrap file declares.
type Declared struct {
	ImportedUser // Line and Login are not used
	// Password returns the password if the account has to be created; nil if there is a PasswordHash or none at all.
	Password func() (secret.Text, error)
	// Update is what an existing account gets; nil leaves it as it is.
	Update *UserChange
}

// Outcome is what happened to an account or a client that a bootstrap file declares.
type Outcome string

// The outcomes.
const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Unchanged Outcome = "unchanged"
	// Foreign means that the account is left as it is and that nothing proves that the declaration means it.
	Foreign Outcome = "foreign"
	// Deleted means that the account was deleted and is not created again as long as its username is reserved.
	Deleted Outcome = "deleted"
)

// declaredMark is the ImportedAs of accounts that a bootstrap file has created. It proves at the next start that the account with
// that username is the declared one: a stranger may have registered the name.
const declaredMark = "bootstrap"

// CheckDeclared checks what needs neither the database nor the password. The error is a *Refusal.
func (s *Service) CheckDeclared(d Declared) error {
	_, refusal := s.importedRow(d.ImportedUser)
	if refusal != nil {
		return refusal
	}
	return nil
}

// Declare creates an account, or updates it if the declaration says so. Replicas may declare the same account at once. Errors:
// a *Refusal or a *problem.Error for what the operator has to correct.
func (s *Service) Declare(ctx context.Context, d Declared) (Outcome, error) {
	row, refusal := s.importedRow(d.ImportedUser)
	if refusal != nil {
		return "", refusal
	}
	row.ImportedAs = declaredMark
	_, err := s.db.UserByUsername(ctx, row.UsernameKey)
	exists := err == nil
	switch {
	case errors.Is(err, store.ErrNotFound):
		// An administrator who deletes a person's account must not get it back, with its old password, at the next start.
		if deleted, err := s.db.UsernameReserved(ctx, row.UsernameKey, s.now()); err != nil || deleted {
			return Deleted, err
		}
		if err = s.hashDeclared(ctx, d, &row); err != nil {
			return "", err
		}
	case err != nil:
		return "", err
	}
	refused, err := s.createDeclared(ctx, row, exists)
	switch {
	case err != nil:
		return "", err
	case refused == nil:
		return Created, nil
	case !errors.Is(refused, ErrPresent):
		if usernameTaken(refused) && d.Update == nil {
			return Foreign, nil
		}
		return "", refused
	}
	return s.updateDeclared(ctx, row.UsernameKey, d.Update)
}

// hashDeclared sets the hash of the declared password.
func (s *Service) hashDeclared(ctx context.Context, d Declared, row *store.User) error {
	if d.Password == nil {
		return nil
	}
	plain, err := d.Password()
	if err != nil {
		return err
	}
	reason, err := s.hasher.Check(plain.Reveal(), row.Username, row.Email)
	if err != nil {
		return err
	}
	if reason != "" {
		return &Refusal{"invalid_password", "password", reason}
	}
	hash, err := s.hasher.Hash(ctx, network.FromContext(ctx), plain.Reveal())
	row.PasswordHash = secret.New(hash)
	return err
}

// createDeclared creates an account unless it exists; refused is as that of importRow.
func (s *Service) createDeclared(ctx context.Context, row store.User, exists bool) (refused, err error) {
	if exists {
		if refused, err = s.conflict(ctx, &s.db.Queries, &row, false); refused == nil && err == nil {
			refused = &Refusal{"changed", "", "the account was deleted at this moment; start the server again"}
		}
		return refused, err
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		refused, err = s.importRow(ctx, q, &row, false)
		return err
	})
	return refused, err
}

// updateDeclared changes an existing account where it differs.
func (s *Service) updateDeclared(ctx context.Context, usernameKey string, change *UserChange) (Outcome, error) {
	if change == nil {
		return Unchanged, nil
	}
	user, err := s.db.UserByUsername(ctx, usernameKey)
	if err != nil {
		return "", err
	}
	wanted := *change
	if wanted.FullName != nil && *wanted.FullName == user.FullName {
		wanted.FullName = nil
	}
	if wanted.Disabled != nil && *wanted.Disabled == user.Disabled {
		wanted.Disabled = nil
	}
	if wanted.Scopes != nil {
		granted, err := s.grantable(nil, wanted.Scopes)
		if err != nil {
			return "", err
		}
		if sameScopes(granted, strings.Fields(user.Scopes)) {
			wanted.Scopes = nil
		}
	}
	if wanted.FullName == nil && wanted.Disabled == nil && wanted.Scopes == nil {
		return Unchanged, nil
	}
	_, err = s.UpdateUser(ctx, nil, user.ID, wanted)
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.LastAdministrator {
		return "", fmt.Errorf("%s is the last administrator, and the entry takes the scope %s away; appoint another one first", user.Username, s.identity.AdminScope)
	}
	return Updated, err
}

func sameScopes(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
