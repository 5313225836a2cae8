package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/store"
)

// Policy says who must have a second factor.
type Policy struct {
	Require     string        // RequireNobody, RequireAdministrators or RequireEverybody
	Grace       time.Duration // for which an account may sign in without one
	AdminScopes []string      // an account that was granted one of them is an administrator
	Page        string        // the URL at which people set one up

	// Since when the setting has applied; zero if it does not. ApplyPolicy sets both before the first request.
	administrators, everybody time.Time
}

// The values of Policy.Require.
const (
	RequireNobody         = "nobody"
	RequireAdministrators = "administrators"
	RequireEverybody      = "everybody"
)

// ApplyPolicy makes the policy apply. It records since when it does, so that the grace of existing accounts begins then, on every
// replica and after every restart. What no longer applies is deleted: a policy that returns later has a new grace.
func (s *Service) ApplyPolicy(ctx context.Context) error {
	p := &s.Policy
	for _, part := range []struct {
		who     string
		applies bool
		since   *time.Time
	}{
		{RequireAdministrators, p.Require == RequireAdministrators || p.Require == RequireEverybody, &p.administrators},
		{RequireEverybody, p.Require == RequireEverybody, &p.everybody},
	} {
		var err error
		if part.applies {
			*part.since, err = s.db.FactorPolicy(ctx, part.who, s.Now())
		} else {
			err = s.db.EndFactorPolicy(ctx, part.who)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Administers reports whether scopes that were granted to an account, space-separated, make it one of an administrator.
func (s *Service) Administers(granted string) bool {
	return len(Intersect(strings.Fields(granted), s.Policy.AdminScopes)) > 0
}

// FactorDue returns from when on an account must have a second factor; zero if it need not. The grace begins with the latest of the
// creation of the account, the grant of an administrator's scope, and the start of the policy.
func (s *Service) FactorDue(user store.User) time.Time {
	since, from := s.Policy.everybody, user.CreatedAt
	if !s.Policy.administrators.IsZero() && s.Administers(user.Scopes) {
		since = s.Policy.administrators
		if user.AdministratorSince.After(from) {
			from = user.AdministratorSince
		}
	}
	if since.IsZero() {
		return time.Time{}
	}
	if since.After(from) {
		from = since
	}
	return from.Add(s.Policy.Grace)
}

// lacksFactor reports whether a sign-in by these methods lacks a second factor that the account must have by now.
func (s *Service) lacksFactor(user store.User, methods []string) bool {
	if slices.Contains(methods, TwoFactors) {
		return false
	}
	due := s.FactorDue(user)
	return !due.IsZero() && !s.Now().Before(due)
}

// ScopesOf returns the scopes that a user has in a session that began by these methods. Without a second factor that an
// administrator must have, those of administrators are left out: the session may be older than the policy.
func (s *Service) ScopesOf(user store.User, methods []string) []string {
	scopes := s.Scopes.OfUser(user)
	if s.Administers(user.Scopes) && s.lacksFactor(user, methods) {
		scopes = slices.DeleteFunc(scopes, func(scope string) bool { return slices.Contains(s.Policy.AdminScopes, scope) })
	}
	return scopes
}

// MayLoseScopes reports whether ScopesOf depends on more of a user than the granted scopes.
func (s *Service) MayLoseScopes(user store.User, methods []string) bool {
	return !s.Policy.administrators.IsZero() && s.Administers(user.Scopes) && !slices.Contains(methods, TwoFactors)
}
