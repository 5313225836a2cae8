package apitest

import (
	"context"
	"database/sql"

	"github.com/google/uuid"

	"sesame/server/internal/store"
)

// rawSQL runs one statement beside the server, and scans its one value if into is given.
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
	if into != nil {
		return db.QueryRowContext(ctx, statement).Scan(into)
	}
	_, err = db.ExecContext(ctx, statement)
	return err
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
