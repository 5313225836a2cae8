package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"sesame/server/contract"
	"sesame/server/problem"
)

// BearerToken reads the access token from the Authorization header (RFC 6750 §2.1), and from nowhere
// else: in a query it would end up in logs and histories. It is "" where there is none.
func BearerToken(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return "", problem.New(problem.BadRequest, "Send the access token in the Authorization header, not in the query.")
	}
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return "", nil
	}
	if len(headers) > 1 {
		return "", problem.New(problem.BadRequest, "There is more than one Authorization header.")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if token == "" {
		return "", problem.Wrap(problem.InvalidToken, "The Authorization header holds no token.", errors.New("empty"))
	}
	return token, nil
}

// bearer is the security scheme OAuth2Password.
func (s *Server) bearer(ctx context.Context, r *http.Request) (contract.Caller, error) {
	token, err := BearerToken(r)
	if err != nil || token == "" {
		return nil, err
	}
	caller, err := s.service.Authenticate(ctx, token)
	if err != nil { // not a nil *auth.Caller in the interface
		return nil, err
	}
	return caller, nil
}
