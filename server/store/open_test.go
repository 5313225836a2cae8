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
