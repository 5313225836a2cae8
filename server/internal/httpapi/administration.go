package httpapi

import (
	"context"
	"strings"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/problem"
)

// pageLimit is the default number of items per page.
const pageLimit = 50

// ListUsers is GET /users.
func (s *Server) ListUsers(ctx context.Context, request api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	q := request.Params
	query := account.UserQuery{
		Prefix: text(q.Q), Disabled: q.Disabled, EmailVerified: q.EmailVerified, SecondFactor: q.SecondFactor, Scope: text(q.Scope),
		Cursor: text(q.Cursor), Limit: limit(q.Limit), Count: isTrue(q.Total),
	}
	if q.Sort != nil {
		query.Sort = string(*q.Sort)
	}
	if q.CreatedAfter != nil {
		query.CreatedFrom = *q.CreatedAfter
	}
	if q.CreatedBefore != nil {
		query.CreatedBefore = *q.CreatedBefore
	}
	page, err := s.Accounts.ListUsers(ctx, query)
	if err != nil {
		return nil, err
	}
	items := make([]api.User, len(page.Users))
	for i, user := range page.Users {
		items[i] = s.userOf(user)
	}
	answer := api.ListUsers200JSONResponse{Items: items, NextCursor: orNull(page.Next)}
	if query.Count {
		answer.Total, answer.TotalIsExact = new(int32(page.Total)), &page.Exact //nolint:gosec // 20,000 at most
	}
	return answer, nil
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
	if change.EmailVerified = isTrue(body.EmailVerified); body.EmailVerified != nil && !change.EmailVerified {
		return nil, problem.Invalid().At("/email_verified", "must be true: an address becomes unconfirmed only when it changes")
	}
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

// InviteUser is POST /invitations.
func (s *Server) InviteUser(ctx context.Context, request api.InviteUserRequestObject) (api.InviteUserResponseObject, error) {
	body := request.Body
	user, err := s.Accounts.Invite(ctx, caller(ctx), account.Registration{
		Username: text(body.Username), Email: body.Email, FullName: orEmpty(body.FullName), Scopes: listOf(body.Scopes),
	})
	if err != nil {
		return nil, err
	}
	return api.InviteUser201JSONResponse{
		Body: s.userOf(user), Headers: api.InviteUser201ResponseHeaders{Location: s.PublicURL + "/users/" + user.ID},
	}, nil
}

// ResendInvitation is POST /users/{user_id}/invitation.
func (s *Server) ResendInvitation(ctx context.Context, request api.ResendInvitationRequestObject) (api.ResendInvitationResponseObject, error) {
	return api.ResendInvitation202Response{}, s.Accounts.ResendInvitation(ctx, caller(ctx), idOf(request.UserID))
}

// StartPasswordReset is POST /users/{user_id}/password-reset.
func (s *Server) StartPasswordReset(ctx context.Context, request api.StartPasswordResetRequestObject) (api.StartPasswordResetResponseObject, error) {
	return api.StartPasswordReset202Response{}, s.Accounts.StartPasswordReset(ctx, caller(ctx), idOf(request.UserID))
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
