package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// Migrations 14 and 15 make room for fast refreshes, and add the indexes that large tables need. Programs of schema 13 work
// with the tables as they are before, between and after the two (docs/guides/upgrades.md).

// sessionChecks is migration 14. A refresh moves expires_at, so an index on it, or on last_used_at, would be written at every
// refresh. check_at does not move: it is when the cleanup looks at the session next. A program that does not know the column
// leaves it 0, and the cleanup sets it.
func sessionChecks(dialect string) *goose.Migration {
	up := []string{
		`ALTER TABLE sessions ADD COLUMN check_at BIGINT NOT NULL DEFAULT 0`,
		// The oldest program, by its own schema version, that works with a schema version. See worksWith.
		`CREATE TABLE schema_support (version BIGINT PRIMARY KEY, oldest BIGINT NOT NULL)`,
		`INSERT INTO schema_support (version, oldest) VALUES (14, 13), (15, 13)`,
	}
	down := []string{`DROP TABLE schema_support`, `ALTER TABLE sessions DROP COLUMN check_at`}
	if dialect == "postgres" {
		// While ALTER TABLE waits for a long transaction, such as that of pg_dump, every other statement on the table waits
		// behind it. So it gives up, and is tried again.
		const patience = `SET LOCAL lock_timeout = '2s'`
		// Room in every page, so that a refresh writes the new row beside the old one, and no index (a HOT update).
		up = append([]string{patience}, append(up, `ALTER TABLE sessions SET (fillfactor = 80)`)...)
		down = append([]string{patience}, append(down, `ALTER TABLE sessions RESET (fillfactor)`)...)
	}
	run := func(statements []string) *goose.GoFunc {
		return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error { return each(ctx, tx, statements...) }}
	}
	return goose.NewGoMigration(14, run(up), run(down))
}

// index is an index that a migration makes or drops.
type index struct{ name, on string }

var (
	olderIndexes = []index{
		{"sessions_user", "sessions (user_id, last_used_at)"},
		{"sessions_expiry", "sessions (expires_at)"},
	}
	newerIndexes = []index{
		{"sessions_of_user", "sessions (user_id)"},
		{"sessions_client", "sessions (client_id)"},        // for deleting a client
		{"sessions_check", "sessions (check_at)"},          // for the cleanup
		{"events_user_kind", "events (user_id, kind, id)"}, // one kind of an account that has many events of other kinds
	}
)

// userListIndexes are those of migration 30: each order of the list of accounts, and the filters that usually match few of them.
var userListIndexes = []index{
	{"users_created", "users (created_at, id)"},
	{"users_disabled_created", "users (created_at, id) WHERE disabled"},
	{"users_granted_username", "users (username_key) WHERE scopes <> ''"},
	{"users_granted_created", "users (created_at, id) WHERE scopes <> ''"},
	{"users_factors_username", "users (username_key) WHERE factors <> ''"},
	{"users_factors_created", "users (created_at, id) WHERE factors <> ''"},
}

// largeIndexes is migration 15.
func largeIndexes(dialect string) *goose.Migration {
	return goose.NewGoMigration(15, swapIndexes(dialect, newerIndexes, olderIndexes), swapIndexes(dialect, olderIndexes, newerIndexes))
}

// userLists is migration 30. Programs of schema version 28 work with it.
func userLists(dialect string) *goose.Migration {
	return goose.NewGoMigration(30,
		swapIndexes(dialect, userListIndexes, nil, `INSERT INTO schema_support (version, oldest) VALUES (30, 28) ON CONFLICT DO NOTHING`),
		swapIndexes(dialect, nil, userListIndexes, `DELETE FROM schema_support WHERE version = 30`))
}

// swapIndexes makes indexes, drops others, and runs further statements, which must be able to run twice. On PostgreSQL it makes and
// drops the indexes CONCURRENTLY, which lets reads and writes go on, however large the table is.
func swapIndexes(dialect string, add, drop []index, further ...string) *goose.GoFunc {
	if dialect == "postgres" {
		return &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error { return swapConcurrently(ctx, db, add, drop, further...) }}
	}
	var statements []string
	for _, i := range add {
		statements = append(statements, `CREATE INDEX `+i.name+` ON `+i.on)
	}
	for _, i := range drop {
		statements = append(statements, `DROP INDEX `+i.name)
	}
	return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error { return each(ctx, tx, append(statements, further...)...) }}
}

// swapConcurrently makes indexes, then drops others. It may have been interrupted before, and so begins by dropping what an
// earlier run left: an index that was not finished is invalid, and stays until it is dropped.
func swapConcurrently(ctx context.Context, db *sql.DB, add, drop []index, further ...string) error {
	var statements []string
	for _, i := range add {
		statements = append(statements, `DROP INDEX CONCURRENTLY IF EXISTS `+i.name, `CREATE INDEX CONCURRENTLY `+i.name+` ON `+i.on)
	}
	for _, i := range drop {
		statements = append(statements, `DROP INDEX CONCURRENTLY IF EXISTS `+i.name)
	}
	for _, statement := range append(statements, further...) { // each by itself: CONCURRENTLY needs to be outside a transaction
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
