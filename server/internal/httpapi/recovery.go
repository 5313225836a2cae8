package httpapi

import (
	"context"

	"sesame/gen/api"
	"sesame/server/internal/account"
)

// RequestEmailVerification is POST /users/me/email/verification.
func (s *Server) RequestEmailVerification(ctx context.Context, _ api.RequestEmailVerificationRequestObject) (api.RequestEmailVerificationResponseObject, error) {
	return api.RequestEmailVerification202Response{}, s.Accounts.RequestEmailVerification(ctx, caller(ctx))
}

// ConfirmEmail is POST /email-verifications/confirm.
func (s *Server) ConfirmEmail(ctx context.Context, request api.ConfirmEmailRequestObject) (api.ConfirmEmailResponseObject, error) {
	return api.ConfirmEmail204Response{}, s.Accounts.ConfirmEmail(ctx, account.Confirmation{
		Code: request.Body.Code, Caller: caller(ctx), Password: deref(request.Body.Password),
	})
}

// RequestPasswordReset is POST /password-resets.
func (s *Server) RequestPasswordReset(ctx context.Context, request api.RequestPasswordResetRequestObject) (api.RequestPasswordResetResponseObject, error) {
	return api.RequestPasswordReset202Response{}, s.Accounts.RequestPasswordReset(ctx, request.Body.Email)
}

// ConfirmPasswordReset is POST /password-resets/confirm.
func (s *Server) ConfirmPasswordReset(ctx context.Context, request api.ConfirmPasswordResetRequestObject) (api.ConfirmPasswordResetResponseObject, error) {
	return api.ConfirmPasswordReset204Response{}, s.Accounts.ResetPassword(ctx, request.Body.Code, text(request.Body.Username), request.Body.NewPassword)
}
