package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sesame/server/internal/identity"
	"sesame/server/internal/passkey"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// PasskeyOptions are the options for a new passkey of the caller, as JSON for navigator.credentials.create. Errors: StaleLogin,
// NotFound where there are no passkeys.
func (s *Service) PasskeyOptions(ctx context.Context, caller *identity.Caller) ([]byte, error) {
	user, err := s.db.UserByID(ctx, caller.User.ID)
	if err == nil {
		err = s.identity.RequireFreshLogin(caller, user)
	}
	if err != nil {
		return nil, identity.Deleted(err)
	}
	person, err := s.identity.PersonWithPasskeys(ctx, user)
	if err != nil {
		return nil, err
	}
	return s.identity.NewPasskeyOptions(person, caller.SessionID)
}

// AddPasskey gives the caller's account a passkey with a name. answer is that of navigator.credentials.create, as JSON. It returns the
// recovery codes, if it is the first factor. Errors: those of AddFactor; ValidationFailed for an answer that is not valid, and a
// passkey that an account has already; NotFound where there are no passkeys.
func (s *Service) AddPasskey(ctx context.Context, caller *identity.Caller, name, answer string) (f store.Factor, codes []string, err error) {
	if s.identity.Passkeys == nil {
		return f, nil, identity.ErrNoPasskeys()
	}
	if name, err = factorName(name); err != nil { // before the challenge is used
		return f, nil, err
	}
	credential, err := s.identity.ReadNewPasskey(ctx, caller.User.ID, caller.SessionID, answer)
	if err != nil {
		return f, nil, err
	}
	text, err := credential.Text()
	if err != nil {
		return f, nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return f, nil, fmt.Errorf("make the id of a factor: %w", err)
	}
	f = store.Factor{
		ID: id.String(), Kind: store.Passkey, Name: name, Secret: text,
		CredentialID: passkey.IDText(credential.ID), LastStep: int64(credential.SignCount), CreatedAt: s.now(),
	}
	codes, err = s.AddFactor(ctx, caller, NewFactor{Factor: f})
	if errors.Is(err, store.ErrConflict) {
		err = problem.New(problem.ValidationFailed, "An account has this passkey already.").At("/credential", "is registered already")
	}
	return f, codes, err
}
