package httpapi

import (
	"context"
	"strings"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/store"
)

// ListPersonalTokens is GET /users/me/tokens.
func (s *Server) ListPersonalTokens(ctx context.Context, _ api.ListPersonalTokensRequestObject) (api.ListPersonalTokensResponseObject, error) {
	tokens, err := s.Identity.PersonalTokens(ctx, caller(ctx))
	return api.ListPersonalTokens200JSONResponse(personalTokenPage(tokens)), err
}

// CreatePersonalToken is POST /users/me/tokens.
func (s *Server) CreatePersonalToken(ctx context.Context, request api.CreatePersonalTokenRequestObject) (api.CreatePersonalTokenResponseObject, error) {
	body := request.Body
	made, text, err := s.Identity.CreatePersonalToken(ctx, caller(ctx), identity.NewPersonalToken{Name: body.Name, Scopes: body.Scopes, Days: int(body.ExpiresInDays)})
	if err != nil {
		return nil, err
	}
	t := personalTokenOf(made)
	return api.CreatePersonalToken201JSONResponse{
		Headers: api.CreatePersonalToken201ResponseHeaders{CacheControl: noStore},
		Body: api.PersonalTokenWithText{
			ID: t.ID, Name: t.Name, Scopes: t.Scopes, CreatedAt: t.CreatedAt, LastUsedAt: t.LastUsedAt, ExpiresAt: t.ExpiresAt, Token: text.Reveal(),
		},
	}, nil
}

// RevokePersonalToken is DELETE /users/me/tokens/{token_id}.
func (s *Server) RevokePersonalToken(ctx context.Context, request api.RevokePersonalTokenRequestObject) (api.RevokePersonalTokenResponseObject, error) {
	return api.RevokePersonalToken204Response{}, s.Identity.RevokePersonalToken(ctx, caller(ctx), idOf(request.TokenID))
}

// ListUserPersonalTokens is GET /users/{user_id}/tokens.
func (s *Server) ListUserPersonalTokens(ctx context.Context, request api.ListUserPersonalTokensRequestObject) (api.ListUserPersonalTokensResponseObject, error) {
	tokens, err := s.Identity.PersonalTokensOf(ctx, idOf(request.UserID))
	return api.ListUserPersonalTokens200JSONResponse(personalTokenPage(tokens)), err
}

// RevokeUserPersonalToken is DELETE /users/{user_id}/tokens/{token_id}.
func (s *Server) RevokeUserPersonalToken(ctx context.Context, request api.RevokeUserPersonalTokenRequestObject) (api.RevokeUserPersonalTokenResponseObject, error) {
	return api.RevokeUserPersonalToken204Response{}, s.Identity.RevokePersonalTokenOf(ctx, caller(ctx), idOf(request.UserID), idOf(request.TokenID))
}

// personalTokenPage is all of an account's tokens, which fit on one page.
func personalTokenPage(tokens []store.PersonalToken) api.PersonalTokenPage {
	items := make([]api.PersonalToken, len(tokens))
	for i, t := range tokens {
		items[i] = personalTokenOf(t)
	}
	return api.PersonalTokenPage{Items: items, NextCursor: nullable.NewNullNullable[string]()}
}

func personalTokenOf(t store.PersonalToken) api.PersonalToken {
	return api.PersonalToken{
		ID: t.ID, Name: t.Name, Scopes: strings.Fields(t.Scope), CreatedAt: t.CreatedAt, LastUsedAt: orNullTime(t.LastUsedAt), ExpiresAt: t.ExpiresAt,
	}
}
