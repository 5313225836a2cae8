package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// The database for the code of another program, which has tables of its own. See package login.

// Engine returns sqlite or postgres.
func (db *DB) Engine() string { return strings.TrimSuffix(db.engine.dialect, "3") }

// writerWait is how long a statement of other code waits for the one connection that writes to SQLite.
const writerWait = 10 * time.Second

var errWriterBusy = errors.New("another transaction, or rows that are not closed, kept SQLite's one writer; " +
	"a transaction must use only its tx, or it waits for itself")

// Pool is the pool for a statement outside a transaction. On SQLite every statement but a SELECT goes to the one
// connection that writes, and Pool fails if that does not become free.
func (db *DB) Pool(ctx context.Context, query string) (*sql.DB, error) {
	if db.read == db.write || isSelect(query) {
		return db.read, nil
	}
	conn, err := db.writer(ctx)
	if err != nil {
		return db.write, err
	}
	return db.write, conn.Close()
}

// writer waits for a connection that writes.
func (db *DB) writer(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, writerWait)
	defer cancel()
	if err := db.checkFiles(); err != nil {
		return nil, err
	}
	conn, err := db.write.Conn(ctx)
	if errors.Is(err, context.DeadlineExceeded) && db.read != db.write {
		err = fmt.Errorf("%w: %w", errWriterBusy, err)
	}
	return conn, err
}

// beforeStatement is what may stand before the first word of a statement.
var beforeStatement = regexp.MustCompile(`^(?:\s|--[^\n]*(?:\n|$)|(?s:/\*.*?\*/))+`)

var firstWord = regexp.MustCompile(`^[\pL\pN_$]+`)

func isSelect(query string) bool {
	return strings.EqualFold(firstWord.FindString(query[len(beforeStatement.FindString(query)):]), "select")
}

// SQLTx is Tx for statements of other code.
func (db *DB) SQLTx(ctx context.Context, f func(*sql.Tx) error) error {
	conn, err := db.writer(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // it returns to the pool
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after a commit
	if err = f(tx); err != nil {
		return err
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	return db.checkFiles()
}

// MigrateExtension brings the tables of another program up to date. It records their versions in a table of its own.
func (db *DB) MigrateExtension(ctx context.Context, files fs.FS) (applied int, err error) {
	options, err := db.providerOptions()
	if err != nil {
		return 0, err
	}
	conns, done := db.forMigrations()
	defer done()
	provider, err := goose.NewProvider(goose.Dialect(db.engine.dialect), conns, files, append(options, goose.WithTableName("service_migrations"))...)
	if err != nil {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	applied, err = migrateRetrying(ctx, provider)
	if errors.Is(err, errNewer) {
		err = errors.New("a newer version of the service made its tables (see the table service_migrations); start that version, or restore an older copy")
	}
	return applied, err
}

// IsConflict reports whether a statement failed because a unique value exists already.
func IsConflict(err error) bool { return isConflict(err) }

// Classify translates an error of another program's statement: to problem.Unavailable if a retry may succeed.
func Classify(err error) error {
	if isUnavailable(err) {
		return translate(err)
	}
	return err
}
