package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
)

// The database for the code of another program, which has tables of its own. See package login.

// Engine returns sqlite or postgres.
func (db *DB) Engine() string { return strings.TrimSuffix(db.engine.dialect, "3") }

// Pool returns the pool for a statement outside a transaction. On SQLite every statement but a SELECT uses the one
// connection that writes.
func (db *DB) Pool(query string) *sql.DB {
	if word, _, _ := strings.Cut(strings.TrimSpace(query), " "); strings.EqualFold(word, "SELECT") {
		return db.read
	}
	return db.write
}

// SQLTx is Tx for the statements of another program.
func (db *DB) SQLTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, _, err := db.engine.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after a commit
	if err = f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// MigrateExtension brings the tables of another program up to date. It records their versions in a table of its own.
func (db *DB) MigrateExtension(ctx context.Context, files fs.FS) (applied int, err error) {
	options, err := db.providerOptions()
	if err != nil {
		return 0, err
	}
	provider, err := goose.NewProvider(goose.Dialect(db.engine.dialect), db.write, files, append(options, goose.WithTableName("service_migrations"))...)
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
