package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"sesame/server/internal/mailbox"
)

// addressBatch is how many rows one query reads.
const addressBatch = 500

// addresses is migration 10. From here on addresses are compared by mailbox.Key, which SQL cannot compute, and an account
// records whether a person only claimed its address. It calls warn with each address that is no longer confirmed.
func addresses(warn func(string)) *goose.Migration {
	up := &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		err := each(ctx, tx,
			// When a person claimed an address that is not confirmed yet. Null if an administrator, the command line or an
			// import has given the address.
			`ALTER TABLE users ADD COLUMN email_claimed_at BIGINT`,
			// Codes that were mailed before this time do not reset the password of this account.
			`ALTER TABLE users ADD COLUMN codes_from BIGINT NOT NULL DEFAULT 0`,
			`DROP INDEX users_verified_email`)
		if err != nil {
			return err
		}
		if err = rekey(ctx, tx, "users", "id", markClaims(time.Now())); err != nil {
			return err
		}
		if err = rekey(ctx, tx, "one_time_codes", "hash", nil); err != nil {
			return err
		}
		if err = keepFirstOwners(ctx, tx, warn); err != nil {
			return err
		}
		return each(ctx, tx,
			`CREATE UNIQUE INDEX users_verified_email ON users (email_key) WHERE email_verified`,
			`CREATE INDEX users_claims ON users (email_claimed_at) WHERE email_claimed_at IS NOT NULL`)
	}}
	down := &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, `DROP INDEX users_claims`, `ALTER TABLE users DROP COLUMN codes_from`, `ALTER TABLE users DROP COLUMN email_claimed_at`)
	}}
	return goose.NewGoMigration(10, up, down)
}

func each(ctx context.Context, tx *sql.Tx, statements ...string) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// rekey computes the folded address of each row of a table, in the order of its primary key, and calls then with the
// first and the last key of each batch. An address that is no longer accepted becomes its own key, which no other address
// has.
func rekey(ctx context.Context, tx *sql.Tx, table, primary string, then func(ctx context.Context, tx *sql.Tx, first, last string) error) error {
	type row struct{ id, email, key string }
	for last := ""; ; {
		rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT %[1]s, email, COALESCE(email_key, '') FROM %[2]s WHERE %[1]s > $1 AND email IS NOT NULL
			ORDER BY %[1]s LIMIT %[3]d`, primary, table, addressBatch), last)
		batch, err := collect(rows, err, func(r *row) []any { return []any{&r.id, &r.email, &r.key} })
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, r := range batch {
			key, err := mailbox.Key(r.email)
			if err != nil {
				key = r.email
			}
			if key == r.key {
				continue
			}
			if _, err = tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET email_key = $2 WHERE %s = $1`, table, primary), r.id, key); err != nil {
				return err
			}
		}
		last = batch[len(batch)-1].id
		if then != nil {
			if err = then(ctx, tx, batch[0].id, last); err != nil {
				return err
			}
		}
	}
}

// markClaims finds the addresses that a person claimed: the account was created by an existing account that is not an
// administrator, usually by itself, and no administrator has changed it since. Where the events do not say so, or name an
// account or a client that was deleted, the address counts as given, since an address that an administrator gave must not
// expire. The claims begin at now, so that none has expired already.
func markClaims(now time.Time) func(ctx context.Context, tx *sql.Tx, first, last string) error {
	return func(ctx context.Context, tx *sql.Tx, first, last string) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE users SET email_claimed_at = $1
			WHERE id >= $2 AND id <= $3 AND email IS NOT NULL AND NOT email_verified AND ' ' || scopes || ' ' NOT LIKE '% users:write %'
				AND EXISTS (SELECT 1 FROM events e JOIN users a ON a.id = e.actor
					WHERE e.user_id = users.id AND e.kind = 'account_created' AND ' ' || a.scopes || ' ' NOT LIKE '% users:write %')
				AND NOT EXISTS (SELECT 1 FROM events e WHERE e.user_id = users.id AND e.kind = 'profile_changed')`, micros(now), first, last)
		return err
	}
}

// keepFirstOwners handles an address that two accounts have confirmed, in two spellings that older versions did not
// recognise as one mailbox. It stays confirmed for the older account. The other keeps it unconfirmed, and can still reset
// its password by mail.
func keepFirstOwners(ctx context.Context, tx *sql.Tx, warn func(string)) error {
	type row struct{ id, username string }
	rows, err := tx.QueryContext(ctx, `
		SELECT id, username FROM users WHERE email_verified AND EXISTS (
			SELECT 1 FROM users o WHERE o.email_key = users.email_key AND o.email_verified
				AND (o.created_at < users.created_at OR o.created_at = users.created_at AND o.id < users.id))`)
	younger, err := collect(rows, err, func(r *row) []any { return []any{&r.id, &r.username} })
	if err != nil {
		return err
	}
	for _, r := range younger {
		event, err := uuid.NewV7()
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, `UPDATE users SET email_verified = FALSE WHERE id = $1`, r.id); err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, `
			INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
			VALUES ($1, $2, 'email_lost', $3, $4, 'schedule', '', '', '', '')`, event.String(), micros(time.Now()), r.id, r.username); err != nil {
			return err
		}
		warn("the e-mail address of account " + r.id + " is no longer confirmed: an older account has confirmed another spelling of it")
	}
	return nil
}
