package httpapi

import (
	"context"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/store"
)

// CreateUser is POST /users.
func (s *Server) CreateUser(ctx context.Context, request api.CreateUserRequestObject) (api.CreateUserResponseObject, error) {
	body := request.Body
	user, err := s.Accounts.Register(ctx, caller(ctx), account.Registration{
		Username: body.Username, Email: orEmpty(body.Email), FullName: orEmpty(body.FullName), Password: body.Password,
		Scopes: listOf(body.Scopes), Disabled: isTrue(body.Disabled), EmailVerified: isTrue(body.EmailVerified),
	})
	if err != nil {
		return nil, err
	}
	return api.CreateUser201JSONResponse{
		Body: s.userOf(user), Headers: api.CreateUser201ResponseHeaders{Location: s.PublicURL + "/users/" + user.ID},
	}, nil
}

// GetMe is GET /users/me. Authentication has read the account, so it is not read again.
func (s *Server) GetMe(ctx context.Context, _ api.GetMeRequestObject) (api.GetMeResponseObject, error) {
	return api.GetMe200JSONResponse(s.userOf(caller(ctx).User)), nil
}

// UpdateMe is PATCH /users/me: null clears, absent keeps.
func (s *Server) UpdateMe(ctx context.Context, request api.UpdateMeRequestObject) (api.UpdateMeResponseObject, error) {
	who := caller(ctx)
	user := who.User
	var err error
	if request.Body.FullName.IsSpecified() {
		if user, err = s.Accounts.UpdateProfile(ctx, who, orEmpty(request.Body.FullName)); err != nil {
			return nil, err
		}
	}
	return api.UpdateMe200JSONResponse(s.userOf(user)), nil
}

// DeleteMe is DELETE /users/me.
func (s *Server) DeleteMe(ctx context.Context, _ api.DeleteMeRequestObject) (api.DeleteMeResponseObject, error) {
	return api.DeleteMe204Response{}, s.Accounts.DeleteAccount(ctx, caller(ctx))
}

// ChangePassword is PUT /users/me/password.
func (s *Server) ChangePassword(ctx context.Context, request api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	err := s.Accounts.ChangePassword(ctx, caller(ctx), request.Body.CurrentPassword, request.Body.NewPassword)
	return api.ChangePassword204Response{}, err
}

// ChangeEmail is PUT /users/me/email.
func (s *Server) ChangeEmail(ctx context.Context, request api.ChangeEmailRequestObject) (api.ChangeEmailResponseObject, error) {
	return api.ChangeEmail202Response{}, s.Accounts.ChangeEmail(ctx, caller(ctx), request.Body.Email, request.Body.Password)
}

// userOf converts an account to the type of the contract.
func (s *Server) userOf(u store.User) api.User {
	return api.User{
		ID: u.ID, Username: u.Username, Email: orNull(u.Email), EmailVerified: u.EmailVerified,
		FullName: orNull(u.FullName), Disabled: u.Disabled, Scopes: s.Identity.Scopes.OfUser(u),
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, UserMetadata: metadataOf(u.Metadata),
	}
}

// metadataOf leaves out the metadata of an account that has none.
func metadataOf(text string) *api.UserMetadata {
	if text == "" {
		return nil
	}
	return new(api.UserMetadata(text))
}

// orNull converts an empty string to null.
func orNull(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

// orEmpty converts null, and absence, to an empty string.
func orEmpty(n nullable.Nullable[string]) string {
	s, _ := n.Get()
	return s
}

// listOf returns the scopes that a request has given, or none.
func listOf(scopes *api.GrantedScopes) []string {
	if scopes == nil {
		return nil
	}
	return *scopes
}
