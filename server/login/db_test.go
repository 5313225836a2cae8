package login_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"sesame/server/login/logintest"
)

func migration(statements string) fstest.MapFS {
	return fstest.MapFS{"00001_own.sql": {Data: []byte("-- +goose Up\n" + statements + "\n")}}
}

const entries = `CREATE TABLE entries (id TEXT PRIMARY KEY);`

// soon is a context for what must not take long: on SQLite, what waits for itself ends with it.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// Reading goes on beside a transaction that writes, however the statement begins.
func TestReadingBesideAWriter(t *testing.T) {
	logintest.OnEachEngine(t, mounted(nothing, nil), func(t *testing.T, s *logintest.Server) {
		db := s.App.DB()
		if err := db.Tx(t.Context(), func(*sql.Tx) error {
			for _, query := range []string{"SELECT 1", "select\n1", "\n\tSELECT\t1", "SELECT(1)", "-- a comment\n SELECT 1", "/* one\n */ /**/ select 1", "SELECT'1'"} {
				var n int
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if err := db.QueryRowContext(ctx, query).Scan(&n); err != nil || n != 1 {
					t.Errorf("%q: %v", query, err)
				}
				cancel()
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := db.Migrate(t.Context(), migration(entries)); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{"SELECT 1; DELETE FROM entries", "/* SELECT */ DELETE FROM entries", "-- SELECT\nDELETE FROM entries", "WITH x AS (SELECT 1) DELETE FROM entries", "/*", "--", ""} {
			_, _ = db.ExecContext(t.Context(), query) // which may fail, but must leave the database usable
			if _, err := db.ExecContext(t.Context(), `INSERT INTO entries (id) VALUES ($1)`, query); err != nil {
				t.Errorf("after %q: %v", query, err)
			}
		}
	})
}

// A transaction that waits for itself on SQLite ends with its context, says why, and leaves the database usable.
func TestATransactionThatWaitsForItself(t *testing.T) {
	s := logintest.Start(t, mounted(nothing, nil), sqlite(t))
	db := s.App.DB()
	if err := db.Migrate(t.Context(), migration(entries)); err != nil {
		t.Fatal(err)
	}
	for name, inner := range map[string]func(ctx context.Context) error{
		"a transaction": func(ctx context.Context) error { return db.Tx(ctx, func(*sql.Tx) error { return nil }) },
		"a statement":   func(ctx context.Context) error { _, err := db.ExecContext(ctx, `DELETE FROM entries`); return err },
		"a query": func(ctx context.Context) error {
			rows, err := db.QueryContext(ctx, `DELETE FROM entries RETURNING id`)
			if err != nil {
				return err
			}
			defer rows.Close()
			return rows.Err()
		},
		"a row": func(ctx context.Context) error {
			var id string
			return db.QueryRowContext(ctx, `DELETE FROM entries RETURNING id`).Scan(&id)
		},
	} {
		err := db.Tx(t.Context(), func(*sql.Tx) error { return inner(soon(t)) })
		if !errors.Is(err, context.DeadlineExceeded) || name != "a row" && !strings.Contains(err.Error(), "use only its tx") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err = db.ExecContext(t.Context(), `INSERT INTO entries (id) VALUES ($1)`, name); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	// Rows that are not closed hold the one connection that writes, until their context ends.
	rows, err := db.QueryContext(soon(t), `INSERT INTO entries (id) VALUES ('x'), ('y') RETURNING id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if _, err = db.ExecContext(t.Context(), `DELETE FROM entries`); err != nil {
		t.Error(err)
	}
	if err = rows.Err(); err == nil {
		t.Error("the rows outlive their context")
	}
	s.Token(t, "ann")
}

// A transaction that panics, or whose context has ended, is rolled back.
func TestATransactionThatFails(t *testing.T) {
	logintest.OnEachEngine(t, mounted(nothing, nil), func(t *testing.T, s *logintest.Server) {
		db := s.App.DB()
		if err := db.Migrate(t.Context(), migration(entries)); err != nil {
			t.Fatal(err)
		}
		insert := func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO entries (id) VALUES ('1')`)
			return err
		}
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(t.Context(), func(tx *sql.Tx) error { panic(insert(tx)) })
		}()
		if err := db.Tx(ended(t), insert); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := db.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(insert(tx), tx.Rollback()) }); err == nil {
			t.Error("a transaction that is rolled back is committed")
		}
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM entries`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%v: %d rows", err, n)
		}
	})
}

// Replicas that start together migrate once. Tables of Sesame's names are refused, and so are no files at all.
func TestMigrations(t *testing.T) {
	logintest.OnEachEngine(t, mounted(nothing, nil), func(t *testing.T, s *logintest.Server) {
		var replicas sync.WaitGroup
		for range 4 {
			replicas.Go(func() {
				if err := s.App.DB().Migrate(t.Context(), migration(entries)); err != nil {
					t.Error(err)
				}
			})
		}
		replicas.Wait()
		for name, files := range map[string]fstest.MapFS{
			"users":      {"00001_own.sql": migration(entries)["00001_own.sql"], "00002_users.sql": migration(`CREATE TABLE users (id TEXT);`)["00001_own.sql"]},
			"migrations": {"migrations/00001_own.sql": migration(entries)["00001_own.sql"]},
		} {
			if err := s.App.DB().Migrate(t.Context(), files); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.Token(t, "ann")
	})
}
