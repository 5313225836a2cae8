package httpapi

import (
	"context"

	"sesame/gen/api"
	"sesame/server/internal/oauth"
)

// fiveMinutes is how long clients may cache metadata and keys.
const fiveMinutes = "public, max-age=300"

// clientMethods are the ways in which a client authenticates at the token endpoints (RFC 7591 §2).
var clientMethods = []string{"none", "client_secret_basic", "client_secret_post"}

// GetMetadata is GET /.well-known/oauth-authorization-server (RFC 8414).
func (s *Server) GetMetadata(context.Context, api.GetMetadataRequestObject) (api.GetMetadataResponseObject, error) {
	return api.GetMetadata200JSONResponse{Headers: api.GetMetadata200ResponseHeaders{CacheControl: fiveMinutes}, Body: s.metadata()}, nil
}

// GetOpenIDConfiguration is GET /.well-known/openid-configuration (OpenID Connect Discovery 1.0 §4).
func (s *Server) GetOpenIDConfiguration(context.Context, api.GetOpenIDConfigurationRequestObject) (api.GetOpenIDConfigurationResponseObject, error) {
	return api.GetOpenIDConfiguration200JSONResponse{
		Headers: api.GetOpenIDConfiguration200ResponseHeaders{CacheControl: fiveMinutes}, Body: s.metadata(),
	}, nil
}

func (s *Server) metadata() api.Metadata {
	var registration *string
	var documents *bool
	if s.OAuth.Unverified.Registration {
		registration = new(s.PublicURL + "/register")
	}
	if s.OAuth.Unverified.Documents.On() {
		documents = new(true)
	}
	return api.Metadata{
		RegistrationEndpoint: registration, ClientIDMetadataDocumentSupported: documents,
		Issuer:                     s.PublicURL,
		AuthorizationEndpoint:      s.PublicURL + "/authorize",
		BackchannelLogoutSupported: true, BackchannelLogoutSessionSupported: true,
		PushedAuthorizationRequestEndpoint:         s.PublicURL + "/par",
		DeviceAuthorizationEndpoint:                s.PublicURL + "/device_authorization",
		UserinfoEndpoint:                           s.PublicURL + "/userinfo",
		EndSessionEndpoint:                         s.PublicURL + "/sign-out",
		AuthorizationResponseIssParameterSupported: true,
		ResponseModesSupported:                     []string{"query"},
		CodeChallengeMethodsSupported:              []string{"S256"},
		PromptValuesSupported:                      oauth.Prompts,
		AcrValuesSupported:                         oauth.Levels,
		SubjectTypesSupported:                      []string{"public"},
		IDTokenSigningAlgValuesSupported:           []string{s.OAuth.IDTokenAlgorithm()},
		ClaimsParameterSupported:                   true,
		ClaimsSupported: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
			"preferred_username", "name", "updated_at", "user_metadata", "email", "email_verified",
		},
		TokenEndpoint:          s.PublicURL + "/token",
		RevocationEndpoint:     s.PublicURL + "/token/revoke",
		IntrospectionEndpoint:  s.PublicURL + "/token/introspect",
		JwksURI:                s.PublicURL + "/.well-known/jwks.json",
		ServiceDocumentation:   s.PublicURL + "/docs/",
		ScopesSupported:        s.Contract.Scopes().Declared,
		ResponseTypesSupported: []string{"code"},
		GrantTypesSupported: []string{
			string(api.TokenRequestGrantTypeAuthorizationCode), string(api.TokenRequestGrantTypePassword), string(api.TokenRequestGrantTypeRefreshToken),
			string(api.TokenRequestGrantTypeClientCredentials), string(api.TokenRequestGrantTypeDeviceCode), string(api.TokenRequestGrantTypePasskey),
		},
		TokenEndpointAuthMethodsSupported:         clientMethods,
		RevocationEndpointAuthMethodsSupported:    clientMethods,
		IntrospectionEndpointAuthMethodsSupported: []string{"client_secret_basic"},
	}
}

// GetKeys is GET /.well-known/jwks.json (RFC 7517 §5).
func (s *Server) GetKeys(context.Context, api.GetKeysRequestObject) (api.GetKeysResponseObject, error) {
	public := s.OAuth.PublicKeys()
	keys := make([]api.Key, len(public))
	for i, k := range public {
		keys[i] = api.Key{
			Kty: k.Kty, Use: k.Use, Alg: k.Alg, Kid: k.Kid,
			Crv: given(k.Crv), X: given(k.X), Y: given(k.Y), N: given(k.N), E: given(k.E),
		}
	}
	return api.GetKeys200JSONResponse{
		Headers: api.GetKeys200ResponseHeaders{CacheControl: fiveMinutes},
		Body:    api.KeySet{Keys: keys},
	}, nil
}

// given omits a member that a kind of key does not have.
func given(member string) *string {
	if member == "" {
		return nil
	}
	return &member
}
