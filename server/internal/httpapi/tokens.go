package httpapi

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/contract"
	"sesame/server/internal/network"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/internal/token/atjwt"
	"sesame/server/internal/web"
	"sesame/server/secret"
)

type authorizationKey struct{}

// withSender puts what generated handlers cannot see into the context: the client's address and user agent, which the domain
// records, the Authorization header, which the token endpoints read (RFC 6749 §2.3.1), and cookies and languages, for the pages. A
// GET without cookies changes nothing, so nothing is recorded of it; but GET /authorize may make the server read a metadata document,
// which is counted for the network.
func (s *Server) withSender(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header["Cookie"] != nil || c.Path() == "/authorize" {
			ctx := network.WithRequest(r.Context(), s.ClientIP(r), r.UserAgent())
			if r.Header["Cookie"] != nil || r.Header["Accept-Language"] != nil {
				ctx = web.WithCookies(ctx, r)
			}
			c.SetRequest(r.WithContext(context.WithValue(ctx, authorizationKey{}, authorization(r))))
		} else if r.Header["Accept-Language"] != nil {
			c.SetRequest(r.WithContext(web.WithCookies(r.Context(), r)))
		}
		return next(c)
	}
}

// authorization returns the Authorization headers.
func authorization(r *http.Request) (headers []secret.Text) {
	for _, text := range r.Header["Authorization"] {
		headers = append(headers, secret.New(text))
	}
	return headers
}

// credentials are how the sender of a form identifies its client, for oauth.AuthenticateClient.
func credentials(ctx context.Context, formID *string, formSecret *secret.Text) oauth.Credentials {
	headers, _ := ctx.Value(authorizationKey{}).([]secret.Text)
	return oauth.Credentials{Authorization: headers, FormID: text(formID), FormSecret: deref(formSecret)}
}

// CreateToken is POST /token (RFC 6749 §3.2).
func (s *Server) CreateToken(ctx context.Context, request api.CreateTokenRequestObject) (api.CreateTokenResponseObject, error) {
	form := request.FormdataBody // of a multipart form, too
	client, err := s.OAuth.AuthenticateClient(ctx, credentials(ctx, form.ClientID, form.ClientSecret))
	if err != nil {
		return nil, err
	}
	var tokens oauth.Tokens
	wanted := oauth.Wanted{Scope: text(form.Scope), Resource: text(form.Resource)}
	switch grantOf(form) {
	case "":
		err = problem.New(problem.InvalidRequest, "grant_type is missing. It is authorization_code, password, refresh_token, client_credentials, "+
			string(api.TokenRequestGrantTypeDeviceCode)+" or "+string(api.TokenRequestGrantTypePasskey)+".")
	case api.TokenRequestGrantTypeAuthorizationCode:
		if form.Code == nil {
			return nil, problem.New(problem.InvalidRequest, "The authorization_code grant needs code.")
		}
		tokens, err = s.OAuth.CodeGrant(ctx, client, oauth.CodeGrantForm{
			Code: *form.Code, RedirectURI: text(form.RedirectURI), Verifier: deref(form.CodeVerifier), Resource: wanted.Resource,
		})
	case api.TokenRequestGrantTypePassword:
		if form.Username == nil || form.Password == nil { // the schema cannot require them per grant
			return nil, problem.New(problem.InvalidRequest, "The password grant needs username and password.")
		}
		tokens, err = s.OAuth.PasswordGrant(ctx, client, *form.Username, *form.Password, deref(form.Otp), wanted)
	case api.TokenRequestGrantTypeRefreshToken:
		if form.RefreshToken == nil {
			return nil, problem.New(problem.InvalidRequest, "The refresh_token grant needs refresh_token.")
		}
		tokens, err = s.OAuth.RefreshGrant(ctx, client, *form.RefreshToken, wanted)
	case api.TokenRequestGrantTypeDeviceCode:
		if form.DeviceCode == nil {
			return nil, problem.New(problem.InvalidRequest, "The device_code grant needs device_code.")
		}
		if wanted.Resource != "" {
			return nil, problem.New(problem.InvalidTarget, "A device gets tokens for the default audience alone.")
		}
		tokens, err = s.OAuth.DeviceGrant(ctx, client, *form.DeviceCode)
	case api.TokenRequestGrantTypePasskey:
		if form.Passkey == nil {
			return nil, problem.New(problem.InvalidRequest, "The passkey grant needs passkey.")
		}
		tokens, err = s.OAuth.PasskeyGrant(ctx, client, *form.Passkey, wanted)
	case api.TokenRequestGrantTypeClientCredentials:
		tokens, err = s.OAuth.ClientCredentialsGrant(ctx, client, wanted)
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
			ExpiresIn: tokens.ExpiresIn, RefreshToken: tokens.RefreshToken.Reveal(), IDToken: tokens.IDToken.Reveal(), Scope: tokens.Scope,
		},
	}, nil
}

// grantOf returns the grant type of a form. FastAPI's tutorial logs in without one.
func grantOf(form *api.TokenRequest) api.TokenRequestGrantType {
	if form.GrantType == "" && form.Username != nil && form.Password != nil && form.RefreshToken == nil {
		return api.TokenRequestGrantTypePassword
	}
	return form.GrantType
}

// RevokeToken is POST /token/revoke (RFC 7009).
func (s *Server) RevokeToken(ctx context.Context, request api.RevokeTokenRequestObject) (api.RevokeTokenResponseObject, error) {
	client, err := s.OAuth.AuthenticateClient(ctx, credentials(ctx, request.Body.ClientID, request.Body.ClientSecret))
	if err != nil {
		return nil, err
	}
	return api.RevokeToken200Response{}, s.OAuth.Revoke(ctx, client, request.Body.Token)
}

// IntrospectToken is POST /token/introspect (RFC 7662). The contract has authenticated the client, by its header.
func (s *Server) IntrospectToken(ctx context.Context, request api.IntrospectTokenRequestObject) (api.IntrospectTokenResponseObject, error) {
	form := request.Body
	if err := credentials(ctx, form.ClientID, form.ClientSecret).Check(); err != nil {
		return nil, err
	}
	if text(form.Scope) != "" {
		// ORY Hydra answers active: false if the token lacks one of these scopes. If Sesame ignored the parameter, a client
		// that relies on it would accept every token.
		return nil, problem.New(problem.InvalidRequest, "Introspection takes no scope. Compare the scope of the response with the scope that you need.")
	}
	found, err := s.OAuth.Introspect(ctx, contract.CallerFrom[oauth.Client](ctx), form.Token)
	if err != nil {
		return nil, err
	}
	return api.IntrospectToken200JSONResponse{
		Headers: api.IntrospectToken200ResponseHeaders{CacheControl: noStore, Pragma: noCache},
		Body:    introspectionOf(found),
	}, nil
}

// introspectionOf converts what is known of a token, without the members that it does not have.
func introspectionOf(i oauth.Introspection) api.Introspection {
	if !i.Active {
		return api.Introspection{}
	}
	kind := api.IntrospectionTokenTypeBearer
	if i.Refresh {
		kind = api.IntrospectionTokenTypeRefreshToken
	}
	exp, iat := i.ExpiresAt.Unix(), i.IssuedAt.Unix()
	var authTime *int64
	if !i.AuthTime.IsZero() {
		authTime = new(i.AuthTime.Unix())
	}
	var personal *api.IntrospectionSesameTokenKind
	if i.Personal {
		personal = new(api.IntrospectionSesameTokenKindPersonalAccessToken)
	}
	return api.Introspection{
		SesameTokenKind: personal, Active: true, TokenType: &kind, Scope: &i.Scope, Exp: &exp, Iat: &iat,
		ClientID: orAbsent(i.ClientID), Username: orAbsent(i.Username), Sub: orAbsent(i.Subject),
		Aud: orAbsent(i.Audience), Iss: orAbsent(i.Issuer), Jti: orAbsent(i.ID), Sid: orAbsent(i.SessionID),
		Acr: orAbsent(atjwt.LevelOf(i.Methods)), Amr: i.Methods, AuthTime: authTime,
	}
}

// orAbsent omits an empty string.
func orAbsent(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// deref returns a secret that may be absent.
func deref(s *secret.Text) secret.Text {
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
