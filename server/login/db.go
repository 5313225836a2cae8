package login

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"sesame/server/internal/store"
)

// DB is the database, for tables of your own beside Sesame's. One SQL text serves both engines if it keeps to what
// both know: $1 placeholders, TEXT and BIGINT columns, RETURNING, ON CONFLICT. A table may refer to users(id).
//
// On PostgreSQL a statement has 2.5 s, the reading of its rows included, unless the database URL has another
// statement_timeout.
type DB struct{ db *store.DB }

// DB is the database that the server uses.
func (a *App) DB() *DB { return &DB{a.app.DB} }

// Engine is sqlite or postgres.
func (d *DB) Engine() string { return d.db.Engine() }

// Migrate brings your tables up to date with the SQL files at the root of a file system, named and written as goose has
// them (00001_notes.sql, with -- +goose Up); for an embedded folder, use fs.Sub. Which of them ran is recorded in the table
// service_migrations, apart from Sesame's own. Replicas that start together wait for each other.
func (d *DB) Migrate(ctx context.Context, migrations fs.FS) error {
	_, err := d.db.MigrateExtension(ctx, migrations)
	return err
}

// ExecContext runs a statement that returns no rows, and commits it.
func (d *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	pool, err := d.db.Pool(ctx, query)
	if err != nil {
		return nil, err
	}
	return pool.ExecContext(ctx, query, args...)
}

// QueryContext runs a statement that returns rows. Close them: on SQLite, those of any statement that does not begin
// with SELECT keep every write of the server waiting until they are closed or ctx ends.
func (d *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	pool, err := d.db.Pool(ctx, query)
	if err != nil {
		return nil, err
	}
	return pool.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a statement that returns one row.
func (d *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	pool, err := d.db.Pool(ctx, query)
	if err != nil { // a Row cannot be made with an error, but with a context that has ended
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, time.Unix(0, 0))
		defer cancel()
	}
	return pool.QueryRowContext(ctx, query, args...)
}

// Tx runs f in one transaction, which is committed if f returns nil and rolled back otherwise, and if f panics or ctx
// ends. SQLite has one writer at a time, and every transaction is a writer: while f runs, nothing else in the server
// writes. So keep f short, and use only tx in it. The methods of DB would wait for f itself; they fail after ten seconds.
func (d *DB) Tx(ctx context.Context, f func(tx *sql.Tx) error) error { return d.db.SQLTx(ctx, f) }

// IsConflict reports whether a statement failed because a unique value exists already, on either engine.
func IsConflict(err error) bool { return store.IsConflict(err) }
