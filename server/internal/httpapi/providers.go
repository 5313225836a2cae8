package httpapi

import (
	"context"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/upstream"
)

// ListProviders is GET /providers.
func (s *Server) ListProviders(ctx context.Context, request api.ListProvidersRequestObject) (api.ListProvidersResponseObject, error) {
	providers, next, err := s.Upstream.ProviderPage(ctx, text(request.Params.Cursor), limit(request.Params.Limit))
	items := make([]api.Provider, len(providers))
	for i, p := range providers {
		items[i] = s.providerOf(p)
	}
	return api.ListProviders200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// CreateProvider is POST /providers.
func (s *Server) CreateProvider(ctx context.Context, request api.CreateProviderRequestObject) (api.CreateProviderResponseObject, error) {
	b := request.Body
	p, err := s.Upstream.Create(ctx, caller(ctx), upstream.NewProvider{
		Name: b.Name, Kind: string(b.Kind), Label: text(b.Label), Issuer: text(b.Issuer), ClientID: b.ClientID, ClientSecret: deref(b.ClientSecret),
		Scopes: b.Scopes, LinkAddresses: isTrue(b.LinkVerifiedAddresses),
	})
	return api.CreateProvider201JSONResponse(s.providerOf(p)), err
}

// GetProvider is GET /providers/{provider}.
func (s *Server) GetProvider(ctx context.Context, request api.GetProviderRequestObject) (api.GetProviderResponseObject, error) {
	p, err := s.Upstream.Provider(ctx, request.Provider)
	return api.GetProvider200JSONResponse(s.providerOf(p)), err
}

// UpdateProvider is PATCH /providers/{provider}: absent keeps.
func (s *Server) UpdateProvider(ctx context.Context, request api.UpdateProviderRequestObject) (api.UpdateProviderResponseObject, error) {
	b := request.Body
	change := upstream.Change{Label: b.Label, ClientID: b.ClientID, ClientSecret: b.ClientSecret, Scopes: b.Scopes, LinkAddresses: b.LinkVerifiedAddresses}
	p, err := s.Upstream.Update(ctx, caller(ctx), request.Provider, change)
	return api.UpdateProvider200JSONResponse(s.providerOf(p)), err
}

// DeleteProvider is DELETE /providers/{provider}.
func (s *Server) DeleteProvider(ctx context.Context, request api.DeleteProviderRequestObject) (api.DeleteProviderResponseObject, error) {
	_, err := s.Upstream.Delete(ctx, caller(ctx), request.Provider)
	return api.DeleteProvider204Response{}, err
}

func (s *Server) providerOf(p upstream.Provider) api.Provider {
	return api.Provider{
		Name: p.Name, Label: p.Label, Kind: api.ProviderKind(p.Kind), Issuer: p.Issuer, ClientID: p.ClientID, HasSecret: p.HasSecret(), Scopes: orEmptyList(p.Scopes),
		LinkVerifiedAddresses: p.LinkAddresses, RedirectURI: s.Upstream.RedirectURI(p.Name), CreatedAt: p.CreatedAt,
	}
}

// ListIdentities is GET /users/me/identities.
func (s *Server) ListIdentities(ctx context.Context, _ api.ListIdentitiesRequestObject) (api.ListIdentitiesResponseObject, error) {
	page, err := s.identitiesOf(ctx, caller(ctx).User.ID)
	return api.ListIdentities200JSONResponse(page), err
}

func (s *Server) identitiesOf(ctx context.Context, userID string) (api.IdentityPage, error) {
	identities, err := s.Accounts.Identities(ctx, userID)
	items := make([]api.Identity, len(identities))
	for i, row := range identities {
		items[i] = api.Identity{
			ID: row.ID, Provider: orNull(row.Provider), Issuer: row.Issuer, Subject: row.Subject, Label: row.Label, CreatedAt: row.CreatedAt,
			LastUsedAt: orNullTime(row.UsedAt),
		}
	}
	return api.IdentityPage{Items: items, NextCursor: nullable.NewNullNullable[string]()}, err
}

// DeleteIdentity is DELETE /users/me/identities/{identity_id}.
func (s *Server) DeleteIdentity(ctx context.Context, request api.DeleteIdentityRequestObject) (api.DeleteIdentityResponseObject, error) {
	return api.DeleteIdentity204Response{}, s.Accounts.Unlink(ctx, caller(ctx), idOf(request.IdentityID))
}
