package httpapi

import (
	"context"
	"net/http"

	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
)

// Schemes authenticate the caller of a request, for contract.Compile. The contract declares the scopes that the domain is
// made with, so the services are set after the contract is compiled, and before the first request.
type Schemes struct {
	Identity *identity.Service
	OAuth    *oauth.Service
}

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
	caller, err := s.Identity.Authenticate(ctx, token)
	if err != nil { // an interface that holds a nil *identity.Caller would not be nil
		return nil, err
	}
	return caller, nil
}

// basic is the security scheme ClientBasic, for service clients.
func (s *Schemes) basic(ctx context.Context, r *http.Request) (contract.Caller, error) {
	client, present, err := s.OAuth.AuthenticateBasic(ctx, authorization(r))
	if err != nil || !present {
		return nil, err
	}
	return client, nil
}
