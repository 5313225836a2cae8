package oauth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// PasswordGrant logs a person in through a client (RFC 6749 §4.3). Without a scope it requests the default ones. code is that
// of the second factor, if the account has one. Errors:
// UnauthorizedClient, InvalidTarget, and those of identity.Login.
func (s *Service) PasswordGrant(ctx context.Context, client Client, username string, password, code secret.Text, w Wanted) (Tokens, error) {
	if !client.PasswordGrant {
		return Tokens{}, problem.New(problem.UnauthorizedClient, "This client may not use the password grant.")
	}
	wanted, err := s.wanted(client, w)
	if err != nil {
		return Tokens{}, err
	}
	session, refresh, err := s.identity.Login(ctx, identity.Login{Username: username, Password: password, Code: code, Wanted: wanted})
	if err != nil {
		return Tokens{}, err
	}
	return s.issueForSession(client, passwordGrant, session, strings.Fields(session.Scope), refresh)
}

// PasskeyGrant logs a person in through a client with a passkey alone, as an extension grant (RFC 6749 §4.5). answer is that of
// navigator.credentials.get to the options of PasskeyOptions, as JSON. A client may use it if it may use the password grant: both are
// for front ends that ask the person themselves. Errors: UnauthorizedClient, InvalidTarget, and those of identity.LoginWithPasskey;
// InvalidGrant where there are no passkeys.
func (s *Service) PasskeyGrant(ctx context.Context, client Client, answer secret.Text, w Wanted) (Tokens, error) {
	if !client.PasswordGrant {
		return Tokens{}, problem.New(problem.UnauthorizedClient, "This client may not use the passkey grant, which is for clients with the password grant.")
	}
	wanted, err := s.wanted(client, w)
	if err != nil {
		return Tokens{}, err
	}
	session, refresh, err := s.identity.LoginWithPasskey(ctx, identity.PasskeyLogin{Answer: answer, Bound: client.ID, Wanted: wanted})
	if fault, ok := errors.AsType[*problem.Error](err); ok && fault.Code == problem.NotFound {
		err = problem.New(problem.InvalidGrant, fault.Detail)
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.issueForSession(client, passkeyGrant, session, strings.Fields(session.Scope), refresh)
}

// PasskeyOptions are the options for a sign-in with a passkey through a client; "" is the built-in one of the operator's own front
// ends. Errors: NotFound where there are no passkeys.
func (s *Service) PasskeyOptions(clientID string) ([]byte, error) {
	return s.identity.PasskeyOptions(cmp.Or(clientID, token.FirstParty))
}

// wanted is the session that a client wants for a person. Errors: InvalidTarget.
func (s *Service) wanted(client Client, w Wanted) (identity.Wanted, error) {
	resource, err := s.resource(w.Resource)
	return identity.Wanted{
		ClientID: client.ID, Scopes: strings.Fields(w.Scope), Allowed: s.allowed(client), Resource: resource, TTL: client.SessionTTL,
	}, err
}

// allowed returns the scopes of a person that a client may receive: a built-in client all of them, any other
// client the default ones and those that it was given.
func (s *Service) allowed(c Client) []string {
	declared := s.identity.Scopes.Declared
	if c.BuiltIn {
		return declared
	}
	return identity.Intersect(declared, slices.Concat(s.identity.Scopes.Default, c.Scopes))
}

// ClientCredentialsGrant issues a token to a client for itself (RFC 6749 §4.4). Errors: InvalidClient for a client without
// a secret, InvalidScope, InvalidTarget.
func (s *Service) ClientCredentialsGrant(_ context.Context, client Client, w Wanted) (Tokens, error) {
	if client.Public {
		return Tokens{}, problem.New(problem.InvalidClient, "The client_credentials grant needs a client's id and secret.")
	}
	resource, err := s.resource(w.Resource)
	if err != nil {
		return Tokens{}, err
	}
	requested := strings.Fields(w.Scope)
	if len(requested) == 0 {
		requested = client.Scopes
	}
	granted := identity.Intersect(requested, identity.Intersect(client.Scopes, s.identity.Scopes.Declared))
	granted = slices.DeleteFunc(granted, func(scope string) bool { return slices.Contains(s.identity.Scopes.PeopleOnly, scope) })
	if len(granted) == 0 {
		return Tokens{}, problem.New(problem.InvalidScope, "The client has none of the requested scopes.")
	}
	return s.issue(client, clientGrant, token.Access{Subject: client.ID, ClientID: client.ID, Resource: resource}, granted)
}
