package httpapi

import (
	"context"
	"slices"
	"strings"

	"sesame/gen/api"
	"sesame/server/internal/oauth"
)

// RegisterClient is POST /register (RFC 7591 §3.1).
func (s *Server) RegisterClient(ctx context.Context, request api.RegisterClientRequestObject) (api.RegisterClientResponseObject, error) {
	b := request.Body
	client, err := s.OAuth.RegisterClient(ctx, oauth.Metadata{
		Name: text(b.ClientName), RedirectURIs: b.RedirectUris, GrantTypes: b.GrantTypes, ResponseTypes: b.ResponseTypes, AuthMethod: text(b.TokenEndpointAuthMethod),
	})
	if err != nil {
		return nil, err
	}
	return api.RegisterClient201JSONResponse{
		Headers: api.RegisterClient201ResponseHeaders{CacheControl: noStore, Pragma: noCache},
		Body: api.RegisteredClient{
			ClientID: client.ID, ClientIDIssuedAt: client.CreatedAt.Unix(), ClientName: client.Title(), RedirectUris: client.RedirectURIs,
			GrantTypes:    []string{string(api.TokenRequestGrantTypeAuthorizationCode), string(api.TokenRequestGrantTypeRefreshToken)},
			ResponseTypes: []string{"code"}, TokenEndpointAuthMethod: "none",
			Scope: strings.Join(slices.Sorted(slices.Values(s.OAuth.Offered(client))), " "),
		},
	}, nil
}
