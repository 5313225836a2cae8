package oauth

import (
	"slices"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// Wanted is what a token request asks for.
type Wanted struct {
	Scope    string // space-separated; "" for the default
	Resource string // the service that the token is for (RFC 8707 §2); "" for the default
}

// resource returns the audience for the parameter resource of a request: "" for that of the server, which is the default, so
// that a session follows when the operator changes it. It compares byte for byte, as the services do that verify the tokens.
// Errors: InvalidTarget.
func (s *Service) resource(requested string) (string, error) {
	_, own := s.issuer.Names()
	switch {
	case requested == "" || requested == own:
		return "", nil
	case slices.Contains(s.issuer.Resources(), requested):
		return requested, nil
	}
	return "", problem.New(problem.InvalidTarget, "The resource is not one that this server issues tokens for.")
}

// checkResource checks the parameter resource of a request against the resource of the grant, which it cannot change (RFC 8707
// §2.2). Errors: InvalidTarget.
func (s *Service) checkResource(requested, granted string) error {
	if _, err := s.resource(granted); err != nil { // the operator has removed it since
		return err
	}
	resource, err := s.resource(requested)
	if err == nil && requested != "" && resource != granted {
		err = problem.New(problem.InvalidTarget, "The grant is for another resource.")
	}
	return err
}

// checkWanted refuses a refresh whose scope or resource the session does not have.
func (s *Service) checkWanted(client Client, w Wanted, session store.Session, user store.User) error {
	if err := s.checkResource(w.Resource, session.Resource); err != nil {
		return err
	}
	_, err := s.narrow(client, w.Scope, session, user)
	return err
}
