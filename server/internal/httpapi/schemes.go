package httpapi

import (
	"context"
	"net/http"

	"sesame/server/internal/auth"
	"sesame/server/internal/contract"
)

// Schemes find the caller of a request by its credentials, for contract.Compile. The contract declares the scopes that
// the domain is made with, so Service is set after the contract is compiled, and before the first request.
type Schemes struct{ Service *auth.Service }

// ByName are the security schemes of openapi.yaml.
func (s *Schemes) ByName() map[string]contract.Scheme {
	return map[string]contract.Scheme{"OAuth2Password": s.bearer, "ClientBasic": s.basic}
}

// bearer is the security scheme OAuth2Password.
func (s *Schemes) bearer(ctx context.Context, r *http.Request) (contract.Caller, error) {
	token, err := contract.BearerToken(r)
	if err != nil || token.Empty() {
		return nil, err
	}
	caller, err := s.Service.Authenticate(ctx, token)
	if err != nil { // not a nil *auth.Caller in the interface
		return nil, err
	}
	return caller, nil
}

// basic is the security scheme ClientBasic: a service client that proves itself.
func (s *Schemes) basic(ctx context.Context, r *http.Request) (contract.Caller, error) {
	id, given, err := basicCredentials(authorization(r))
	if err != nil || id == "" && given.Empty() {
		return nil, err
	}
	client, err := s.Service.AuthenticateClient(ctx, id, given)
	if err == nil && client.ID == "" { // a public client is nobody in particular
		err = auth.ErrClient()
	}
	if err != nil {
		return nil, err
	}
	return client, nil
}
