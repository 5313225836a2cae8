package account

import (
	"context"
	"slices"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// HasAdministrator reports whether there is an enabled account that may appoint others: the same accounts of which the last one
// stays (checkLastAdministrator). Once there is one, the database is not asked again.
func (s *Service) HasAdministrator(ctx context.Context) (bool, error) {
	if s.administrated.Load() {
		return true, nil
	}
	n, err := s.db.CountOtherAdministrators(ctx, s.identity.AdminScope, "")
	if err == nil && n > 0 {
		s.administrated.Store(true)
	}
	return n > 0, err
}

// administratorScopes are the scopes of the first administrator: each that makes an account an administrator's.
func (s *Service) administratorScopes() []string {
	scopes := slices.Clone(s.identity.Policy.AdminScopes)
	if !slices.Contains(scopes, s.identity.AdminScope) {
		scopes = append(scopes, s.identity.AdminScope)
	}
	return scopes
}

// CreateFirstAdministrator creates an account with every scope of an administrator, unless there is an administrator already. The
// caller has checked who asks. Errors: NotFound if there is one, UsernameTaken, ValidationFailed, Unavailable.
func (s *Service) CreateFirstAdministrator(ctx context.Context, r Registration) (store.User, error) {
	if exists, err := s.HasAdministrator(ctx); err != nil || exists {
		return store.User{}, hasFirst(err)
	}
	if r.Email == "" && s.identity.ConfirmedOnly {
		return store.User{}, problem.Invalid().At("/email", "is required here: an account logs in when its address is confirmed")
	}
	r.Scopes, r.EmailVerified, r.By, r.confirm, r.public, r.first = s.administratorScopes(), false, nil, true, false, true
	user, err := s.CreateUser(ctx, r)
	if err != nil {
		// Another one may have got the name, and with it everything.
		if exists, checked := s.HasAdministrator(ctx); checked == nil && exists {
			err = hasFirst(nil)
		}
	}
	return user, err
}

// mustBeFirst fails if another account is an administrator. It runs after the account was inserted, since the administration lock is
// the last one of a transaction (see the package comment). Of two that do this at once, the second one counts the first. Errors:
// NotFound.
func (s *Service) mustBeFirst(ctx context.Context, q *store.Queries, user store.User) error {
	if err := q.LockAdministration(ctx); err != nil {
		return err
	}
	others, err := q.CountOtherAdministrators(ctx, s.identity.AdminScope, user.ID)
	if err != nil || others > 0 {
		return hasFirst(err)
	}
	return nil
}

// hasFirst is the error for a first administrator where there is one, unless err is another.
func hasFirst(err error) error {
	if err != nil {
		return err
	}
	return problem.New(problem.NotFound, "There is an administrator already.")
}
