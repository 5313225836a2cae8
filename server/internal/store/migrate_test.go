package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"sesame/server/internal/postgrestest"
)

// onEachEngine gives an empty database on each engine.
func onEachEngine(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	run := func(name string, databaseURL func(t *testing.T) string) {
		t.Run(name, func(t *testing.T) {
			db, err := Create(t.Context(), databaseURL(t))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			test(t, db)
		})
	}
	run("sqlite", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "sesame.db") })
	run("postgres", func(t *testing.T) string { return postgrestest.Empty(t) })
}

// N5, N3: migration 10 computes what addresses are compared by, leaves each to one confirmed owner, and takes for a claim
// what a person has given and no operator.
func TestAddressesAreMigrated(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		var warned []string
		provider, err := db.migrations(db.write, func(text string) { warned = append(warned, text) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err = provider.UpTo(ctx, 9); err != nil {
			t.Fatal(err)
		}
		exec := func(statement string, args ...any) {
			t.Helper()
			if _, err := db.write.ExecContext(ctx, statement, args...); err != nil {
				t.Fatal(err)
			}
		}
		for _, u := range []struct {
			id, email, key string
			verified       bool
			scopes         string
			created        int64
			actor          string // of account_created; "" for none
		}{
			{"01", "Ann@bücher.example", "ann@bücher.example", true, "", 20, "01"},
			{"02", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example", true, "", 10, "02"}, // the older one
			{"03", "mİke@example.com", "mi\u0307ke@example.com", true, "", 0, "03"},
			{"04", "mike@example.com", "mike@example.com", true, "", 0, "04"},
			{"05", "old\u200b@example.com", "old\u200b@example.com", true, "", 0, "05"}, // no longer accepted
			{"06", "six@example.com", "six@example.com", false, "", 0, "06"},            // a claim
			{"07", "seven@example.com", "seven@example.com", false, "", 0, "command line"},
			{"08", "eight@example.com", "eight@example.com", false, "", 0, "09"}, // by an administrator
			{"09", "nine@example.com", "nine@example.com", false, "users:read users:write", 0, "09"},
			{"10", "ten@example.com", "ten@example.com", false, "", 0, ""},         // nothing is known
			{"11", "eleven@example.com", "eleven@example.com", false, "", 0, "06"}, // by somebody who is logged in
			{"12", "twelve@example.com", "twelve@example.com", false, "", 0, "12"}, // changed since
			{"13", "", "", false, "", 0, "13"},
			{"14", "fourteen@example.com", "fourteen@example.com", false, "", 0, "99"}, // by an administrator who was deleted since
		} {
			exec(`INSERT INTO users (id, username, username_key, email, email_key, email_verified, scopes, disabled, created_at, updated_at)
				VALUES ($1, $1, $1, NULLIF($2, ''), NULLIF($3, ''), $4, $5, FALSE, $6, $6)`, u.id, u.email, u.key, u.verified, u.scopes, u.created)
			if u.actor != "" {
				exec(`INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
					VALUES ($1, 0, 'account_created', $2, '', $3, '', '', '', '')`, "e"+u.id, u.id, u.actor)
			}
		}
		exec(`INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
			VALUES ('x', 0, 'profile_changed', '12', '', '09', '', '', '', '')`)
		exec(`INSERT INTO one_time_codes (hash, purpose, user_id, email, email_key, expires_at) VALUES ('h', 'confirm', '01', 'Ann@bücher.example', 'ann@bücher.example', 1)`)
		// More than a batch.
		exec(`INSERT INTO users (id, username, username_key, email, email_key, email_verified, scopes, disabled, created_at, updated_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1203)
			SELECT 'n' || i, 'n' || i, 'n' || i, 'ä' || i || '@ä.example', 'wrong' || i, TRUE, '', FALSE, 0, 0 FROM n`)

		if _, err = db.Migrate(ctx, func(text string) { warned = append(warned, text) }); err != nil {
			t.Fatal(err)
		}
		value := func(query string) (text string) {
			t.Helper()
			if err := db.read.QueryRowContext(ctx, query).Scan(&text); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			return text
		}
		for query, want := range map[string]string{
			`SELECT email_key FROM users WHERE id = '01'`:                                                           "ann@xn--bcher-kva.example",
			`SELECT email_key FROM users WHERE id = '03'`:                                                           "mİke@example.com",
			`SELECT email_key FROM users WHERE id = '04'`:                                                           "mike@example.com",
			`SELECT email_key FROM users WHERE id = '05'`:                                                           "old\u200b@example.com",
			`SELECT email_key FROM users WHERE id = 'n1203'`:                                                        "ä1203@xn--4ca.example",
			`SELECT email_key FROM one_time_codes`:                                                                  "ann@xn--bcher-kva.example",
			`SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE email_key LIKE 'ä%@xn--4ca.example' AND email_verified`: "1203",
			`SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE email_verified AND id < '90'`:                           "4",
			`SELECT id FROM users WHERE NOT email_verified AND email_key = 'ann@xn--bcher-kva.example'`:             "01",
			`SELECT user_id || actor FROM events WHERE kind = 'email_lost'`:                                         "01schedule",
			`SELECT MIN(id) || MAX(id) || COUNT(*) FROM users WHERE email_claimed_at IS NOT NULL`:                   "06112",
			`SELECT email FROM users WHERE id = '01'`:                                                               "Ann@bücher.example",
		} {
			if got := value(query); got != want {
				t.Errorf("%s gives %+q, want %+q", query, got, want)
			}
		}
		if len(warned) != 1 || !strings.Contains(warned[0], "account 01 ") {
			t.Errorf("warned of %q", warned)
		}
		if _, err = db.write.ExecContext(ctx, `UPDATE users SET email_verified = TRUE WHERE id = '01'`); !errors.Is(translate(err), ErrConflict) {
			t.Errorf("two accounts may confirm one address: %v", err)
		}
		if _, err = provider.DownTo(ctx, 9); err != nil {
			t.Errorf("and back: %v", err)
		}
	})
}

// Migration 29 gives the new scopes to those who could do, or could grant themselves, what they allow.
func TestAdministrativeScopesAreMigrated(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, db *DB) {
		ctx := t.Context()
		provider, err := db.migrations(db.write, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		upTo := func(version int64) {
			t.Helper()
			if _, err := provider.UpTo(ctx, version); err != nil {
				t.Fatal(err)
			}
		}
		upTo(28)
		before := map[string]string{"01": "", "02": "users:read", "03": "users:write notes:read", "04": "clients:read users:read users:write", "05": "users:reader"}
		for id, scopes := range before {
			if _, err := db.write.ExecContext(ctx, `INSERT INTO users (id, username, username_key, scopes, disabled, email_verified, created_at, updated_at)
				VALUES ($1, $1, $1, $2, FALSE, FALSE, 0, 0)`, id, scopes); err != nil {
				t.Fatal(err)
			}
		}
		check := func(want map[string]string) {
			t.Helper()
			for id, scopes := range want {
				var got string
				if err := db.write.QueryRowContext(ctx, `SELECT scopes FROM users WHERE id = $1`, id).Scan(&got); err != nil || got != scopes {
					t.Errorf("%s has %q, want %q (%v)", id, got, scopes, err)
				}
			}
		}
		upTo(29)
		check(map[string]string{
			"01": "", "02": "users:read events:read", "03": "users:write notes:read events:read settings:read settings:write",
			"04": "clients:read users:read users:write events:read settings:read settings:write", "05": "users:reader",
		})
		if _, err = provider.DownTo(ctx, 28); err != nil {
			t.Fatal(err)
		}
		check(before)
	})
}
