package postgrestest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// start starts a private server, or skips the test where there is none to start.
func start(t *testing.T, options ...Option) *Server {
	t.Helper()
	Require(t)
	server, err := Start(t.Context(), options...)
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
func query[T any](ctx context.Context, url, statement string) (value T, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return value, err
	}
	defer conn.Close(context.Background())
	return value, conn.QueryRow(ctx, statement).Scan(&value)
}

func mustQuery[T any](t *testing.T, url, statement string) T {
	t.Helper()
	value, err := query[T](t.Context(), url, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

const countObjects = "SELECT count(*) FROM pg_largeobject_metadata"

func TestDatabasesAreSeparateAndEmpty(t *testing.T) {
	server := Require(t)
	one, two := createDatabase(t, server), createDatabase(t, server)
	mustQuery[int](t, one, "SELECT lo_create(4711)::int")
	if n := mustQuery[int](t, one, countObjects); n != 1 {
		t.Errorf("the first database holds %d objects, want the 1 that was made there", n)
	}
	if n := mustQuery[int](t, two, countObjects); n != 0 {
		t.Errorf("the second database holds %d objects, want 0", n)
	}
	for _, url := range []string{one, two} {
		if err := server.DropDatabase(t.Context(), url); err != nil {
			t.Error(err)
		}
	}
	if _, err := query[int](t.Context(), one, "SELECT 1"); err == nil {
		t.Error("the first database still answers after DropDatabase")
	}
}

func TestAClonedDatabaseIsDropped(t *testing.T) {
	prepared := 0
	template := Template{Prepare: func(ctx context.Context, url string) error {
		prepared++
		_, err := query[int](ctx, url, "SELECT lo_create(4711)::int")
		return err
	}}
	var clones []string
	for range 2 {
		t.Run("a test", func(t *testing.T) {
			clone := template.Clone(t)
			clones = append(clones, clone)
			mustQuery[int](t, clone, "SELECT lo_create(4712)::int")
			if n := mustQuery[int](t, clone, countObjects); n != 2 {
				t.Errorf("the clone holds %d objects, want 2", n)
			}
		})
	}
	for _, clone := range clones {
		if _, err := query[int](t.Context(), clone, "SELECT 1"); err == nil {
			t.Error("a clone still answers after its test")
		}
	}
	if prepared > 1 {
		t.Errorf("the template was prepared %d times", prepared)
	}
}

func TestOptionsReachTheServerAndStopLeavesNothing(t *testing.T) {
	if os.Getenv(EnvURL) != "" {
		t.Skip("options have no effect on the server that " + EnvURL + " names")
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
			server := start(t, test.options...)
			url := createDatabase(t, server)
			if fsync := mustQuery[string](t, url, "SHOW fsync"); fsync != test.fsync {
				t.Errorf("fsync is %s, want %s", fsync, test.fsync)
			}
			if tcp := mustQuery[bool](t, url, "SELECT inet_server_addr() IS NOT NULL"); tcp != test.tcp {
				t.Errorf("connected over TCP: %v, want %v", tcp, test.tcp)
			}
			dir := filepath.Dir(mustQuery[string](t, url, "SHOW data_directory"))
			for range 2 { // which is harmless
				if err := server.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Stop has left the data: %v", err)
			}
		})
	}
}

func TestANamedServerIsUsedAndLeftClean(t *testing.T) {
	host := Require(t)
	t.Setenv(EnvURL, host.admin.String())
	server := start(t)
	url := createDatabase(t, server)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := query[int](t.Context(), url, "SELECT 1"); err == nil {
		t.Error("the database still answers after Stop")
	}
	if _, err := query[int](t.Context(), host.admin.String(), "SELECT 1"); err != nil {
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
	if err := Require(t).DropDatabase(t.Context(), "postgres://127.0.0.1/template1"); err == nil {
		t.Error("DropDatabase took a database that CreateDatabase did not make")
	}
}

// asKilled makes the test binary start a server, print its directory and wait to be killed.
const asKilled = "SESAME_TEST_AS_KILLED"

func TestMain(m *testing.M) {
	if os.Getenv(asKilled) != "" {
		server, err := Start(context.Background(), Fast)
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(server.admin.Query().Get("host") + "\n")
		select {}
	}
	m.Run()
	if err := StopShared(); err != nil {
		panic(err)
	}
}

func TestAKilledTestLeavesNothing(t *testing.T) {
	Require(t)
	killed := exec.Command(os.Args[0])
	killed.Env = append(os.Environ(), asKilled+"=1", EnvURL+"=")
	stdout, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = killed.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(line[:n]))
	if _, err = os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	killed.Process.Kill()
	killed.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err = os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the data of a process that was killed is still there: %v", err)
		}
	}
}
