package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/pressly/goose/v3"
)

// devicesAndLogouts is migration 21: the device authorization grant (RFC 8628), and the queue of logout tokens (OpenID
// Connect Back-Channel Logout 1.0). Programs of schema version 15 work with it: they use none of it.
//
// A trigger writes the logouts, so that every statement that deletes a session does, those of older programs and deletions that
// cascade included. Each engine has its own language for triggers, so the migration is in Go.
func devicesAndLogouts(dialect string) *goose.Migration {
	up := []string{
		`ALTER TABLE clients ADD COLUMN device_grant BOOLEAN NOT NULL DEFAULT FALSE`, // people may sign in through it on devices without a browser
		// The requests of devices, until they expire. One that has started a session has no row.
		`CREATE TABLE device_requests (
			hash         TEXT PRIMARY KEY,     -- of the device code
			user_code    TEXT NOT NULL UNIQUE, -- its keyed hash
			client_id    TEXT NOT NULL,
			scope        TEXT NOT NULL,        -- space-separated
			ip_address   TEXT NOT NULL,        -- of the device
			created_at   BIGINT NOT NULL,
			expires_at   BIGINT NOT NULL,
			wait         BIGINT NOT NULL,      -- seconds that the device waits between two polls
			polled_at    BIGINT NOT NULL DEFAULT 0,
			state        TEXT NOT NULL DEFAULT 'pending', -- pending, granted, denied
			user_id      TEXT,                 -- the person who has granted it
			browser_id   TEXT,                 -- the session in which they did
			signed_in_at BIGINT                -- when they gave their password
		)`,
		`CREATE INDEX device_requests_expiry ON device_requests (expires_at)`,

		`ALTER TABLE clients ADD COLUMN logout_uri TEXT NOT NULL DEFAULT ''`, // where the server sends logout tokens
		// The sessions that have ended and whose clients receive a logout token.
		`CREATE TABLE logouts (
			session_id    TEXT PRIMARY KEY,
			client_id     TEXT NOT NULL,
			user_id       TEXT NOT NULL,
			expires_at    BIGINT NOT NULL, -- of the session: no token is sent for one that has expired
			attempts      BIGINT NOT NULL DEFAULT 0,
			next_try_at   BIGINT NOT NULL DEFAULT 0,
			claimed_until BIGINT NOT NULL DEFAULT 0
		)`,
		`CREATE INDEX logouts_due ON logouts (next_try_at)`,
	}
	const insert = `INSERT INTO logouts (session_id, client_id, user_id, expires_at)
		SELECT OLD.id, OLD.client_id, OLD.user_id, OLD.expires_at FROM clients WHERE clients.id = OLD.client_id AND clients.logout_uri <> ''
		ON CONFLICT (session_id) DO NOTHING;`
	down := []string{
		`DROP TABLE logouts`, `ALTER TABLE clients DROP COLUMN logout_uri`,
		`DROP TABLE device_requests`, `ALTER TABLE clients DROP COLUMN device_grant`,
		`DELETE FROM schema_support WHERE version = 21`,
	}
	if dialect == "postgres" {
		const patience = `SET LOCAL lock_timeout = '2s'` // as in migration 14
		up = slices.Concat([]string{patience}, up, []string{
			`CREATE FUNCTION record_logout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + insert + ` RETURN NULL; END $$`,
			`CREATE TRIGGER sessions_logout AFTER DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION record_logout()`,
		})
		down = slices.Concat([]string{patience, `DROP TRIGGER sessions_logout ON sessions`, `DROP FUNCTION record_logout()`}, down)
	} else {
		up = append(up, `CREATE TRIGGER sessions_logout AFTER DELETE ON sessions BEGIN `+insert+` END`)
		down = append([]string{`DROP TRIGGER sessions_logout`}, down...)
	}
	up = append(up, `INSERT INTO schema_support (version, oldest) VALUES (21, 15)`)
	run := func(statements []string) *goose.GoFunc {
		return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error { return each(ctx, tx, statements...) }}
	}
	return goose.NewGoMigration(21, run(up), run(down))
}
