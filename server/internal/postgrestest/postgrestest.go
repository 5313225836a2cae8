// Package postgrestest gives tests and benchmarks databases on a PostgreSQL server of their own.
//
// A test asks for a database, which is dropped when the test ends:
//
//	url := postgrestest.Empty(t)
//
//	var migrated = postgrestest.Template{Prepare: func(ctx context.Context, url string) error { … }}
//	url := migrated.Clone(t)
//
// The first one starts a server in a temporary directory (private.go), which all tests of the process share and which
// ends with the process. If the environment variable SESAME_TEST_POSTGRES names a server, that one is used instead.
// Where PostgreSQL is not installed, the test is skipped.
package postgrestest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const (
	// EnvURL is the environment variable that holds the postgres:// URL of a server to use in place of a private
	// one. Its role must be allowed to create databases.
	EnvURL = "SESAME_TEST_POSTGRES"
	// EnvEngine is the environment variable that limits tests to one engine, sqlite or postgres.
	EnvEngine = "SESAME_TEST_ENGINE"
	// EnvArguments is the environment variable with more arguments for postgres, such as
	// -c default_transaction_isolation=serializable.
	EnvArguments = "SESAME_TEST_POSTGRES_ARGUMENTS"
	// EnvRequireAll is the environment variable that, with the value 1, makes tests fail that would be skipped since
	// PostgreSQL is not installed.
	EnvRequireAll = "SESAME_TEST_REQUIRE_ALL"
)

// ErrNotInstalled is returned by Start when there is neither EnvURL nor a PostgreSQL to run.
var ErrNotInstalled = errors.New("PostgreSQL is not installed and " + EnvURL + " is not set")

// prefix begins the name of every database that this package creates. It drops no other, so that a wrong URL in EnvURL
// costs nobody their data.
const prefix = "sesame_test_"

// Server is a PostgreSQL server on which databases are created. It is safe for concurrent use.
type Server struct {
	admin    *url.URL
	db       *sql.DB      // of the administrator
	stop     func() error // ends a private server
	strategy string       // by which a private server copies a template

	mu      sync.Mutex
	created map[string]bool // the databases that Stop has to drop from a server that goes on running
}

// Start starts a private server, or connects to the one that EnvURL names. A private server ends with Stop, or with
// the process.
func Start(ctx context.Context, options ...Option) (*Server, error) {
	s := &Server{created: map[string]bool{}}
	var err error
	if raw := os.Getenv(EnvURL); raw != "" {
		// The error of url.Parse would repeat the URL, and the password in it.
		if s.admin, err = url.Parse(raw); err != nil || s.admin.Scheme != "postgres" && s.admin.Scheme != "postgresql" {
			return nil, fmt.Errorf("%s is not a postgres:// URL", EnvURL)
		}
	} else if s.admin, s.stop, err = startPrivate(ctx, options); err != nil {
		return nil, err
	}
	if s.db, err = sql.Open("pgx", s.admin.String()); err != nil {
		return nil, errors.Join(fmt.Errorf("%s cannot be used as the URL of a PostgreSQL server", EnvURL), s.Stop())
	}
	version := 0
	if err = s.db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the PostgreSQL server for tests: %w", err), s.Stop())
	}
	if s.stop != nil && version >= 150000 {
		s.strategy = " STRATEGY file_copy" // half the work, where no disk has to be waited for
	}
	return s, nil
}

// CreateDatabase creates an empty database and returns its URL.
func (s *Server) CreateDatabase(ctx context.Context) (databaseURL string, err error) {
	return s.create(ctx, "template0") // and not template1, to which its owner may have added anything
}

func (s *Server) create(ctx context.Context, template string) (databaseURL string, err error) {
	name := prefix + strings.ToLower(rand.Text())
	if err = s.execute(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+s.strategy); err != nil {
		return "", fmt.Errorf("create a test database: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created[name] = true
	database := *s.admin
	database.Path = "/" + name
	return database.String(), nil
}

// DropDatabase drops a database that CreateDatabase created, even while it has connections.
func (s *Server) DropDatabase(ctx context.Context, databaseURL string) error {
	name := nameOf(databaseURL)
	if !strings.HasPrefix(name, prefix) {
		return fmt.Errorf("drop database %q: it is not a test database", name)
	}
	if err := s.execute(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop a test database: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.created, name)
	return nil
}

func nameOf(databaseURL string) string {
	database, err := url.Parse(databaseURL)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(database.Path, "/")
}

// Stop ends a private server and deletes its data. On a server that EnvURL names it drops the databases that are left.
func (s *Server) Stop() (err error) {
	defer s.closePool()
	if s.stop != nil {
		return s.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s.mu.Lock()
	left := s.created
	s.created = map[string]bool{}
	s.mu.Unlock()
	for name := range left {
		err = errors.Join(err, s.DropDatabase(ctx, "postgres:///"+name))
	}
	return err
}

func (s *Server) closePool() {
	if s.db != nil {
		s.db.Close()
	}
}

// execute runs one statement as the administrator.
func (s *Server) execute(ctx context.Context, statement string) error {
	_, err := s.db.ExecContext(ctx, statement)
	return err
}

// shared is the server of all tests of the process, once one of them needs it.
var shared = sync.OnceValues(func() (*Server, error) { return Start(context.Background(), Fast) })

// StopShared ends the server that the tests of the process share, if one of them has started it. Only a server that
// EnvURL names needs it: it would keep the templates.
func StopShared() error {
	if os.Getenv(EnvURL) == "" {
		return nil
	}
	s, err := shared()
	if err != nil {
		return nil //nolint:nilerr // the tests have reported it
	}
	return s.Stop()
}

// Require skips the test unless it can use PostgreSQL, and returns the server that all tests of the process share.
func Require(t testing.TB) *Server {
	t.Helper()
	if os.Getenv(EnvEngine) == "sqlite" {
		t.Skip(EnvEngine + " is sqlite")
	}
	s, err := shared()
	if errors.Is(err, ErrNotInstalled) && os.Getenv(EnvRequireAll) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Empty returns the URL of an empty database, which is dropped when the test ends.
func Empty(t testing.TB) (databaseURL string) {
	t.Helper()
	return Require(t).forTest(t, "template0")
}

// Template is a database that is prepared once, and cloned for each test that needs one like it: a clone takes 50 ms,
// migrations take several times as long.
type Template struct {
	// Prepare fills the empty database of a URL, and closes its connections.
	Prepare func(ctx context.Context, databaseURL string) error

	once sync.Once
	name string
	err  error
}

// Clone returns the URL of a copy of the template, which is dropped when the test ends.
func (p *Template) Clone(t testing.TB) (databaseURL string) {
	t.Helper()
	s := Require(t)
	p.once.Do(func() {
		ctx := context.Background()
		var template string
		if template, p.err = s.CreateDatabase(ctx); p.err == nil {
			p.name, p.err = nameOf(template), p.Prepare(ctx, template)
		}
	})
	if p.err != nil {
		t.Fatal("prepare the template database: ", p.err)
	}
	return s.forTest(t, p.name)
}

func (s *Server) forTest(t testing.TB, template string) string {
	t.Helper()
	databaseURL, err := s.create(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.DropDatabase(context.Background(), databaseURL); err != nil {
			t.Error(err)
		}
	})
	return databaseURL
}
