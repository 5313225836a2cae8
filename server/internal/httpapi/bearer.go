package httpapi

import (
	"context"
	"net/http"

	"sesame/server/internal/contract"
)

// bearer is the security scheme OAuth2Password.
func (s *Server) bearer(ctx context.Context, r *http.Request) (contract.Caller, error) {
	token, err := contract.BearerToken(r)
	if err != nil || token.Empty() {
		return nil, err
	}
	caller, err := s.service.Authenticate(ctx, token)
	if err != nil { // not a nil *auth.Caller in the interface
		return nil, err
	}
	return caller, nil
}
