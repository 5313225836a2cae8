package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"
)

// A7: a process that starts while another one is making the tables of the same new file waits for it. SQLite's own wait
// does not cover the step to the write-ahead log.
func TestOpenWaitsForAnotherStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sesame.db")
	if err := createFile(file); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	for _, statement := range []string{`BEGIN IMMEDIATE`, `CREATE TABLE made (id BIGINT)`} {
		if _, err = other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	time.AfterFunc(300*time.Millisecond, func() { _, _ = other.ExecContext(context.Background(), `COMMIT`) })
	db, err := Open(t.Context(), "sqlite:"+file)
	if err != nil {
		t.Fatal(err)
	}
	if err = db.Close(); err != nil {
		t.Error(err)
	}
}

// N19: PostgreSQL ends a transaction whose replica has gone, and with it the locks that every other replica waits for.
func TestATransactionThatHangsEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *DB) {
		if db.engine.dialect != "postgres" {
			return // a process that ends lets go of the file
		}
		var limit string
		if err := db.read.QueryRowContext(t.Context(), `SHOW idle_in_transaction_session_timeout`).Scan(&limit); err != nil || limit != "10s" {
			t.Errorf("%v: it may hang for %s", err, limit)
		}
	})
}
