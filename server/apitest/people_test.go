package apitest

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
)

// The account of --demo.
const (
	demoUsername = "johndoe"
	demoPassword = "knock-knock"
)

const horse = "a wooden horse"

// newHash begins every hash that a server makes, unless realHashes is among its settings.
const newHash = "$argon2id$v=19$m=8,t=1,p=1$"

// register creates an account with the password horse and an address at example.com.
func (s *server) register(t *testing.T, username string) api.User {
	t.Helper()
	return decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{
		"username": username, "password": horse, "email": strings.ToLower(username) + "@example.com",
	}}).want(201))
}

func passwordGrant(username, password string) request {
	return request{method: "POST", path: "/token", form: url.Values{
		"grant_type": {"password"}, "username": {username}, "password": {password},
	}}
}

func refreshGrant(token string) request {
	return request{method: "POST", path: "/token", form: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}}
}

// login logs in to an account that register created.
func (s *server) login(t *testing.T, username string) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, passwordGrant(username, horse)).want(200))
}

// loginToDelete is login with every scope that every account has. A token has me:delete only if it was asked for.
func (s *server) loginToDelete(t *testing.T, username string) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, withScope(passwordGrant(username, horse), ownScopes())).want(200))
}

// defaultScopes are the scopes of a token for which none was asked.
func defaultScopes() string { return strings.Join(rules.Scopes().Default, " ") }

// ownScopes are the scopes that every account has.
func ownScopes() string {
	return strings.Join(slices.Concat(rules.Scopes().Default, rules.Scopes().OnRequest), " ")
}

// newcomer registers and logs in.
func (s *server) newcomer(t *testing.T, username string) api.Token {
	t.Helper()
	s.register(t, username)
	return s.login(t, username)
}
