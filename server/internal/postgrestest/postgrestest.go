// Package postgrestest gives tests and benchmarks a PostgreSQL of their own.
//
// [Start] runs a private server in a temporary directory, unless the environment variable
// SESAME_TEST_POSTGRES names one to use instead. Every test then takes an empty database:
//
//	func TestMain(m *testing.M) {
//		server, err := postgrestest.Start(ctx, postgrestest.Fast)
//		if errors.Is(err, postgrestest.ErrNotInstalled) { … say that PostgreSQL is skipped … }
//		code := m.Run()
//		server.Stop()
//		os.Exit(code)
//	}
//
//	url, err := server.CreateDatabase(ctx)
package postgrestest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvURL is the environment variable that holds the postgres:// URL of a server to use in place of a
// private one. Its role must be allowed to create databases.
const EnvURL = "SESAME_TEST_POSTGRES"

// ErrNotInstalled is returned by Start when there is neither EnvURL nor a PostgreSQL to run.
var ErrNotInstalled = errors.New("PostgreSQL is not installed and " + EnvURL + " is not set")

// prefix begins the name of every database that this package makes. DropDatabase touches no other,
// so a wrong URL never costs anybody their data.
const prefix = "sesame_test_"

// Option changes how a private server runs. It means nothing to one that EnvURL names.
type Option func(*settings)

type settings struct {
	fast bool
	tcp  bool
}

// Fast gives up all safety against power cuts, for tests. Benchmarks keep PostgreSQL's defaults.
func Fast(s *settings) { s.fast = true }

// OverTCP puts 127.0.0.1 into the URLs in place of a unix socket, as most deployments connect.
func OverTCP(s *settings) { s.tcp = true }

// Server is a PostgreSQL server that databases can be taken from. It is safe for concurrent use.
type Server struct {
	admin   *url.URL
	private *process // nil when EnvURL names the server

	mu      sync.Mutex
	created map[string]bool // the databases that Stop has to remove from a server that lives on
}

// Start starts a private server, or reaches the one that EnvURL names. It waits until the server
// answers. The caller must call Stop.
func Start(ctx context.Context, options ...Option) (*Server, error) {
	if raw := os.Getenv(EnvURL); raw != "" {
		return reach(ctx, raw)
	}
	var set settings
	for _, option := range options {
		option(&set)
	}
	private, admin, err := startPrivate(ctx, set)
	if err != nil {
		return nil, err
	}
	return &Server{admin: admin, private: private, created: map[string]bool{}}, nil
}

func reach(ctx context.Context, raw string) (*Server, error) {
	// The parse error would repeat the URL, and the password that is in it.
	admin, err := url.Parse(raw)
	if err != nil || (admin.Scheme != "postgres" && admin.Scheme != "postgresql") {
		return nil, fmt.Errorf("%s is not a postgres:// URL", EnvURL)
	}
	s := &Server{admin: admin, created: map[string]bool{}}
	if err := run(ctx, s.admin, "SELECT 1"); err != nil {
		return nil, fmt.Errorf("cannot use the server that %s names: %w", EnvURL, err)
	}
	return s, nil
}

// CreateDatabase makes an empty database that nobody else uses, and returns its postgres:// URL.
func (s *Server) CreateDatabase(ctx context.Context) (string, error) {
	random := make([]byte, 8)
	rand.Read(random) // never fails, by its documentation
	name := prefix + hex.EncodeToString(random)
	// template0, because template1 may hold whatever its owner put there.
	if err := run(ctx, s.admin, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0"); err != nil {
		return "", fmt.Errorf("create a test database: %w", err)
	}
	s.mu.Lock()
	s.created[name] = true
	s.mu.Unlock()
	database := *s.admin
	database.Path = "/" + name
	return database.String(), nil
}

// DropDatabase removes a database that CreateDatabase made, open connections or not.
func (s *Server) DropDatabase(ctx context.Context, databaseURL string) error {
	database, err := url.Parse(databaseURL)
	if err != nil {
		return errors.New("drop a test database: the URL cannot be read")
	}
	return s.drop(ctx, strings.TrimPrefix(database.Path, "/"))
}

func (s *Server) drop(ctx context.Context, name string) error {
	if !strings.HasPrefix(name, prefix) {
		return fmt.Errorf("drop database %q: it is not a test database", name)
	}
	if err := run(ctx, s.admin, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop a test database: %w", err)
	}
	s.mu.Lock()
	delete(s.created, name)
	s.mu.Unlock()
	return nil
}

// Stop ends a private server and removes its data. On a server that EnvURL names it drops the
// databases that are left. It may be called twice.
func (s *Server) Stop() error {
	if s.private != nil {
		return s.private.stop()
	}
	s.mu.Lock()
	names := make([]string, 0, len(s.created))
	for name := range s.created {
		names = append(names, name)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for _, name := range names {
		errs = append(errs, s.drop(ctx, name))
	}
	return errors.Join(errs...)
}

// run executes one statement as the administrator, on a connection of its own: these are rare, and
// a pool would have to be closed.
func run(ctx context.Context, server *url.URL, statement string) error {
	conn, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement)
	return err
}
