package httpapi

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/auth"
	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

type authorizationKey struct{}

// withSender puts into the context what a generated handler cannot see: where the request comes from, which the
// domain records, and the Authorization header, which the token endpoints read as RFC 6749 says. A GET changes
// nothing, so nothing is recorded of it.
func (s *Server) withSender(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method != http.MethodGet {
			ctx := auth.WithOrigin(r.Context(), auth.Origin{IPAddress: s.ClientIP(r), UserAgent: r.UserAgent()})
			c.SetRequest(r.WithContext(context.WithValue(ctx, authorizationKey{}, authorization(r))))
		}
		return next(c)
	}
}

// authorization are the headers of that name, which are secret.
func authorization(r *http.Request) (headers []secret.Text) {
	for _, text := range r.Header["Authorization"] {
		headers = append(headers, secret.New(text))
	}
	return headers
}

// client authenticates the client that sends a form (RFC 6749 §2.3.1).
func (s *Server) client(ctx context.Context, formID *string, formSecret *secret.Text) (auth.Client, error) {
	id, given, err := clientCredentials(ctx, formID, formSecret)
	if err != nil {
		return auth.Client{}, err
	}
	return s.service.AuthenticateClient(ctx, id, given)
}

// clientCredentials reads a client's id and secret from the header, or from the form where the header has none.
// The form may repeat the id of the header, as many libraries do; it must not name another client, nor bring a
// second secret.
func clientCredentials(ctx context.Context, formID *string, formSecret *secret.Text) (id string, given secret.Text, err error) {
	headers, _ := ctx.Value(authorizationKey{}).([]secret.Text)
	id, given, err = basicCredentials(headers)
	inForm := hidden(formSecret)
	switch {
	case err != nil:
		return "", secret.Text{}, err
	case id == "" && given.Empty(): // as Swagger UI sends it
		return text(formID), inForm, nil
	case !inForm.Empty():
		return "", secret.Text{}, problem.New(problem.InvalidRequest, "The client authenticates in the Authorization header, so the form must not hold a client_secret.")
	case text(formID) != "" && text(formID) != id:
		return "", secret.Text{}, problem.New(problem.InvalidRequest, "The client_id of the form is not the client of the Authorization header.")
	}
	return id, given, nil
}

// basicCredentials are the client's in the Authorization header; both are empty where there are none.
func basicCredentials(headers []secret.Text) (id string, given secret.Text, err error) {
	if len(headers) > 1 {
		return "", secret.Text{}, problem.New(problem.InvalidRequest, "There is more than one Authorization header.")
	}
	for _, header := range headers {
		if scheme, encoded, _ := strings.Cut(header.Reveal(), " "); strings.EqualFold(scheme, "Basic") {
			if id, given, err = readBasic(encoded); err != nil {
				return "", secret.Text{}, auth.ErrClient()
			}
		}
	}
	return id, given, nil
}

// readBasic reads client credentials, which are form-encoded before they are base64.
func readBasic(encoded string) (id string, given secret.Text, err error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", secret.Text{}, err
	}
	id, escaped, _ := strings.Cut(string(raw), ":")
	if id, err = url.QueryUnescape(id); err != nil {
		return "", secret.Text{}, err
	}
	plain, err := url.QueryUnescape(escaped)
	return id, secret.New(plain), err
}

// CreateToken is POST /token (RFC 6749 §3.2).
func (s *Server) CreateToken(ctx context.Context, request api.CreateTokenRequestObject) (api.CreateTokenResponseObject, error) {
	form := request.Body
	client, err := s.client(ctx, form.ClientID, form.ClientSecret)
	if err != nil {
		return nil, err
	}
	var tokens auth.Tokens
	switch form.GrantType {
	case api.TokenRequestGrantTypePassword:
		if form.Username == nil || form.Password == nil { // which the schema cannot say per grant
			return nil, problem.New(problem.InvalidRequest, "The password grant needs username and password.")
		}
		tokens, err = s.service.Login(ctx, auth.Login{
			Username: *form.Username, Password: *form.Password, Scope: text(form.Scope), Client: client,
		})
	case api.TokenRequestGrantTypeRefreshToken:
		if form.RefreshToken == nil {
			return nil, problem.New(problem.InvalidRequest, "The refresh_token grant needs refresh_token.")
		}
		tokens, err = s.service.Refresh(ctx, client, *form.RefreshToken, text(form.Scope))
	case api.TokenRequestGrantTypeClientCredentials:
		tokens, err = s.service.ClientCredentials(ctx, client, text(form.Scope))
	default:
		err = problem.New(problem.UnsupportedGrantType, "This server does not know the grant type.")
	}
	if err != nil {
		return nil, err
	}
	return api.CreateToken200JSONResponse{
		Headers: api.CreateToken200ResponseHeaders{CacheControl: noStore, Pragma: noCache},
		Body: api.Token{
			AccessToken: tokens.AccessToken.Reveal(), TokenType: api.TokenTokenTypeBearer,
			ExpiresIn: tokens.ExpiresIn, RefreshToken: tokens.RefreshToken.Reveal(), Scope: tokens.Scope,
		},
	}, nil
}

// RevokeToken is POST /token/revoke (RFC 7009).
func (s *Server) RevokeToken(ctx context.Context, request api.RevokeTokenRequestObject) (api.RevokeTokenResponseObject, error) {
	client, err := s.client(ctx, request.Body.ClientID, request.Body.ClientSecret)
	if err != nil {
		return nil, err
	}
	return api.RevokeToken200Response{}, s.service.Revoke(ctx, client, request.Body.Token)
}

// IntrospectToken is POST /token/introspect (RFC 7662). The contract has authenticated the client, by its header.
func (s *Server) IntrospectToken(ctx context.Context, request api.IntrospectTokenRequestObject) (api.IntrospectTokenResponseObject, error) {
	form := request.Body
	if _, _, err := clientCredentials(ctx, form.ClientID, form.ClientSecret); err != nil {
		return nil, err
	}
	if text(form.Scope) != "" {
		// ORY Hydra answers active: false where the token lacks one of these. A caller who relies on that
		// and is ignored would let every token in.
		return nil, problem.New(problem.InvalidRequest, "Introspection takes no scope. Compare the scope of the response with the scope that you need.")
	}
	found, err := s.service.Introspect(ctx, contract.CallerFrom[auth.Client](ctx), form.Token)
	if err != nil {
		return nil, err
	}
	return api.IntrospectToken200JSONResponse{
		Headers: api.IntrospectToken200ResponseHeaders{CacheControl: noStore, Pragma: noCache},
		Body:    introspectionOf(found),
	}, nil
}

// introspectionOf shows what is known of a token. What it has not got is left out.
func introspectionOf(i auth.Introspection) api.Introspection {
	if !i.Active {
		return api.Introspection{}
	}
	kind := api.IntrospectionTokenTypeBearer
	if i.Refresh {
		kind = api.IntrospectionTokenTypeRefreshToken
	}
	exp, iat := i.ExpiresAt.Unix(), i.IssuedAt.Unix()
	return api.Introspection{
		Active: true, TokenType: &kind, Scope: &i.Scope, Exp: &exp, Iat: &iat,
		ClientID: orAbsent(i.ClientID), Username: orAbsent(i.Username), Sub: orAbsent(i.Subject),
		Aud: orAbsent(i.Audience), Iss: orAbsent(i.Issuer), Jti: orAbsent(i.ID), Sid: orAbsent(i.SessionID),
	}
}

// orAbsent leaves an empty text out.
func orAbsent(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// hidden reads a secret that may be left out.
func hidden(s *secret.Text) secret.Text {
	if s == nil {
		return secret.Text{}
	}
	return *s
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
