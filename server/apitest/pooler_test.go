package apitest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/postgrestest"
)

// pooled puts PgBouncer, with settings such as its mode and with two connections, in front of a PostgreSQL.
func pooled(t *testing.T, databaseURL, setting string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err = os.Stat(program); err != nil {
		if os.Getenv(postgrestest.EnvRequireAll) == "1" {
			t.Fatal("PgBouncer is not installed")
		}
		t.Skip("PgBouncer is not installed")
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	host, port := u.Query().Get("host"), u.Query().Get("port")
	if host == "" {
		host, port = u.Hostname(), u.Port()
	}
	password, _ := u.User.Password()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := listener.Addr().(*net.TCPAddr).Port
	if err = listener.Close(); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "sesame-pgbouncer-") //nolint:usetesting // another user reads it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err = os.Chmod(folder, 0o755); err != nil { // which another user must enter
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s user=%s password=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"unix_socket_dir =\nauth_type = any\ndefault_pool_size = 2\n%s\n", host, port, u.User.Username(), password, own, setting)
	if err = os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-q", file)
	if os.Geteuid() == 0 { // it refuses to run as root
		command = exec.Command("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", program, "-q", file)
	}
	if err = command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(own))
	until(t, "PgBouncer listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	u.Host, u.RawQuery = address, "sslmode=disable"
	return u.String()
}

// Behind PgBouncer in transaction mode everything works unconfigured: migrations, and requests side by side that share two
// connections to PostgreSQL.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{
		"as it comes": "pool_mode = transaction", "settings ignored": "pool_mode = transaction\nignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, pooled(t, emptyPostgresURL(t), setting))
			var wait sync.WaitGroup
			for i := range 8 {
				wait.Go(func() {
					user := fmt.Sprint("ann", i)
					for _, r := range []request{
						{method: "POST", path: "/users", json: map[string]any{"username": user, "password": horse, "email": user + "@example.com"}},
						passwordGrant(user, wrong),
						passwordGrant(user, horse),
					} {
						if a, err := s.try(r); err != nil || a.status/100 == 5 {
							t.Errorf("%s: %+v %v", r.path, a, err)
						}
					}
					a, err := s.try(passwordGrant(user, horse))
					if err != nil || a.status != 200 {
						t.Errorf("log in: %+v %v", a, err)
						return
					}
					a.t = t
					tokens := decode[api.Token](a)
					for range 5 {
						for _, r := range []request{
							me(tokens.AccessToken), patch(tokens.AccessToken, `{"full_name":"Ann"}`), get("/readyz"),
							{method: "GET", path: "/users/me/events", token: tokens.AccessToken},
							{method: "GET", path: "/users/me/sessions", token: tokens.AccessToken},
							{method: "POST", path: "/password-resets", json: map[string]string{"email": user + "@example.com"}},
							changePassword(tokens.AccessToken, horse, horse+"!"), changePassword(tokens.AccessToken, horse+"!", horse),
						} {
							if a, err := s.try(r); err != nil || a.status/100 != 2 {
								t.Errorf("%s %s: %+v %v", r.method, r.path, a, err)
							}
						}
					}
				})
			}
			wait.Wait()
			if stdout, stderr, code := s.sesame(t, "", "user", "list"); code != 0 || strings.Count(stdout, "@example.com") != 8 {
				t.Errorf("%d %s%s", code, stdout, stderr)
			}
		})
	}
}

// Behind a pooler that keeps sessions, or knows prepared statements, the URL can ask for prepared statements. (A trigger counts
// those of the connection that serves a request.)
func TestPreparedStatementsBehindAPooler(t *testing.T) {
	t.Parallel()
	for parameter, want := range map[string]string{"": "false", "&default_query_exec_mode=cache_statement": "true"} {
		s := start(t, pooled(t, emptyPostgresURL(t), "pool_mode = session\ndefault_pool_size = 20")+parameter)
		s.sql(t, `CREATE TABLE counted (prepared BOOLEAN)`)
		s.sql(t, `CREATE FUNCTION count_prepared() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO counted SELECT COUNT(*) > 0 FROM pg_prepared_statements;
			RETURN NEW; END $$`)
		s.sql(t, `CREATE TRIGGER counted AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION count_prepared()`)
		s.register(t, "ann")
		if got := s.value(t, `SELECT prepared::text FROM counted`); got != want {
			t.Errorf("%q: prepared is %s, want %s", parameter, got, want)
		}
	}
}

// A pooler that cannot work is named at the start, with what to change.
func TestAPoolerThatCannotWork(t *testing.T) {
	t.Parallel()
	for parameter, setting := range map[string]string{"": "pool_mode = statement", "&statement_timeout=5s": "pool_mode = transaction"} {
		e := environment{"SESAME_DATABASE_URL": pooled(t, emptyPostgresURL(t), setting) + parameter, "SESAME_MASTER_KEY": testKey()}
		fails(t, "", e, "must have the pool mode transaction or session", "migrate")
	}
}
