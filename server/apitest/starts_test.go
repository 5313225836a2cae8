package apitest

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sesame/gen/api"
	"sesame/server/internal/cli"
)

// files are the names of everything in a folder.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// everyCommand is each command of the program with arguments to run it with; the map says what belongs to
// those that need any.
func everyCommand(t *testing.T) (commands map[string][]string) {
	t.Helper()
	arguments := map[string][]string{
		"user create": {"ann"}, "user show": {"ann"}, "user disable": {"ann"}, "user enable": {"ann"}, "user grant": {"ann", "users:read"},
		"user set-password": {"ann"}, "user delete": {"ann", "--yes"}, "user verify": {"ann"}, "user sessions": {"ann"}, "user events": {"ann"}, "user unlock": {"ann"}, "user invite": {"ann"}, "user mail-reset": {"ann"}, "user factors": {"ann"}, "user tokens": {"ann"}, "user add-token": {"ann", "--name", "x", "--scope", "me:read"}, "user reset-factors": {"ann"}, "help": {"user"}, "completion": {"bash"}, "user import": {"-"}, "client create": {"billing"}, "client delete": {newID()}, "client update": {newID(), "--name", "x"}, "client secret": {newID()}, "new": {"notes"},
		"guard":        {"--spec", "openapi.yaml", "--upstream", "http://127.0.0.1:1", "--issuer", "http://127.0.0.1:1"},
		"login":        {"http://127.0.0.1:1", "--client-id", newID()},
		"backup":       {filepath.Join(t.TempDir(), "backup.db")},
		"provider add": {"corp", "--github", "--client-id", "x", "--client-secret-file", secretFile(t, "secret")}, "provider show": {"corp"},
		"webhook add": {"https://shop.example"}, "webhook update": {newID(), "--description", "x"}, "webhook secret": {newID()}, "webhook show": {newID()}, "webhook remove": {newID()},
		"webhook deliveries": {newID()}, "webhook resend": {newID(), newID()}, "webhook test": {newID()},
		"provider update": {"corp", "--label", "Corp"}, "provider remove": {"corp"},
	}
	parser, err := kong.New(&cli.CommandLine{})
	if err != nil {
		t.Fatal(err)
	}
	commands = map[string][]string{}
	for _, leaf := range parser.Model.Leaves(true) {
		var words []string
		for node := leaf; node.Type == kong.CommandNode; node = node.Parent {
			words = append([]string{node.Name}, words...)
		}
		name := strings.Join(words, " ")
		commands[name] = append(words, arguments[name]...)
	}
	if len(commands) < 17 {
		t.Fatalf("only %d commands were found: %v", len(commands), commands)
	}
	return commands
}

// N13: of all commands only serve and migrate make a database or a key; the others name the file that is missing,
// and leave an empty folder, and an empty database, as they were.
func TestOnlyServeAndMigrateMakeADatabase(t *testing.T) {
	t.Parallel()
	commands := everyCommand(t)
	for _, creates := range []string{"serve", "migrate", "new", "mock", "login", "guard", "config", "healthcheck", "help", "completion"} { // all but the first two open none
		if commands[creates] == nil {
			t.Fatalf("there is no command %s", creates)
		}
		delete(commands, creates)
	}
	folder := t.TempDir()
	commands["user export FILE"] = []string{"user", "export", filepath.Join(folder, "users.jsonl")}
	defer func() {
		if left := files(t, folder); len(left) > 0 {
			t.Errorf("user export leaves %v", left)
		}
	}()
	for name, args := range commands {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			file := filepath.Join(folder, "sesame.db")
			for _, key := range []string{"", testKey()} {
				e := environment{"SESAME_DATABASE_URL": "sqlite:" + file, "SESAME_MASTER_KEY": key}
				fails(t, horse, e, "there is no database "+file, args...)
				fails(t, horse, e, "sesame migrate", args...)
			}
			if left := files(t, folder); len(left) > 0 {
				t.Errorf("left in the folder: %v", left)
			}
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			fails(t, horse, environment{"SESAME_DATABASE_URL": "sqlite:" + file, "SESAME_MASTER_KEY": testKey()}, "sesame migrate", args...)
			if info, err := os.Stat(file); err != nil || info.Size() != 0 || len(files(t, folder)) != 1 {
				t.Errorf("%v: %v of %d bytes", err, files(t, folder), info.Size())
			}
		})
	}
	t.Run("postgres", func(t *testing.T) {
		e := environment{"SESAME_DATABASE_URL": emptyPostgresURL(t), "SESAME_MASTER_KEY": testKey()}
		for name, args := range commands {
			if name == "backup" { // which is only for SQLite
				continue
			}
			fails(t, horse, e, "sesame migrate", args...)
		}
		var tables string
		err := rawSQL(t.Context(), e["SESAME_DATABASE_URL"], `SELECT CAST(COUNT(*) AS TEXT) FROM pg_tables WHERE schemaname = 'public'`, &tables)
		if err != nil || tables != "0" {
			t.Errorf("%v: there are %s tables", err, tables)
		}
	})
	for _, args := range [][]string{{"config"}, {"healthcheck"}} {
		folder := t.TempDir()
		command(t, "", environment{"SESAME_DATABASE_URL": "sqlite:" + folder + "/sesame.db", "SESAME_LISTEN": "127.0.0.1:1"}, args...)
		if left := files(t, folder); len(left) > 0 {
			t.Errorf("%v leaves %v", args, left)
		}
	}
}

// N13: where the schema is older, or has lost its key, a command says so and changes nothing.
func TestCommandsDoNotMigrate(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.stop()
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		const count = `SELECT CAST(COUNT(*) AS TEXT) || ' ' || CAST((SELECT COUNT(*) FROM signing_keys) AS TEXT) FROM goose_db_version`
		s.sql(t, `DELETE FROM signing_keys`)
		before := s.value(t, count)
		fails(t, "", e, "no signing key", "keys", "list")
		s.sql(t, `DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`)
		older := s.value(t, count)
		for _, args := range [][]string{{"user", "list"}, {"client", "create", "billing"}, {"keys", "rotate"}} {
			fails(t, "", e, "older than this version", args...)
		}
		if now := s.value(t, count); now != older || older == before {
			t.Errorf("there were %s migrations and keys, then %s, now %s", before, older, now)
		}
	})
}

// N13, L8: the account of --demo cannot be used when the server is started without --demo, as long as it has the
// known password; and it can be used again with it.
func TestTheDemoAccountEndsWithDemo(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.stop()
		const place = "SESAME_PUBLIC_URL=http://localhost:8080"
		demo := func() *server { return launch(t, s.dbURL, []string{"serve", "--demo"}, place) }
		disabled := func(s *server) bool { // once it has stopped, because the log is buffered
			return slices.ContainsFunc(strings.Split(s.log.String(), "\n"), func(line string) bool {
				return strings.Contains(line, "the demo account is disabled") && strings.Contains(line, demoUsername)
			})
		}
		login := passwordGrant(demoUsername, demoPassword)

		s = demo()
		tokens := decode[api.Token](s.do(t, login).want(200))
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
		for host, status := range map[string]int{ // a tunnel, or a page whose name resolves to this machine
			"localhost:" + port: 200, "LOCALHOST": 200, "127.0.0.1": 200, "127.9.9.9:80": 200, "[::1]:" + port: 200, "app.localhost": 200,
			"example.com:" + port: 400, "localhost.example.com": 400, "127.0.0.1.example.com": 400, "10.0.2.2": 200, "localhost.": 400, "notlocalhost": 400,
		} {
			for _, path := range []string{"/healthz", "/docs/"} {
				if got := s.statusAt(t, host, path); got != status {
					t.Errorf("%s at %s: %d, want %d", path, host, got, status)
				}
			}
		}
		s.stop()
		s = start(t, s.dbURL, place)
		s.do(t, login).want(400, "invalid_grant")
		s.do(t, me(tokens.AccessToken)).want(401, "invalid_token")
		s.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
		if s.stop(); !disabled(s) {
			t.Errorf("the log does not say it:\n%s", s.log)
		}
		if s = start(t, s.dbURL, place); s.stop() != 0 || disabled(s) {
			t.Error("it is said of an account that was disabled before")
		}

		s = demo()
		tokens = decode[api.Token](s.do(t, login).want(200))
		s.do(t, changePassword(tokens.AccessToken, demoPassword, horse)).want(204)
		s.stop()
		s = start(t, s.dbURL, place)
		s.do(t, passwordGrant(demoUsername, horse)).want(200)
		if s.stop(); disabled(s) {
			t.Error("an account with a password of its own is disabled")
		}
		s = demo()
		s.do(t, passwordGrant(demoUsername, horse)).want(200)
		s.do(t, login).want(400, "invalid_grant")
		if s.stop(); !strings.Contains(s.log.String(), "leaves this account as it is") {
			t.Errorf("the log does not say that the password of --demo does not work:\n%s", s.log)
		}
		s = start(t, s.dbURL, place)

		// The demo administrator ends with --demo even where there is no other, and has every scope with it.
		s.sql(t, `DELETE FROM users`)
		s.stop()
		admin := withScope(passwordGrant("admin", demoPassword), strings.Join(rules.Scopes().Declared, " "))
		s = demo()
		if scope := decode[api.Token](s.do(t, admin).want(200)).Scope; len(strings.Fields(scope)) != len(rules.Scopes().Declared) {
			t.Errorf("the demo administrator has %s", scope)
		}
		s.sql(t, `UPDATE users SET scopes = 'users:write' WHERE username = 'admin'`) // as if the contract had declared no others then
		s.stop()
		s = demo()
		if scope := decode[api.Token](s.do(t, admin).want(200)).Scope; len(strings.Fields(scope)) != len(rules.Scopes().Declared) {
			t.Errorf("of a contract with more scopes the demo administrator has %s", scope)
		}
		s.stop()
		s = start(t, s.dbURL, place)
		s.do(t, admin).want(400, "invalid_grant")
		if s.stop(); !disabled(s) {
			t.Errorf("the log does not say it:\n%s", s.log)
		}
	})
}

// N17: mails, and so links that reset passwords, are logged only where no other machine can reach the server, or
// where the operator says log:.
func TestResetLinksReachALogOnlyByChoice(t *testing.T) {
	t.Parallel()
	for _, reach := range []environment{
		{"SESAME_LISTEN": "0.0.0.0:0"},
		{"SESAME_LISTEN": ":0"},
		{"SESAME_LISTEN": "[::]:0"},
		{"SESAME_LISTEN": "192.0.2.1:0"},
		{"SESAME_LISTEN": "0.0.0.0:0", "SESAME_PUBLIC_URL": "http://localhost:8080"},
		{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_PUBLIC_URL": "https://login.example"},
		{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_PUBLIC_URL": "https://localhost.example"},
	} {
		folder := t.TempDir()
		reach["SESAME_DATABASE_URL"] = "sqlite:" + folder + "/sesame.db"
		fails(t, "", reach, "SESAME_SMTP_URL is not set", "serve")
		fails(t, "", reach, "log:", "serve")
		if left := files(t, folder); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	}
	for _, settings := range [][]string{
		{"SESAME_SMTP_URL="},
		{"SESAME_SMTP_URL=", "SESAME_PUBLIC_URL=http://LOCALHOST:8080"},
		{"SESAME_SMTP_URL=", "SESAME_PUBLIC_URL=http://[::1]:8080"},
		{"SESAME_SMTP_URL=log:", "SESAME_PUBLIC_URL=https://login.example"},
	} {
		s := start(t, sqliteURL(t), settings...)
		s.mustEnqueue(t, s.resetMail("ann@example.com"))
		s.untilNoneWaits(t)
		if log := s.wholeLog(); !strings.Contains(log, code) {
			t.Errorf("%v: the log does not have the mail:\n%s", settings, log)
		}
	}
	fails(t, "", environment{"SESAME_SMTP_URL": "log:x", "SESAME_DATABASE_URL": emptySQLiteURL(t)}, "SESAME_SMTP_URL must be", "serve")
}

// N17: a public URL without TLS that others can reach is warned of, once.
func TestAPublicURLWithoutTLSIsWarnedOf(t *testing.T) {
	t.Parallel()
	for url, times := range map[string]int{
		"http://login.example": 1, "http://192.0.2.1:8080": 1, "https://login.example": 0, "http://localhost:8080": 0, "http://127.1.2.3": 0, "": 0,
	} {
		s := start(t, sqliteURL(t), "SESAME_PUBLIC_URL="+url)
		s.do(t, get("/healthz")).want(200)
		s.do(t, get("/healthz")).want(200)
		if n := strings.Count(s.wholeLog(), "unencrypted"); n != times {
			t.Errorf("%q: warned %d times\n%s", url, n, s.log)
		}
	}
}

// statusAt requests a path with a Host of its own.
func (s *server) statusAt(t *testing.T, host, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
