package httpapi

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"

	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/secret"
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
	if err == nil && r.Method == http.MethodPost && r.URL.Path == "/userinfo" {
		token, err = orInForm(token, r)
	}
	if err != nil || token.Empty() {
		return nil, err
	}
	caller, err := s.Identity.Authenticate(ctx, token)
	if err != nil { // an interface that holds a nil *identity.Caller would not be nil
		return nil, err
	}
	return caller, nil
}

// orInForm returns the access token of the header, or else that of the form (RFC 6750 §2.2), which only the UserInfo endpoint
// takes. The body can be read again.
func orInForm(header secret.Text, r *http.Request) (secret.Text, error) {
	mediaType, _, malformed := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if malformed != nil || mediaType != "application/x-www-form-urlencoded" || r.ContentLength > contract.MaxBody {
		return header, nil //nolint:nilerr // the contract says what is wrong with the body
	}
	body, broken := io.ReadAll(io.LimitReader(r.Body, contract.MaxBody+1))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	form, invalid := url.ParseQuery(string(body))
	switch given := form["access_token"]; {
	case broken != nil || invalid != nil || len(given) != 1 || given[0] == "":
		return header, nil //nolint:nilerr // as above
	case !header.Empty():
		return header, problem.New(problem.BadRequest, "The access token is in the header and in the form. Send it in one of them.")
	default:
		return secret.New(given[0]), nil
	}
}

// basic is the security scheme ClientBasic, for service clients.
func (s *Schemes) basic(ctx context.Context, r *http.Request) (contract.Caller, error) {
	client, present, err := s.OAuth.AuthenticateBasic(ctx, authorization(r))
	if err != nil || !present {
		return nil, err
	}
	return client, nil
}
