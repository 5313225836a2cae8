package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// operations is migration 32: the indexes that lists of events by their actor and by their client need, and why the last attempt to
// send a mail failed. Programs of schema version 24 work with it: they leave the new column as it is.
//
// On PostgreSQL the indexes are made as in migration 15, so that events can be written meanwhile.
func operations(dialect string) *goose.Migration {
	indexes := []index{{"events_actor", "events (actor, kind, id)"}, {"events_client", "events (client_id, kind, id)"}}
	up := []string{
		`ALTER TABLE mails ADD COLUMN last_error TEXT NOT NULL DEFAULT ''`,
		`INSERT INTO schema_support (version, oldest) VALUES (32, 24)`,
	}
	down := []string{`DELETE FROM schema_support WHERE version = 32`, `ALTER TABLE mails DROP COLUMN last_error`}
	if dialect != "postgres" {
		run := func(statements []string) *goose.GoFunc {
			return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error { return each(ctx, tx, statements...) }}
		}
		for _, i := range indexes {
			up, down = append(up, `CREATE INDEX `+i.name+` ON `+i.on), append(down, `DROP INDEX `+i.name)
		}
		return goose.NewGoMigration(32, run(up), run(down))
	}
	// What is interrupted before its end is recorded runs again from the beginning.
	up = []string{
		`ALTER TABLE mails ADD COLUMN IF NOT EXISTS last_error TEXT NOT NULL DEFAULT ''`,
		`INSERT INTO schema_support (version, oldest) VALUES (32, 24) ON CONFLICT (version) DO NOTHING`,
	}
	down = []string{`DELETE FROM schema_support WHERE version = 32`, `ALTER TABLE mails DROP COLUMN IF EXISTS last_error`}
	run := func(add, drop []index, statements []string) *goose.GoFunc {
		return &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			if err := swapConcurrently(ctx, db, add, drop); err != nil {
				return err
			}
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()                                                                                       //nolint:errcheck // does nothing after a commit
			if err = each(ctx, tx, append([]string{`SET LOCAL lock_timeout = '2s'`}, statements...)...); err != nil { // as in migration 14
				return err
			}
			return tx.Commit()
		}}
	}
	return goose.NewGoMigration(32, run(indexes, nil, up), run(nil, indexes, down))
}
