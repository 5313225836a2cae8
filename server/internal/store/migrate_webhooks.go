package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/pressly/goose/v3"
)

// webhooksAndDeliveries is migration 34: webhooks, and the queue of their deliveries, which is also their log. Programs of schema
// version 29 work with it: they use none of it.
//
// A trigger queues the deliveries, so that each event has them, those that older programs record included, in the transaction of the
// event and without a round trip (decision 84). Each engine has its own language for triggers, so the migration is in Go.
func webhooksAndDeliveries(dialect string) *goose.Migration {
	up := []string{
		`CREATE TABLE webhooks (
			id               TEXT PRIMARY KEY,
			url              TEXT NOT NULL,
			description      TEXT NOT NULL,
			kinds            TEXT NOT NULL,              -- space-separated; '' for every kind
			disabled         BOOLEAN NOT NULL,
			secret           TEXT NOT NULL,              -- sealed
			old_secret       TEXT NOT NULL DEFAULT '',   -- sealed; signs, too, until old_secret_until
			old_secret_until BIGINT NOT NULL DEFAULT 0,
			failing_since    BIGINT,                     -- NULL if the last deliveries succeeded
			full_since       BIGINT,                     -- since when nothing is queued, because too much waits; NULL if it is
			created_at       BIGINT NOT NULL
		)`,
		`CREATE TABLE webhook_deliveries (
			webhook_id    TEXT NOT NULL,
			event_id      TEXT NOT NULL,
			kind          TEXT NOT NULL,                  -- of the event
			state         TEXT NOT NULL DEFAULT 'pending', -- pending, delivered, failed
			attempts      BIGINT NOT NULL DEFAULT 0,
			queued_at     BIGINT NOT NULL,
			due_at        BIGINT NOT NULL,                -- of a claimed one, the end of the lease
			claimed_until BIGINT NOT NULL DEFAULT 0,
			attempted_at  BIGINT,                         -- the last attempt
			duration      BIGINT NOT NULL DEFAULT 0,      -- of it, in microseconds
			status        BIGINT NOT NULL DEFAULT 0,      -- of HTTP; 0 for no answer
			fault         TEXT NOT NULL DEFAULT '',       -- why it failed
			PRIMARY KEY (webhook_id, event_id)
		)`,
		`CREATE INDEX webhook_deliveries_state ON webhook_deliveries (webhook_id, state, event_id)`,
		`CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at, queued_at) WHERE state = 'pending'`,
		`CREATE INDEX webhook_deliveries_queued ON webhook_deliveries (queued_at)`,
	}
	insert := func(position string) string {
		return `INSERT INTO webhook_deliveries (webhook_id, event_id, kind, queued_at, due_at)
			SELECT id, NEW.id, NEW.kind, NEW.at, NEW.at FROM webhooks
			WHERE NOT disabled AND full_since IS NULL AND (kinds = '' OR ` + position + `(' ' || kinds || ' ', ' ' || NEW.kind || ' ') > 0);`
	}
	down := []string{`DROP TABLE webhook_deliveries`, `DROP TABLE webhooks`, `DELETE FROM schema_support WHERE version = 34`}
	if dialect == "postgres" {
		const patience = `SET LOCAL lock_timeout = '2s'` // as in migration 14
		up = slices.Concat([]string{patience}, up, []string{
			`CREATE FUNCTION queue_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + insert("strpos") + ` RETURN NULL; END $$`,
			`CREATE TRIGGER events_deliveries AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION queue_deliveries()`,
		})
		down = slices.Concat([]string{patience, `DROP TRIGGER events_deliveries ON events`, `DROP FUNCTION queue_deliveries()`}, down)
	} else {
		up = append(up, `CREATE TRIGGER events_deliveries AFTER INSERT ON events BEGIN `+insert("instr")+` END`)
		down = append([]string{`DROP TRIGGER events_deliveries`}, down...)
	}
	up = append(up, `INSERT INTO schema_support (version, oldest) VALUES (34, 29)`)
	run := func(statements []string) *goose.GoFunc {
		return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error { return each(ctx, tx, statements...) }}
	}
	return goose.NewGoMigration(34, run(up), run(down))
}
