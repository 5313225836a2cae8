package oauth

import (
	"context"
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
	resource, err := s.resource(w.Resource)
	if err != nil {
		return Tokens{}, err
	}
	session, refresh, err := s.identity.Login(ctx, identity.Login{Username: username, Password: password, Code: code, Wanted: identity.Wanted{
		ClientID: client.ID, Scopes: strings.Fields(w.Scope), Allowed: s.allowed(client), Resource: resource, TTL: client.SessionTTL,
	}})
	if err != nil {
		return Tokens{}, err
	}
	return s.issueForSession(client, passwordGrant, session, strings.Fields(session.Scope), refresh)
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
