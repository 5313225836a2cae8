package account

import (
	"context"
	"errors"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// maxFactors limits the second factors of an account.
const maxFactors = 20

// Factors lists the second factors of the caller.
func (s *Service) Factors(ctx context.Context, caller *identity.Caller) ([]store.Factor, error) {
	return s.db.FactorsOf(ctx, caller.User.ID)
}

// AddFactor gives the caller's account a second factor. Errors: StaleLogin.
func (s *Service) AddFactor(ctx context.Context, caller *identity.Caller, f store.Factor) error {
	return identity.Deleted(s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, caller.User.ID)
		if err == nil {
			err = s.identity.RequireFreshLogin(caller, user)
		}
		if err != nil {
			return err
		}
		existing, err := q.FactorsOf(ctx, user.ID)
		if err != nil {
			return err
		}
		if len(existing) >= maxFactors {
			return problem.New(problem.ValidationFailed, "The account has the most second factors that it can have. Remove one first.")
		}
		f.UserID, f.CreatedAt = user.ID, s.now()
		if err = q.CreateFactor(ctx, f); err != nil {
			return err
		}
		return q.SetFactorKinds(ctx, user.ID, s.now())
	}))
}

// RemoveFactor removes a second factor of the caller. Errors: StaleLogin, NotFound.
func (s *Service) RemoveFactor(ctx context.Context, caller *identity.Caller, id string) error {
	missing := false
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, caller.User.ID)
		if err == nil {
			err = s.identity.RequireFreshLogin(caller, user)
		}
		if err != nil {
			return err
		}
		if err = q.DeleteFactor(ctx, user.ID, id); errors.Is(err, store.ErrNotFound) {
			missing = true
		}
		if err != nil {
			return err
		}
		return q.SetFactorKinds(ctx, user.ID, s.now())
	})
	if missing {
		return problem.New(problem.NotFound, "The account has no such factor.")
	}
	return identity.Deleted(err)
}
