package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func get(path string) request { return request{method: "GET", path: path} }

// R5, A5: a database that is cut off is an outage, told as one, and never a false answer about a
// token or a password. When it is back, so is the server.
func TestADatabaseThatIsCutOff(t *testing.T) {
	t.Parallel()
	s := start(t, postgresURL(t))
	tokens := s.newcomer(t, "ann")
	s.do(t, get("/readyz")).want(200)
	admin, name := adminOf(t, s.dbURL)
	execute := func(statement string) {
		t.Helper()
		if err := rawSQL(t.Context(), admin, statement, nil); err != nil {
			t.Fatal(err)
		}
	}
	cut := fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, name)
	execute(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS false`)
	execute(cut)
	for range 2 { // with the broken connections of the pool, and without
		s.do(t, get("/readyz")).want(503, "unavailable")
		s.do(t, me(tokens.AccessToken)).want(503, "unavailable")
		s.do(t, patch(tokens.AccessToken, `{"full_name":"Ann"}`)).want(503, "unavailable")
		s.do(t, changePassword(tokens.AccessToken, horse, horse)).want(503, "unavailable")
		s.do(t, request{method: "DELETE", path: "/users/me/sessions", token: tokens.AccessToken}).want(503, "unavailable")
		s.create(t, map[string]any{"username": "bob", "password": horse}).want(503, "unavailable")
		s.do(t, passwordGrant("ann", horse)).want(503, "temporarily_unavailable")
		s.do(t, passwordGrant("nobody", horse)).want(503, "temporarily_unavailable")
		s.do(t, refreshGrant(tokens.RefreshToken)).want(503, "temporarily_unavailable")
		s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{"token": {tokens.RefreshToken}}}).want(503, "temporarily_unavailable")
		s.do(t, get("/healthz")).want(200)
		s.do(t, get("/.well-known/jwks.json")).want(200)
		s.do(t, me("garbage")).want(401, "invalid_token")
	}
	execute(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS true`)
	s.do(t, get("/readyz")).want(200)
	s.do(t, me(tokens.AccessToken)).want(200)
	execute(cut) // alone: the next request finds connections that are dead, and the one after works
	for _, r := range []request{refreshGrant(tokens.RefreshToken), passwordGrant("ann", horse)} {
		if a := s.do(t, r); a.status != 503 {
			a.want(200)
		}
	}
	s.do(t, refreshGrant(tokens.RefreshToken)).want(200)
	s.do(t, passwordGrant("ann", horse)).want(200)
}

// adminOf gives the address of the server's own database, and the name of the test's.
func adminOf(t *testing.T, databaseURL string) (admin, name string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	return u.String(), name
}
