package apitest

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/postgrestest"
	"sesame/server/internal/store"
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

// N19: a PostgreSQL that has become read-only refuses every write with 503 and does nothing of it, goes on
// answering reads, is not ready, and serves again without a restart when it takes writes.
func TestAReadOnlyPostgres(t *testing.T) {
	t.Parallel()
	postgrestest.Require(t)
	if os.Getenv(postgrestest.EnvURL) != "" {
		t.Skip("the setting is that of the whole server, and this one is not ours")
	}
	own, err := postgrestest.Start(t.Context(), postgrestest.Fast)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	databaseURL, err := own.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, databaseURL)
	defer s.stop()
	admin, _ := adminOf(t, databaseURL)
	becomes := func(readOnly string) {
		t.Helper()
		for _, statement := range []string{`ALTER SYSTEM SET default_transaction_read_only = ` + readOnly, `SELECT pg_reload_conf()`} {
			if err := rawSQL(t.Context(), admin, statement, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.whileReadOnly(t, func() { becomes("on") }, func() { becomes("off") })

	becomes("on")
	e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey()}
	fails(t, "", e, "read only", "serve")
}

// N19: no connection that began read-only stays in the pool: the server serves again as soon as the database does.
func TestNoConnectionStaysReadOnly(t *testing.T) {
	t.Parallel()
	s := start(t, postgresURL(t))
	s.register(t, "ann")
	admin, name := adminOf(t, s.dbURL)
	becomes := func(setting string) {
		t.Helper()
		for _, statement := range []string{
			`ALTER DATABASE ` + name + ` SET default_transaction_read_only = ` + setting,
			fmt.Sprintf(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`, name),
		} {
			if err := rawSQL(t.Context(), admin, statement, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	becomes("on")
	for range 5 {
		s.do(t, get("/readyz")).want(503, "unavailable")
		s.do(t, passwordGrant("ann", horse)).want(503, "temporarily_unavailable")
	}
	if err := rawSQL(t.Context(), admin, `ALTER DATABASE `+name+` RESET default_transaction_read_only`, nil); err != nil {
		t.Fatal(err)
	}
	for range 20 { // more than there are connections that could be left
		s.do(t, get("/readyz")).want(200)
		s.do(t, passwordGrant("ann", horse)).want(200)
	}
}

// whileReadOnly tries a server before, while and after its database takes no writes.
func (s *server) whileReadOnly(t *testing.T, begin, end func()) {
	t.Helper()
	tokens := s.newcomer(t, "ann")
	s.do(t, get("/readyz")).want(200)
	begin()
	until(t, "the server is not ready", func() bool { return s.do(t, get("/readyz")).status == 503 })
	for range 2 {
		s.do(t, get("/readyz")).want(503, "unavailable")
		for _, r := range []request{
			patch(tokens.AccessToken, `{"full_name":"Ann"}`),
			changePassword(tokens.AccessToken, horse, "a bigger wooden horse"),
			{method: "DELETE", path: "/users/me/sessions", token: tokens.AccessToken},
			{method: "POST", path: "/users", json: map[string]any{"username": "bob", "password": horse}},
			{method: "POST", path: "/password-resets", json: map[string]any{"email": "ann@example.com"}},
			passwordGrant("ann", horse), passwordGrant("ann", wrong), passwordGrant("nobody", horse), refreshGrant(tokens.RefreshToken),
			{method: "POST", path: "/token/revoke", form: url.Values{"token": {tokens.RefreshToken}}},
		} {
			if a := s.do(t, r); a.status != 503 || a.header.Get("Retry-After") == "" {
				t.Errorf("%s %s: %d %s, Retry-After %q", r.method, r.path, a.status, a.code(), a.header.Get("Retry-After"))
			}
		}
		s.do(t, me(tokens.AccessToken)).want(200)
		s.do(t, me("garbage")).want(401, "invalid_token")
		s.do(t, get("/healthz")).want(200)
	}
	end()
	until(t, "the server is ready", func() bool { return s.do(t, get("/readyz")).status == 200 })
	if now := decode[api.User](s.do(t, me(tokens.AccessToken)).want(200)); !now.FullName.IsNull() {
		t.Error("a refused change was made")
	}
	s.do(t, refreshGrant(tokens.RefreshToken)).want(200)
	s.do(t, passwordGrant("ann", horse)).want(200)
	s.create(t, map[string]any{"username": "bob", "password": horse}).want(201)
	s.do(t, patch(tokens.AccessToken, `{"full_name":"Ann"}`)).want(200)
}

// N19: of many who ask whether the server is ready, few cause a write.
func TestReadinessSeldomWrites(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		writes := func() (n int) {
			t.Helper()
			if _, err := fmt.Sscan(s.value(t, `SELECT CAST(changes AS TEXT) FROM administration`), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before, began := writes(), time.Now()
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 25 {
					if a, err := s.try(get("/readyz")); err != nil || a.status != 200 {
						t.Errorf("%v %+v", err, a)
					}
				}
			})
		}
		wait.Wait()
		if n, most := writes()-before, 1+int(time.Since(began)/time.Second); n > most {
			t.Errorf("200 questions caused %d writes, want at most %d", n, most)
		}
	})
}

// N19: a transaction that holds the administration row, as one of a replica that was cut off does, makes no other
// replica not ready.
func TestALockMakesNoServerUnready(t *testing.T) {
	t.Parallel()
	s := start(t, postgresURL(t))
	db := s.open(t)
	err := db.Tx(t.Context(), func(q *store.Queries) error {
		if err := q.LockAdministration(t.Context()); err != nil {
			return err
		}
		time.Sleep(1100 * time.Millisecond) // until readiness would write again
		began := time.Now()
		s.do(t, get("/readyz")).want(200)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
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
