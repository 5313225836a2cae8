package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// clientLists is migration 31: clients have a key by which they are found and sorted in any letter case, which SQL cannot compute, and
// the consents of a client an index by which they are paged. Programs of schema version 28 work with it: they leave the key of a
// client empty, and the cleanup computes it.
//
// On PostgreSQL it does not run in a transaction, so that the index of a large table is made CONCURRENTLY. So each statement
// can be run again if it was interrupted.
func clientLists(dialect string) *goose.Migration {
	const supported = `INSERT INTO schema_support (version, oldest) VALUES (31, 28) ON CONFLICT DO NOTHING`
	const unsupported = `DELETE FROM schema_support WHERE version = 31`
	add := []index{{"clients_name_key", "clients (name_key, id)"}, {"consents_of_client", "consents (client_id, user_id)"}}
	drop := []index{{"consents_client", "consents (client_id)"}}
	if dialect == "postgres" {
		up := func(ctx context.Context, db *sql.DB) error {
			if _, err := db.ExecContext(ctx, `ALTER TABLE clients ADD COLUMN IF NOT EXISTS name_key TEXT COLLATE "C" NOT NULL DEFAULT ''`); err != nil {
				return err
			}
			if err := fillClientKeys(ctx, db); err != nil {
				return err
			}
			if err := swapConcurrently(ctx, db, add, drop); err != nil {
				return err
			}
			_, err := db.ExecContext(ctx, supported)
			return err
		}
		down := func(ctx context.Context, db *sql.DB) error {
			if err := swapConcurrently(ctx, db, drop, add); err != nil {
				return err
			}
			for _, statement := range []string{`ALTER TABLE clients DROP COLUMN IF EXISTS name_key`, unsupported} {
				if _, err := db.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		}
		return goose.NewGoMigration(31, &goose.GoFunc{RunDB: up}, &goose.GoFunc{RunDB: down})
	}
	up := func(ctx context.Context, tx *sql.Tx) error {
		if err := each(ctx, tx, `ALTER TABLE clients ADD COLUMN name_key TEXT NOT NULL DEFAULT ''`); err != nil {
			return err
		}
		if err := fillClientKeys(ctx, tx); err != nil {
			return err
		}
		return each(ctx, tx, `CREATE INDEX `+add[0].name+` ON `+add[0].on, `CREATE INDEX `+add[1].name+` ON `+add[1].on, `DROP INDEX consents_client`, supported)
	}
	down := func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, `CREATE INDEX consents_client ON `+drop[0].on, `DROP INDEX consents_of_client`, `DROP INDEX clients_name_key`,
			`ALTER TABLE clients DROP COLUMN name_key`, unsupported)
	}
	return goose.NewGoMigration(31, &goose.GoFunc{RunTx: up}, &goose.GoFunc{RunTx: down})
}

// executor runs the statements of a migration, in a transaction or not.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// clientKeyBatch is how many clients one query reads.
const clientKeyBatch = 500

// fillClientKeys computes the missing keys of all clients.
func fillClientKeys(ctx context.Context, db executor) error {
	for {
		n, err := fillSomeClientKeys(ctx, db, db, clientKeyBatch)
		if err != nil || n < clientKeyBatch {
			return err
		}
	}
}
