package httpapi

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/store"
)

// ListFactors is GET /users/me/factors.
func (s *Server) ListFactors(ctx context.Context, _ api.ListFactorsRequestObject) (api.ListFactorsResponseObject, error) {
	factors, err := s.Accounts.Factors(ctx, caller(ctx))
	return api.ListFactors200JSONResponse(factorsOf(factors)), err
}

func factorsOf(factors account.Factors) api.FactorList {
	items := make([]api.Factor, len(factors.Items))
	for i, f := range factors.Items {
		items[i] = factorOf(f)
	}
	return api.FactorList{
		Items: items, RecoveryCodesLeft: int32(factors.CodesLeft), ResetAt: orNullTime(factors.User.FactorsResetAt), //nolint:gosec // ten at most
	}
}

// RenameFactor is PATCH /users/me/factors/{factor_id}.
func (s *Server) RenameFactor(ctx context.Context, request api.RenameFactorRequestObject) (api.RenameFactorResponseObject, error) {
	renamed, err := s.Accounts.RenameFactor(ctx, caller(ctx), idOf(request.FactorID), request.Body.Name)
	if err != nil {
		return nil, err
	}
	return api.RenameFactor200JSONResponse(factorOf(renamed)), nil
}

// RemoveFactor is DELETE /users/me/factors/{factor_id}.
func (s *Server) RemoveFactor(ctx context.Context, request api.RemoveFactorRequestObject) (api.RemoveFactorResponseObject, error) {
	endOthers := request.Params.EndOtherSessions
	return api.RemoveFactor204Response{}, s.Accounts.RemoveFactor(ctx, caller(ctx), idOf(request.FactorID), endOthers != nil && *endOthers)
}

// StartTotp is POST /users/me/totp.
func (s *Server) StartTotp(ctx context.Context, _ api.StartTotpRequestObject) (api.StartTotpResponseObject, error) {
	setup, err := s.Accounts.StartTOTP(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return api.StartTotp200JSONResponse{
		Headers: api.StartTotp200ResponseHeaders{CacheControl: noStore},
		Body: api.TotpSetup{
			Secret: setup.Secret, URI: setup.URI, QrCode: setup.QRCode, Setup: setup.Setup.Reveal(), ExpiresAt: setup.ExpiresAt,
		},
	}, nil
}

// ConfirmTotp is POST /users/me/totp/confirm.
func (s *Server) ConfirmTotp(ctx context.Context, request api.ConfirmTotpRequestObject) (api.ConfirmTotpResponseObject, error) {
	body := request.Body
	f, codes, err := s.Accounts.ConfirmTOTP(ctx, caller(ctx), account.TOTPConfirmation{
		Setup: body.Setup, Code: body.Code, Name: body.Name, EndOtherSessions: body.EndOtherSessions != nil && *body.EndOtherSessions,
	})
	if err != nil {
		return nil, err
	}
	return api.ConfirmTotp201JSONResponse{
		Headers: api.ConfirmTotp201ResponseHeaders{CacheControl: noStore}, Body: api.AddedFactor{Factor: factorOf(f), RecoveryCodes: codes},
	}, nil
}

// ReplaceRecoveryCodes is POST /users/me/recovery-codes.
func (s *Server) ReplaceRecoveryCodes(ctx context.Context, _ api.ReplaceRecoveryCodesRequestObject) (api.ReplaceRecoveryCodesResponseObject, error) {
	codes, err := s.Accounts.ReplaceRecoveryCodes(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	return api.ReplaceRecoveryCodes200JSONResponse{
		Headers: api.ReplaceRecoveryCodes200ResponseHeaders{CacheControl: noStore}, Body: api.RecoveryCodes{RecoveryCodes: codes},
	}, nil
}

// ResetFactors is POST /users/{user_id}/factor-reset.
func (s *Server) ResetFactors(ctx context.Context, request api.ResetFactorsRequestObject) (api.ResetFactorsResponseObject, error) {
	at, err := s.Accounts.ResetFactors(ctx, caller(ctx), idOf(request.UserID))
	if err != nil {
		return nil, err
	}
	return api.ResetFactors202JSONResponse{ResetAt: at}, nil
}

// factorOf converts a factor to the type of the contract.
func factorOf(f store.Factor) api.Factor {
	return api.Factor{
		ID: f.ID, Kind: f.Kind, Name: f.Name, Disabled: identity.IsDisabled(f), CreatedAt: f.CreatedAt, LastUsedAt: orNullTime(f.LastUsedAt),
	}
}

// orNullTime converts the zero time to null.
func orNullTime(at time.Time) nullable.Nullable[time.Time] {
	if at.IsZero() {
		return nullable.NewNullNullable[time.Time]()
	}
	return nullable.NewNullableWithValue(at)
}
