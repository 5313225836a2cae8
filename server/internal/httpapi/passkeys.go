package httpapi

import (
	"context"
	"encoding/json"

	"sesame/gen/api"
)

// StartPasskeySignIn is POST /passkeys/challenges.
func (s *Server) StartPasskeySignIn(_ context.Context, request api.StartPasskeySignInRequestObject) (api.StartPasskeySignInResponseObject, error) {
	options, err := s.OAuth.PasskeyOptions(text(request.Body.ClientID))
	if err != nil {
		return nil, err
	}
	var body api.PasskeyRequestOptions
	return (*api.StartPasskeySignIn200JSONResponse)(&body), json.Unmarshal(options, &body)
}

// StartPasskey is POST /users/me/passkeys/challenges.
func (s *Server) StartPasskey(ctx context.Context, _ api.StartPasskeyRequestObject) (api.StartPasskeyResponseObject, error) {
	options, err := s.Accounts.PasskeyOptions(ctx, caller(ctx))
	if err != nil {
		return nil, err
	}
	var body api.PasskeyCreationOptions
	return (*api.StartPasskey200JSONResponse)(&body), json.Unmarshal(options, &body)
}

// AddPasskey is POST /users/me/passkeys.
func (s *Server) AddPasskey(ctx context.Context, request api.AddPasskeyRequestObject) (api.AddPasskeyResponseObject, error) {
	f, codes, err := s.Accounts.AddPasskey(ctx, caller(ctx), request.Body.Name, request.Body.Credential.Reveal())
	if err != nil {
		return nil, err
	}
	return api.AddPasskey201JSONResponse{
		Headers: api.AddPasskey201ResponseHeaders{CacheControl: noStore}, Body: api.AddedFactor{Factor: factorOf(f), RecoveryCodes: codes},
	}, nil
}
