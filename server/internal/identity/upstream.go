package identity

import (
	"context"
	"errors"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// ByProvider is the method of a person who has signed in at a provider. RFC 8176 has no value for it.
const ByProvider = "fed"

// Via is the identity at a provider that a person has signed in with.
type Via struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// use records the use of an identity, in the transaction that starts the session. Errors: InvalidGrant when it was unlinked, or has no
// provider any more.
func (v *Via) use(ctx context.Context, q *store.Queries, s *Service, user store.User) error {
	err := q.UseIdentity(ctx, user.ID, v.Issuer, v.Subject, s.Now())
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotLinked()
	}
	return err
}

// ErrNotLinked is the error for an identity that can no longer sign in to an account.
func ErrNotLinked() error {
	return problem.New(problem.InvalidGrant, "This account is no longer linked. Sign in again.")
}

// SignInVia starts the session of a browser for the user of an identity at a provider. What follows is what follows a correct password: a
// second factor is asked for where the account has one; a disabled account is refused, and an unconfirmed one where only confirmed ones
// log in; the owner is mailed about an unknown network. Wrong passwords that others have tried do not make the person wait. Errors:
// those of StartBrowser.
func (s *Service) SignInVia(ctx context.Context, user store.User, via Via) (Browser, secret.Text, error) {
	a, err := s.unguessed(ctx, user, user.UsernameKey)
	if err != nil {
		return Browser{}, secret.Text{}, err
	}
	return s.StartBrowser(ctx, Authentication{Methods: []string{ByProvider}, user: user, attempt: a, via: &via})
}
