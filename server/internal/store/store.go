// Package store contains all SQL: one set of queries for SQLite and PostgreSQL.
//
//	db, err := store.Open(ctx, "sqlite:sesame.db")
//	user, err := db.UserByID(ctx, id)
//	err = db.Tx(ctx, func(q *store.Queries) error { … })
//
// The way through it: store.go opens the database and runs transactions; there is one file of queries for each table; the
// schema is in migrations, with the migrations that need Go in migrate*.go. batch.go, grouped.go and prepared.go make SQLite fast, and
// flights.go PostgreSQL.
//
// It decides nothing; the rules are in packages identity, account and oauth. Its errors are ErrNotFound, ErrConflict,
// problem.Unavailable, or a fault. Times are UTC, with the precision of microseconds.
//
// Lock order in a transaction: LockAddresses, then LockUser, then the rows that belong to the user (sessions, codes,
// throttles, known networks), then LockAdministration. See locks.go.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sesame/server/secret"
)

// DB is an open database. Each of its Queries commits by itself; Tx runs several in one transaction.
type DB struct {
	Queries
	read, write *sql.DB
	engine      engine
	ready       readiness
}

// engine holds what differs between the two databases beyond SQL.
type engine struct {
	dialect string
	// transact runs f in a transaction, which it commits if f returns nil and otherwise rolls back. It returns the error of f as it
	// is, and others translated.
	transact func(ctx context.Context, f func(runner) error) error
	probe    func(ctx context.Context) error // reads from the database, and fails if it is read-only
	check    func() error                    // fails if the files of the database were deleted or replaced; nil on PostgreSQL
	close    func()                          // before the connections are
	closed   func()                          // waits until they are
	patient  func() *sql.DB                  // opens connections without limits of time, for migrations; nil if the others have none
}

// Queries are the statements, on the database or in a transaction.
type Queries struct {
	read, write runner
	skipLocked  string      // ends a SELECT that skips locked rows; "" on SQLite, which has one writer
	flights     bool        // in a transaction on PostgreSQL; see flights.go
	committed   *[]func()   // in a transaction: functions to call after the commit
	recorded    func(Event) // see OnEvent
}

// runner runs statements: a *sql.DB, a *sql.Tx, or a prepared.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Open opens an existing database by its URL, sqlite:FILE or postgres://…, and leaves the schema as it is. The error for a
// missing file matches fs.ErrNotExist.
func Open(ctx context.Context, databaseURL string, limits ...Pool) (*DB, error) {
	if file, ok := SQLitePath(databaseURL); ok {
		return openSQLite(ctx, file)
	}
	return openPostgres(ctx, databaseURL, append(limits, Pool{})[0])
}

// Create is Open that creates a missing SQLite file.
func Create(ctx context.Context, databaseURL string, limits ...Pool) (*DB, error) {
	if file, ok := SQLitePath(databaseURL); ok {
		if err := createFile(file); err != nil {
			return nil, err
		}
	}
	return Open(ctx, databaseURL, limits...)
}

// Close closes all connections.
func (db *DB) Close() error {
	db.engine.close()
	err := errors.Join(db.read.Close(), db.write.Close())
	db.engine.closed()
	return err
}

// Tx runs f in a transaction, which it commits if f returns nil and otherwise rolls back. It may run f several times (see
// retry). So f must begin anew each time, and leave what it does beside the transaction to AfterCommit.
func (db *DB) Tx(ctx context.Context, f func(*Queries) error) error {
	return retry(ctx, func() error { return db.tryTx(ctx, f) })
}

func (db *DB) tryTx(ctx context.Context, f func(*Queries) error) error {
	var committed []func()
	err := db.engine.transact(ctx, func(run runner) error {
		return f(&Queries{read: run, write: run, skipLocked: db.skipLocked, flights: db.engine.dialect == "postgres", committed: &committed, recorded: db.recorded})
	})
	if err != nil {
		return err
	}
	for _, then := range committed {
		then()
	}
	return nil
}

// AfterCommit calls then after the commit of the transaction, or at once outside one.
func (q *Queries) AfterCommit(then func()) {
	if q.committed == nil {
		then()
		return
	}
	*q.committed = append(*q.committed, then)
}

// writeRow runs a statement with RETURNING and scans its row. Errors: ErrNotFound.
func (q *Queries) writeRow(ctx context.Context, into []any, query string, args ...any) error {
	switch w := q.write.(type) {
	case *batchWriter:
		return translate(w.queryRow(ctx, into, query, args...))
	case retrying: // the commit follows the row, and may fail
		return translate(retry(ctx, func() error { return w.db.QueryRowContext(ctx, query, args...).Scan(into...) }))
	}
	return translate(q.write.QueryRowContext(ctx, query, args...).Scan(into...))
}

// writeRows runs a statement with RETURNING and scans its rows. fields returns the destinations of the columns.
func writeRows[T any](ctx context.Context, q *Queries, fields func(*T) []any, query string, args ...any) (all []T, err error) {
	run := func() error {
		rows, err := q.write.QueryContext(ctx, query, args...)
		all, err = collect(rows, err, fields)
		return err
	}
	if _, ok := q.write.(retrying); ok { // the commit follows the rows, and may fail
		err = retry(ctx, run)
		return all, err
	}
	err = run()
	return all, err
}

// collect scans all rows of a query, and closes them. fields returns the destinations of the columns.
func collect[T any](rows *sql.Rows, err error, fields func(*T) []any) (all []T, _ error) {
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var item T
		if err = rows.Scan(fields(&item)...); err != nil {
			return nil, translate(err)
		}
		all = append(all, item)
	}
	return all, translate(rows.Err())
}

// affected returns how many rows a statement changed.
func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, translate(err)
	}
	return result.RowsAffected()
}

// one is for a statement that changes at most one row. Errors: ErrNotFound when it changes none.
func one(result sql.Result, err error) error {
	n, err := affected(result, err)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// orNull returns a time for a nullable column; the zero time is null.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// secretScanner scans a text into a secret.
type secretScanner struct{ *secret.Text }

// Scan implements sql.Scanner.
func (s secretScanner) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("a secret is stored as %T", value)
	}
	*s.Text = secret.New(text)
	return nil
}

// timeScanner scans microseconds into a time; null leaves the time unchanged.
type timeScanner struct{ *time.Time }

// Scan implements sql.Scanner.
func (t timeScanner) Scan(value any) error {
	if value == nil {
		return nil
	}
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", value)
	}
	*t.Time = time.UnixMicro(n).UTC()
	return nil
}

// durationScanner scans microseconds into a duration.
type durationScanner struct{ *time.Duration }

// Scan implements sql.Scanner.
func (d durationScanner) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a duration is stored as %T", value)
	}
	*d.Duration = time.Duration(n) * time.Microsecond
	return nil
}

// Clock returns a clock with the precision of the database, so that a time in a response equals the stored one.
func Clock(now func() time.Time) func() time.Time {
	return func() time.Time { return now().UTC().Truncate(time.Microsecond) }
}
