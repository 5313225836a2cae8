package store

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func testID() string { return uuid.Must(uuid.NewV7()).String() }

// migrated is onEachEngine with the schema of this program.
func migrated(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	onEachEngine(t, func(t *testing.T, db *DB) {
		if _, err := db.Migrate(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		test(t, db)
	})
}

func (db *DB) mustExec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if _, err := db.write.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (db *DB) count(t *testing.T, query string, args ...any) (n int64) {
	t.Helper()
	if err := db.read.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// addSessions makes a user and sessions of a client.
func addSessions(t *testing.T, db *DB, client string, n int, expires time.Time) (user string, sessions []string) {
	t.Helper()
	now, user := time.Now(), testID()
	db.mustExec(t, `INSERT INTO users (id, username, username_key, email_verified, scopes, disabled, created_at, updated_at)
		VALUES ($1, $1, $1, FALSE, '', FALSE, 0, 0)`, user)
	err := db.Tx(t.Context(), func(q *Queries) error {
		for range n {
			s := Session{ID: testID(), UserID: user, ClientID: client, SeedHash: "seed", CreatedAt: now, LastUsedAt: now, ExpiresAt: expires, EndsAt: now.Add(90 * 24 * time.Hour)}
			if err := q.CreateSession(t.Context(), s); err != nil {
				return err
			}
			sessions = append(sessions, s.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return user, sessions
}

// A refresh changes no column that an index has. So on PostgreSQL it is a HOT update, which writes no index.
func TestARefreshWritesNoIndex(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx, now := t.Context(), time.Now()
		db.write.SetMaxOpenConns(1)
		_, sessions := addSessions(t, db, "c", 200, now.Add(time.Hour))
		refresh := func(times int) {
			for generation := range times {
				for _, id := range sessions {
					if _, _, err := db.AdvanceSession(ctx, id, "c", "seed", uint32(generation), now, time.Hour); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		refresh(5)
		if db.engine.dialect != "postgres" {
			definitions := db.count(t, `SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'sessions'
				AND (sql LIKE '%expires_at%' OR sql LIKE '%last_used_at%')`)
			if definitions != 0 {
				t.Errorf("%d indexes have a column that a refresh changes", definitions)
			}
			return
		}
		// The statistics are those of the connection that made the updates, which reports them when it is asked to.
		var updates, hot int64
		for _, query := range []string{
			`SELECT 1, 1 FROM (SELECT pg_stat_force_next_flush()) AS flush`,
			`SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'`,
		} {
			if err := db.read.QueryRowContext(ctx, query).Scan(&updates, &hot); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d of %d updates were HOT", hot, updates)
		if updates < 1000 || hot < updates*9/10 {
			t.Errorf("%d of %d updates were HOT", hot, updates)
		}
	})
}

// The cleanup finds expired sessions by check_at. It keeps those that were refreshed, and those that a program of schema 13
// has inserted, until they expire.
func TestTheCleanupChecksSessions(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx, now := t.Context(), time.Now()
		addSessions(t, db, "expired", 30, now.Add(-time.Minute))
		_, refreshed := addSessions(t, db, "refreshed", 30, now.Add(time.Minute))
		addSessions(t, db, "new", 5, now.Add(2*time.Hour))
		db.mustExec(t, `INSERT INTO sessions (id, user_id, client_id, scope, seed_hash, generation, ip_address, user_agent, created_at, last_used_at, expires_at, ends_at)
			SELECT 'old' || id, user_id, 'older program', scope, seed_hash, 0, '', '', created_at, last_used_at, expires_at, ends_at FROM sessions WHERE client_id IN ('expired', 'new')`)
		for _, id := range refreshed {
			if _, _, err := db.AdvanceSession(ctx, id, "refreshed", "seed", 0, now, 3*time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		clean := func(at time.Time) {
			for {
				n, err := db.DeleteExpiredSessions(ctx, at, 10)
				if err != nil {
					t.Fatal(err)
				}
				if n < 10 {
					return
				}
			}
		}
		left := func(client string) int64 {
			return db.count(t, `SELECT COUNT(*) FROM sessions WHERE client_id = $1`, client)
		}
		clean(now.Add(5 * time.Minute))
		if left("expired") != 0 || left("refreshed") != 30 || left("new") != 5 || left("older program") != 5 {
			t.Errorf("left are %d, %d, %d and %d", left("expired"), left("refreshed"), left("new"), left("older program"))
		}
		if n := db.count(t, `SELECT COUNT(*) FROM sessions WHERE check_at <> expires_at`); n != 0 {
			t.Errorf("%d sessions are due for another check before they expire", n)
		}
		clean(now.Add(150 * time.Minute))
		if left("refreshed") != 30 || left("new") != 0 || left("older program") != 0 {
			t.Errorf("left are %d, %d and %d", left("refreshed"), left("new"), left("older program"))
		}
		clean(now.Add(4 * time.Hour))
		if n := db.count(t, `SELECT COUNT(*) FROM sessions`); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// Queries on tables that grow large use an index that fits.
func TestLargeTablesHaveTheirIndexes(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		addSessions(t, db, "c", 1000, time.Now().Add(time.Hour))
		db.mustExec(t, `INSERT INTO personal_tokens (id, user_id, hash, name, scope, methods, password, created_at, expires_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
			SELECT 't' || i, (SELECT id FROM users LIMIT 1), 'h' || i, '', '', '', '', 0, i FROM n`)
		db.mustExec(t, `ANALYZE`)
		explain := `EXPLAIN `
		if db.engine.dialect == "sqlite3" {
			explain = `EXPLAIN QUERY PLAN `
		}
		for query, index := range map[string]string{
			`SELECT id FROM sessions WHERE client_id = 'x' LIMIT 500`:                 "sessions_client",
			`SELECT id FROM sessions WHERE check_at <= 1 ORDER BY check_at LIMIT 500`: "sessions_check",
			`SELECT id FROM sessions WHERE user_id = 'x'`:                             "sessions_of_user",
			`SELECT t.id FROM personal_tokens t JOIN users u ON u.id = t.user_id WHERE t.expires_at > 1 AND t.password = ` + passwordEnd + ` AND t.hash = 'h7' AND NOT u.disabled`:            "personal_tokens_hash_key|sqlite_autoindex_personal_tokens_2",
			`SELECT t.id FROM personal_tokens t JOIN users u ON u.id = t.user_id WHERE t.expires_at > 1 AND t.password = ` + passwordEnd + ` AND t.user_id = 'x' ORDER BY t.id DESC LIMIT 50`: "personal_tokens_user",
			`SELECT id FROM personal_tokens WHERE expires_at <= 1 ORDER BY expires_at LIMIT 500`:                                                                                              "personal_tokens_expiry",
		} {
			rows, err := db.read.QueryContext(t.Context(), explain+query)
			var unused any
			lines, err := collect(rows, err, func(line *string) []any {
				if db.engine.dialect == "sqlite3" {
					return []any{&unused, &unused, &unused, line}
				}
				return []any{line}
			})
			if err != nil {
				t.Fatal(err)
			}
			if plan := strings.Join(lines, "\n"); !regexp.MustCompile(`\b(` + index + `)\b`).MatchString(plan) {
				t.Errorf("%s does not use %s:\n%s", query, index, plan)
			}
		}
	})
}

// No statement changes the rows that a subquery with a limit finds, unless that is materialized: the planner of PostgreSQL may
// run it more than once, and so find other rows (decision 36).
func TestSubqueriesWithALimitAreMaterialized(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	limited := regexp.MustCompile(`(?s)IN \(\s*SELECT [^()]*?LIMIT`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := limited.FindString(string(text)); found != "" && file != "indexes_test.go" {
			t.Errorf("%s: %s", file, found)
		}
	}
}

// A mail whose times a clock that was ahead has stored is due, and one whose times a right clock has stored waits for them.
func TestMailsOfAClockThatWasAhead(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		ctx, now := t.Context(), time.Now()
		add := func(id string, next, claimed time.Time) {
			db.mustExec(t, `INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ($1, '', '', 1, $2, $3, 0)`, id, micros(next), micros(claimed))
		}
		add("retried by the clock", now.Add(24*time.Hour), now.Add(-time.Hour))
		add("claimed by the clock", now.Add(-time.Hour), now.Add(24*time.Hour))
		add("waits", now.Add(time.Hour), now.Add(-time.Hour))
		add("claimed", now.Add(-time.Hour), now.Add(2*time.Minute))
		claim := func() (ids []string) {
			mails, err := db.ClaimMails(ctx, now, now.Add(2*time.Minute), 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range mails {
				ids = append(ids, m.ID)
			}
			return ids
		}
		if ids := claim(); len(ids) != 2 || !strings.Contains(strings.Join(ids, " "), "retried by") || !strings.Contains(strings.Join(ids, " "), "claimed by") {
			t.Errorf("claimed %q", ids)
		}
		if ids := claim(); len(ids) != 0 {
			t.Errorf("claimed again: %q", ids)
		}
	})
}

// Every migration can be undone and done again, and so the schema of the version before has what its program needs.
func TestMigrationsGoBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, db *DB) {
		ctx := context.Background()
		quiet := func(string) {}
		if _, err := db.Migrate(ctx, quiet); err != nil {
			t.Fatal(err)
		}
		all, err := PendingMigrations(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		latest := all[len(all)-1].Version
		for _, version := range []int64{13, latest, 14, 15, 13, latest} {
			if err := db.MigrateTo(ctx, version, quiet); err != nil {
				t.Fatalf("to %d: %v", version, err)
			}
			pending, err := PendingMigrations(ctx, db)
			after := slices.DeleteFunc(slices.Clone(all), func(m Migration) bool { return m.Version <= version })
			if err != nil || !slices.Equal(pending, after) {
				t.Errorf("%v: at %d, %v are pending", err, version, pending)
			}
		}
		if err := db.MigrateTo(ctx, 999, quiet); err == nil || !strings.Contains(err.Error(), "no schema version 999") {
			t.Errorf("999: %v", err)
		}
	})
}

// A server of schema 13 that still runs works with the new tables. These are its statements on them that have changed since.
func TestSchema13WorksWithTheNewTables(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		user, _ := addSessions(t, db, "c", 3, time.Now().Add(-time.Minute))
		now := micros(time.Now())
		db.mustExec(t, `INSERT INTO sessions (id, user_id, client_id, scope, seed_hash, generation, ip_address,
			user_agent, created_at, last_used_at, expires_at, ends_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, "s13", user, "c13", "", "seed", 0, "", "", now, now, now+1_000_000_000, now+2_000_000_000)
		if _, _, err := db.AdvanceSession(t.Context(), "s13", "c13", "seed", 0, time.Now(), time.Hour); err != nil {
			t.Errorf("the session of the older program cannot be refreshed: %v", err)
		}
		db.mustExec(t, `WITH batch AS MATERIALIZED (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`+db.skipLocked+`)
			DELETE FROM sessions WHERE expires_at <= $1 AND (id) IN (SELECT id FROM batch)`, now, 500)
		if n := db.count(t, `SELECT COUNT(*) FROM sessions`); n != 1 {
			t.Errorf("its cleanup leaves %d sessions, want 1", n)
		}
		db.mustExec(t, `DELETE FROM sessions WHERE client_id = $1`, "c13")
		db.mustExec(t, `INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ('m', 'k', 'p', 0, $1, 0, $1)`, now)
		db.mustExec(t, `UPDATE mails SET claimed_until = $2, attempts = attempts + 1
			WHERE claimed_until <= $1 AND id IN (SELECT id FROM mails WHERE next_try_at <= $1 AND claimed_until <= $1 ORDER BY next_try_at LIMIT $3)`, now, now+1, 4)
	})
}

// The sessions of a client end in batches, and those of others stay.
func TestSessionsOfAClientEndInBatches(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		addSessions(t, db, "deleted", 25, time.Now().Add(time.Hour))
		addSessions(t, db, "other", 5, time.Now().Add(time.Hour))
		for _, want := range []int64{10, 10, 5, 0} {
			if n, err := db.EndSessionsOfClient(t.Context(), "deleted", 10); err != nil || n != want {
				t.Errorf("%v: ended %d, want %d", err, n, want)
			}
		}
		if n := db.count(t, `SELECT COUNT(*) FROM sessions`); n != 5 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// The statements on deliveries read no more than they need while very many wait, and before the database has statistics of them.
func TestDeliveriesHaveTheirIndexes(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		db.mustExec(t, `INSERT INTO webhook_deliveries (webhook_id, event_id, kind, state, queued_at, due_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
			SELECT 'w', 'e' || i, 'logout', CASE WHEN i % 7 = 0 THEN 'delivered' ELSE 'pending' END, i, i FROM n`)
		claim := strings.NewReplacer("$1", "'w'", "$2", "1000000", "$3", "2000000", "$4", "8").Replace(claimDeliveries(db.skipLocked))
		explain, key := `EXPLAIN `, "webhook_deliveries_pkey"
		if db.engine.dialect == "sqlite3" {
			explain, key = `EXPLAIN QUERY PLAN `, "sqlite_autoindex_webhook_deliveries_1"
		}
		check := func(queries map[string][]string) {
			t.Helper()
			for query, indexes := range queries {
				plan := db.plan(t, explain+query)
				for _, index := range indexes {
					if !regexp.MustCompile(`\b`+index+`\b`).MatchString(plan) || strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") {
						t.Errorf("%s does not use %s, or sorts:\n%s", query, index, plan)
					}
				}
			}
		}
		const due = `SELECT id FROM webhooks WHERE EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook_id = webhooks.id AND state = 'pending' AND due_at <= 5)`
		check(map[string][]string{claim: {"webhook_deliveries_due", key}, due: {"webhook_deliveries_due"}})
		db.mustExec(t, `ANALYZE`)
		check(map[string][]string{
			claim: {"webhook_deliveries_due", key},
			`SELECT 1 FROM webhook_deliveries WHERE webhook_id = 'w' AND state = 'pending' AND due_at <= 5`:                {"webhook_deliveries_due"},
			`SELECT * FROM webhook_deliveries WHERE webhook_id = 'w' AND state = 'failed' ORDER BY event_id DESC LIMIT 50`: {"webhook_deliveries_state"},
			`SELECT webhook_id, event_id FROM webhook_deliveries WHERE queued_at <= 1 ORDER BY queued_at LIMIT 500`:        {"webhook_deliveries_queued"},
			`SELECT * FROM webhook_deliveries WHERE webhook_id = 'w' AND event_id < 'e5' ORDER BY event_id DESC LIMIT 50`:  {key},
			`UPDATE webhook_deliveries SET state = 'x' WHERE webhook_id = 'w' AND event_id = 'e5' AND claimed_until = 5`:   {key},
		})
	})
}
