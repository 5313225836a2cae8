package apitest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"sesame/server/internal/postgrestest"
	"sesame/server/internal/store"
)

// onEachEngine runs a test against a new server on each database engine.
func onEachEngine(t *testing.T, test func(t *testing.T, s *server), settings ...string) {
	t.Helper()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, databaseURL(t), settings...))
		})
	}
}

// engines give the URL of a database that has the schema and no rows; emptyEngines one that has no schema either.
var (
	engines      = map[string]func(*testing.T) string{"sqlite": sqliteURL, "postgres": postgresURL}
	emptyEngines = map[string]func(*testing.T) string{"sqlite": emptySQLiteURL, "postgres": emptyPostgresURL}
)

// sqliteURL names a copy of a database that has been migrated once.
func sqliteURL(t *testing.T) string {
	t.Helper()
	template, err := migratedSQLite()
	if err != nil {
		t.Fatal(err)
	}
	databaseURL := emptySQLiteURL(t)
	file, _ := store.SQLitePath(databaseURL)
	if err = os.WriteFile(file, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return databaseURL
}

// migratedSQLite is the content of the file.
var migratedSQLite = sync.OnceValues(func() (content []byte, err error) {
	folder, err := os.MkdirTemp("", "sesame-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "sesame.db")
	if err = migrate(context.Background(), "sqlite:"+file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// emptySQLiteURL names a file that does not exist.
func emptySQLiteURL(t *testing.T) string {
	t.Helper()
	if os.Getenv(postgrestest.EnvEngine) == "postgres" {
		t.Skip(postgrestest.EnvEngine + " is postgres")
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "sesame.db")
}

var migratedPostgres = postgrestest.Template{Prepare: migrate}

func postgresURL(t *testing.T) string      { t.Helper(); return migratedPostgres.Clone(t) }
func emptyPostgresURL(t *testing.T) string { t.Helper(); return postgrestest.Empty(t) }

func migrate(ctx context.Context, databaseURL string) error {
	db, err := store.Create(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Migrate(ctx, func(string) {})
	return err
}

// testKey is the master key of all servers of a test run.
var testKey = sync.OnceValue(func() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
})

// sql changes the server's database directly, as an administrator or an accident would.
func (s *server) sql(t *testing.T, statement string) {
	t.Helper()
	if err := s.rawSQL(t, statement, nil); err != nil {
		t.Fatal(err)
	}
}

// value reads one text from the server's database.
func (s *server) value(t *testing.T, query string) (text string) {
	t.Helper()
	if err := s.rawSQL(t, query, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// rawSQL keeps its connection to PostgreSQL, which takes 10 ms to make. SQLite deletes its write-ahead log when the
// last connection ends, so that none is kept.
func (s *server) rawSQL(t *testing.T, statement string, into any) error {
	if _, ok := store.SQLitePath(s.dbURL); ok {
		return rawSQL(t.Context(), s.dbURL, statement, into)
	}
	s.connect.Do(func() {
		s.db, s.dbErr = sql.Open("pgx", s.dbURL)
		s.t.Cleanup(func() { s.db.Close() })
	})
	if s.dbErr != nil {
		return s.dbErr
	}
	return execute(t.Context(), s.db, statement, into)
}

// rawSQL runs one statement on any database, and scans its one value if into is given.
func rawSQL(ctx context.Context, databaseURL, statement string, into any) error {
	driver, source := "pgx", databaseURL
	if file, ok := store.SQLitePath(databaseURL); ok {
		driver, source = "sqlite", "file:"+file+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return err
	}
	defer db.Close()
	return execute(ctx, db, statement, into)
}

// execute runs a statement, again while the server under test writes what it reads: at the isolation level serializable, any number
// of times.
func execute(ctx context.Context, db *sql.DB, statement string, into any) (err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if into != nil {
			err = db.QueryRowContext(ctx, statement).Scan(into)
		} else {
			_, err = db.ExecContext(ctx, statement)
		}
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "40001" {
			break
		}
	}
	return err
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
