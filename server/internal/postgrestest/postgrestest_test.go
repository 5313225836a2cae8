package postgrestest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// start starts a private server, or skips the test where there is none to start.
func start(t *testing.T, options ...Option) *Server {
	t.Helper()
	server, err := Start(t.Context(), options...)
	if errors.Is(err, ErrNotInstalled) && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func createDatabase(t *testing.T, server *Server) string {
	t.Helper()
	url, err := server.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// query runs one statement that answers one value.
func query[T any](t *testing.T, url, statement string) (value T, err error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return value, err
	}
	defer conn.Close(context.Background())
	return value, conn.QueryRow(t.Context(), statement).Scan(&value)
}

func mustQuery[T any](t *testing.T, url, statement string) T {
	t.Helper()
	value, err := query[T](t, url, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

func TestDatabasesAreSeparateAndEmpty(t *testing.T) {
	server := start(t, Fast)
	one, two := createDatabase(t, server), createDatabase(t, server)
	if name := mustQuery[string](t, one, "SELECT current_database()"); name == mustQuery[string](t, two, "SELECT current_database()") {
		t.Errorf("both databases are %s", name)
	}
	mustQuery[int](t, one, "SELECT lo_create(4711)::int")
	const count = "SELECT count(*) FROM pg_largeobject_metadata"
	if n := mustQuery[int](t, one, count); n != 1 {
		t.Errorf("the first database holds %d objects, want the 1 that was made there", n)
	}
	if n := mustQuery[int](t, two, count); n != 0 {
		t.Errorf("the second database holds %d objects, want 0", n)
	}
	if err := server.DropDatabase(t.Context(), one); err != nil {
		t.Error(err)
	}
	if _, err := query[int](t, one, "SELECT 1"); err == nil {
		t.Error("the first database still answers after DropDatabase")
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	if os.Getenv(EnvURL) != "" {
		t.Skip("options mean nothing to the server that " + EnvURL + " names")
	}
	for name, test := range map[string]struct {
		options []Option
		fsync   string
		tcp     bool
	}{
		"safe on a socket": {nil, "on", false},
		"fast over TCP":    {[]Option{Fast, OverTCP}, "off", true},
	} {
		t.Run(name, func(t *testing.T) {
			url := createDatabase(t, start(t, test.options...))
			if fsync := mustQuery[string](t, url, "SHOW fsync"); fsync != test.fsync {
				t.Errorf("fsync is %s, want %s", fsync, test.fsync)
			}
			if tcp := mustQuery[bool](t, url, "SELECT inet_server_addr() IS NOT NULL"); tcp != test.tcp {
				t.Errorf("connected over TCP: %v, want %v", tcp, test.tcp)
			}
		})
	}
}

func TestANamedServerIsUsedAndLeftClean(t *testing.T) {
	host := start(t, Fast)
	t.Setenv(EnvURL, host.admin.String())
	server := start(t)
	url := createDatabase(t, server)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := query[int](t, url, "SELECT 1"); err == nil {
		t.Error("the database still answers after Stop")
	}
	if _, err := query[int](t, host.admin.String(), "SELECT 1"); err != nil {
		t.Errorf("the named server was stopped too: %v", err)
	}
}

func TestABadURLIsNotRepeated(t *testing.T) {
	t.Setenv(EnvURL, "mysql://root:secret@127.0.0.1/x")
	_, err := Start(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Start: %v, want an error that does not repeat the URL", err)
	}
}

func TestOnlyTestDatabasesAreDropped(t *testing.T) {
	server := start(t, Fast)
	if err := server.DropDatabase(t.Context(), "postgres://127.0.0.1/template1"); err == nil {
		t.Error("DropDatabase took a database that CreateDatabase did not make")
	}
}

func TestStopTwiceLeavesNothing(t *testing.T) {
	server := start(t, Fast)
	if server.private == nil {
		t.Skip("there is no private server: " + EnvURL + " is set")
	}
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(server.private.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
}

func TestWhatAKilledTestLeftIsRemoved(t *testing.T) {
	server := start(t, Fast)
	if server.private == nil {
		t.Skip("there is no private server: " + EnvURL + " is set")
	}
	parent := filepath.Dir(server.private.dir)
	leave := func(name string, age time.Duration) string {
		dir := filepath.Join(parent, dirPrefix+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.WriteFile(logFile(dir), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(logFile(dir), then, then); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	abandoned, young := leave("test-abandoned", time.Hour), leave("test-young", 0)
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(logFile(server.private.dir), long, long); err != nil {
		t.Fatal(err)
	}
	removeAbandoned(parent)
	if _, err := os.Stat(abandoned); runtime.GOOS == "linux" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the abandoned directory is still there: %v", err)
	}
	for _, dir := range []string{young, server.private.dir} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("a directory in use is gone: %v", err)
		}
	}
	createDatabase(t, server)
}
