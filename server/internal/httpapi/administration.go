package httpapi

import (
	"context"
	"strings"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/account"
)

// pageLimit is the default number of items per page.
const pageLimit = 50

// ListUsers is GET /users.
func (s *Server) ListUsers(ctx context.Context, request api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	q := request.Params
	users, next, err := s.Accounts.ListUsers(ctx, account.UserQuery{
		Prefix: text(q.Q), Disabled: q.Disabled, Cursor: text(q.Cursor), Limit: limit(q.Limit),
	})
	if err != nil {
		return nil, err
	}
	items := make([]api.User, len(users))
	for i, user := range users {
		items[i] = s.userOf(user)
	}
	return api.ListUsers200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// GetUser is GET /users/{user_id}.
func (s *Server) GetUser(ctx context.Context, request api.GetUserRequestObject) (api.GetUserResponseObject, error) {
	user, err := s.Accounts.User(ctx, idOf(request.UserID))
	if err != nil {
		return nil, err
	}
	return api.GetUser200JSONResponse(s.userOf(user)), nil
}

// UpdateUser is PATCH /users/{user_id}: null clears, absent keeps.
func (s *Server) UpdateUser(ctx context.Context, request api.UpdateUserRequestObject) (api.UpdateUserResponseObject, error) {
	body := request.Body
	change := account.UserChange{FullName: ifGiven(body.FullName), Email: ifGiven(body.Email), Disabled: body.Disabled}
	if body.Scopes != nil {
		change.Scopes = *body.Scopes
	}
	if body.UserMetadata != nil {
		change.Metadata = new(string(*body.UserMetadata))
	}
	user, err := s.Accounts.UpdateUser(ctx, caller(ctx), idOf(request.UserID), change)
	if err != nil {
		return nil, err
	}
	return api.UpdateUser200JSONResponse(s.userOf(user)), nil
}

// DeleteUser is DELETE /users/{user_id}.
func (s *Server) DeleteUser(ctx context.Context, request api.DeleteUserRequestObject) (api.DeleteUserResponseObject, error) {
	return api.DeleteUser204Response{}, s.Accounts.DeleteUser(ctx, caller(ctx), idOf(request.UserID))
}

// idOf returns an id of a request in the spelling of the database: the contract accepts capitals too.
func idOf(uuid string) string { return strings.ToLower(uuid) }

// ifGiven is nil if the value is absent, and an empty string for null.
func ifGiven(n nullable.Nullable[string]) *string {
	if !n.IsSpecified() {
		return nil
	}
	return new(orEmpty(n))
}

func limit(n *int32) int {
	if n == nil {
		return pageLimit
	}
	return int(*n)
}
