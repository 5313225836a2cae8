package httpapi

import (
	"context"

	"sesame/gen/api"
)

// fiveMinutes is how long clients may cache metadata and keys.
const fiveMinutes = "public, max-age=300"

// clientMethods are the ways in which a client authenticates at the token endpoints (RFC 7591 §2).
var clientMethods = []string{"none", "client_secret_basic", "client_secret_post"}

// GetMetadata is GET /.well-known/oauth-authorization-server (RFC 8414).
func (s *Server) GetMetadata(context.Context, api.GetMetadataRequestObject) (api.GetMetadataResponseObject, error) {
	return api.GetMetadata200JSONResponse{
		Headers: api.GetMetadata200ResponseHeaders{CacheControl: fiveMinutes},
		Body: api.Metadata{
			Issuer:                 s.PublicURL,
			TokenEndpoint:          s.PublicURL + "/token",
			RevocationEndpoint:     s.PublicURL + "/token/revoke",
			IntrospectionEndpoint:  s.PublicURL + "/token/introspect",
			JwksURI:                s.PublicURL + "/.well-known/jwks.json",
			ServiceDocumentation:   s.PublicURL + "/docs/",
			ScopesSupported:        s.Contract.Scopes().Declared,
			ResponseTypesSupported: []string{},
			GrantTypesSupported: []string{
				string(api.TokenRequestGrantTypePassword), string(api.TokenRequestGrantTypeRefreshToken),
				string(api.TokenRequestGrantTypeClientCredentials),
			},
			TokenEndpointAuthMethodsSupported:         clientMethods,
			RevocationEndpointAuthMethodsSupported:    clientMethods,
			IntrospectionEndpointAuthMethodsSupported: []string{"client_secret_basic"},
		},
	}, nil
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
