package api

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/auth"
	"sesame/server/problem"
	"sesame/server/secret"
)

// client is what a request to the token endpoints says beside its form.
type client struct {
	origin        auth.Origin
	authorization string
}

type clientKey struct{}

// withClient hands the address, the user agent and the Authorization header to the handlers of the
// token endpoints, which see nothing but a context and the form.
func withClient(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		info := client{
			origin:        auth.Origin{IPAddress: c.RealIP(), UserAgent: r.UserAgent()},
			authorization: r.Header.Get("Authorization"),
		}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), clientKey{}, info)))
		return next(c)
	}
}

// refuseClient refuses a request that names a client which it is not (RFC 6749 §2.3.1). The one
// client there is, auth.FirstParty, is public: it has no secret, and naming it is the same as naming
// none, for those OAuth libraries that must name one.
func (c client) refuseClient(formID *string, formSecret *secret.Text) error {
	id, given := text(formID), hidden(formSecret).Reveal()
	if scheme, encoded, _ := strings.Cut(c.authorization, " "); strings.EqualFold(scheme, "Basic") {
		headerID, headerSecret, err := readBasic(encoded)
		switch {
		case err != nil:
			return errClient()
		case headerID+headerSecret == "": // as Swagger UI sends it
		case id+given != "":
			return problem.New(problem.InvalidRequest, "Client credentials are in the header and in the form; use one.")
		default:
			id, given = headerID, headerSecret
		}
	}
	if given != "" || id != "" && id != auth.FirstParty {
		return errClient()
	}
	return nil
}

// readBasic reads client credentials, which are form-encoded before they are base64.
func readBasic(encoded string) (id, secret string, err error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", err
	}
	id, secret, _ = strings.Cut(string(raw), ":")
	if id, err = url.QueryUnescape(id); err != nil {
		return "", "", err
	}
	secret, err = url.QueryUnescape(secret)
	return id, secret, err
}

func errClient() error {
	return problem.New(problem.InvalidClient, "The client is unknown or its secret is wrong.")
}

// CreateToken is POST /token (RFC 6749 §3.2).
func (s *Server) CreateToken(ctx context.Context, request api.CreateTokenRequestObject) (api.CreateTokenResponseObject, error) {
	form := request.Body
	from, _ := ctx.Value(clientKey{}).(client)
	if err := from.refuseClient(form.ClientID, form.ClientSecret); err != nil {
		return nil, err
	}
	var tokens auth.Tokens
	var err error
	switch form.GrantType {
	case api.TokenRequestGrantTypePassword:
		if form.Username == nil || form.Password == nil { // which the schema cannot say per grant
			return nil, problem.New(problem.InvalidRequest, "The password grant needs username and password.")
		}
		tokens, err = s.service.Login(ctx, auth.Login{
			Username: *form.Username, Password: *form.Password, Scope: text(form.Scope), Origin: from.origin,
		})
	case api.TokenRequestGrantTypeRefreshToken:
		if form.RefreshToken == nil {
			return nil, problem.New(problem.InvalidRequest, "The refresh_token grant needs refresh_token.")
		}
		tokens, err = s.service.Refresh(ctx, *form.RefreshToken, text(form.Scope))
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
	from, _ := ctx.Value(clientKey{}).(client)
	if err := from.refuseClient(request.Body.ClientID, request.Body.ClientSecret); err != nil {
		return nil, err
	}
	if err := s.service.Revoke(ctx, request.Body.Token); err != nil {
		return nil, err
	}
	return api.RevokeToken200Response{}, nil
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
