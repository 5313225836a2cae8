package httpapi

import (
	"context"
	"encoding/base64"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/oauth"
	"sesame/server/internal/problem"
	"sesame/server/secret"
)

// ListClients is GET /clients.
func (s *Server) ListClients(ctx context.Context, request api.ListClientsRequestObject) (api.ListClientsResponseObject, error) {
	q := request.Params
	clients, next, err := s.OAuth.Clients(ctx, oauth.ClientQuery{Prefix: text(q.Q), Cursor: text(q.Cursor), Limit: limit(q.Limit)})
	items := make([]api.OAuthClient, len(clients))
	for i, c := range clients {
		items[i] = s.clientOf(c)
	}
	return api.ListClients200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// CreateClient is POST /clients.
func (s *Server) CreateClient(ctx context.Context, request api.CreateClientRequestObject) (api.CreateClientResponseObject, error) {
	b := request.Body
	logo, err := logoOf(b.Logo)
	if err != nil {
		return nil, err
	}
	client, made, err := s.OAuth.CreateClient(ctx, caller(ctx), oauth.NewClient{
		Name: b.Name, Scopes: b.Scopes, PasswordGrant: isTrue(b.PasswordGrant), Public: isTrue(b.Public), ThirdParty: isTrue(b.ThirdParty),
		PKCEOptional: b.RequirePkce != nil && !*b.RequirePkce, RedirectURIs: b.RedirectUris, SignOutURIs: b.PostLogoutRedirectUris,
		DeviceGrant: isTrue(b.DeviceGrant), LogoutURI: text(b.BackchannelLogoutURI),
		AccessTTL: orZero(secondsOf(b.AccessTokenTTL)), SessionTTL: orZero(secondsOf(b.SessionTTL)), Logo: logo,
	})
	return api.CreateClient201JSONResponse(s.withSecret(client, made)), err
}

// GetClient is GET /clients/{client_id}.
func (s *Server) GetClient(ctx context.Context, request api.GetClientRequestObject) (api.GetClientResponseObject, error) {
	client, err := s.OAuth.ClientByID(ctx, idOf(request.ClientID))
	return api.GetClient200JSONResponse(s.clientOf(client)), err
}

// UpdateClient is PATCH /clients/{client_id}: absent keeps.
func (s *Server) UpdateClient(ctx context.Context, request api.UpdateClientRequestObject) (api.UpdateClientResponseObject, error) {
	b := request.Body
	logo, err := logoOf(b.Logo)
	if err != nil {
		return nil, err
	}
	change := oauth.ClientChange{
		Name: b.Name, Scopes: b.Scopes, PasswordGrant: b.PasswordGrant, ThirdParty: b.ThirdParty,
		RedirectURIs: b.RedirectUris, SignOutURIs: b.PostLogoutRedirectUris, DeviceGrant: b.DeviceGrant, LogoutURI: b.BackchannelLogoutURI,
		AccessTTL: secondsOf(b.AccessTokenTTL), SessionTTL: secondsOf(b.SessionTTL), Logo: logo,
	}
	if b.RequirePkce != nil {
		change.PKCEOptional = new(!*b.RequirePkce)
	}
	client, err := s.OAuth.UpdateClient(ctx, caller(ctx), idOf(request.ClientID), change)
	return api.UpdateClient200JSONResponse(s.clientOf(client)), err
}

// DeleteClient is DELETE /clients/{client_id}.
func (s *Server) DeleteClient(ctx context.Context, request api.DeleteClientRequestObject) (api.DeleteClientResponseObject, error) {
	return api.DeleteClient204Response{}, s.OAuth.DeleteClient(ctx, caller(ctx), idOf(request.ClientID))
}

// ReplaceClientSecret is POST /clients/{client_id}/secret.
func (s *Server) ReplaceClientSecret(ctx context.Context, request api.ReplaceClientSecretRequestObject) (api.ReplaceClientSecretResponseObject, error) {
	keep := time.Duration(request.Body.KeepOldFor) * time.Second
	client, made, err := s.OAuth.ReplaceSecret(ctx, caller(ctx), idOf(request.ClientID), keep)
	return api.ReplaceClientSecret200JSONResponse(s.withSecret(client, made)), err
}

func (s *Server) clientOf(c oauth.Client) api.OAuthClient {
	return api.OAuthClient{
		ClientID: c.ID, Name: c.Name, Public: c.Public, ThirdParty: c.ThirdParty, RequirePkce: !c.PKCEOptional, PasswordGrant: c.PasswordGrant, DeviceGrant: c.DeviceGrant, BackchannelLogoutURI: c.LogoutURI, LogoURI: s.OAuth.LogoURI(c),
		Scopes: orEmptyList(c.Scopes), RedirectUris: orEmptyList(c.RedirectURIs), PostLogoutRedirectUris: orEmptyList(c.SignOutURIs), CreatedAt: c.CreatedAt,
		AccessTokenTTL: int32(c.AccessTTL.Seconds()), SessionTTL: int32(c.SessionTTL.Seconds()),
		Registration: api.ClientRegistration(c.Registration), DocumentURI: c.DocumentURI,
	}
}

func (s *Server) withSecret(c oauth.Client, made secret.Text) api.OAuthClientWithSecret {
	shown := s.clientOf(c)
	return api.OAuthClientWithSecret{
		ClientID: shown.ClientID, ClientSecret: orAbsent(made.Reveal()), Name: shown.Name, Public: shown.Public, ThirdParty: shown.ThirdParty,
		RequirePkce: shown.RequirePkce, PasswordGrant: shown.PasswordGrant, DeviceGrant: shown.DeviceGrant, BackchannelLogoutURI: shown.BackchannelLogoutURI, LogoURI: shown.LogoURI, Scopes: shown.Scopes, RedirectUris: shown.RedirectUris,
		PostLogoutRedirectUris: shown.PostLogoutRedirectUris, CreatedAt: shown.CreatedAt,
		AccessTokenTTL: shown.AccessTokenTTL, SessionTTL: shown.SessionTTL, Registration: shown.Registration, DocumentURI: shown.DocumentURI,
	}
}

// logoOf decodes the logo of a request; nil if it is absent. Errors: ValidationFailed.
func logoOf(text *string) ([]byte, error) {
	if text == nil {
		return nil, nil
	}
	logo, err := base64.StdEncoding.Strict().DecodeString(*text)
	if err != nil {
		return nil, problem.Wrap(problem.ValidationFailed, "The client cannot have these settings.", err).At("/logo", "must be base64")
	}
	return logo, nil
}

func orEmptyList(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// secondsOf returns a duration of a request, nil if it is absent.
func secondsOf(n *int32) *time.Duration {
	if n == nil {
		return nil
	}
	return new(time.Duration(*n) * time.Second)
}

func orZero[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func isTrue(b *bool) bool { return b != nil && *b }
