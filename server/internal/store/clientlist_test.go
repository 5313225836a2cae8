package store

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// Migration 31 computes the keys of clients that exist, more than a batch of them, and can be undone.
func TestClientsGetKeys(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, db *DB) {
		ctx, quiet := t.Context(), func(string) {}
		if err := db.MigrateTo(ctx, 29, quiet); err != nil {
			t.Fatal(err)
		}
		db.mustExec(t, `INSERT INTO clients (id, name, secret_hash, scopes, password_grant, created_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1203)
			SELECT 'n' || i, 'Ärzte ' || i, '', '', FALSE, 0 FROM n`)
		for range 2 {
			if _, err := db.Migrate(ctx, quiet); err != nil {
				t.Fatal(err)
			}
			if n := db.count(t, `SELECT COUNT(*) FROM clients WHERE name_key = 'ärzte ' || SUBSTR(id, 2)`); n != 1203 {
				t.Errorf("%d clients have their key", n)
			}
			if err := db.MigrateTo(ctx, 29, quiet); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A client of a program that knows no keys is listed at once, and found once the cleanup has computed its key.
func TestClientsOfOlderPrograms(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		db.mustExec(t, `INSERT INTO clients (id, name, secret_hash, scopes, password_grant, created_at) VALUES ('a', 'Web', '', '', FALSE, 0)`)
		found := func(prefix string) int {
			clients, err := db.ListClients(t.Context(), ClientList{Prefix: prefix, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			return len(clients)
		}
		if found("") != 1 {
			t.Error("it is not listed")
		}
		for _, want := range []int64{1, 0} {
			if n, err := db.FillClientKeys(t.Context(), time.Now(), 10); n != want || err != nil {
				t.Errorf("%d keys, want %d: %v", n, want, err)
			}
		}
		if found("wEB") != 1 {
			t.Error("it is not found")
		}
	})
}

// Each list of many rows is a range of one index, which has the order of the list.
func TestListsOfClientsAndConsentsHaveTheirIndexes(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		user, _ := addSessions(t, db, "c", 1000, time.Now().Add(time.Hour))
		db.mustExec(t, `INSERT INTO clients (id, name, name_key, secret_hash, scopes, password_grant, created_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT 'n' || i, 'n' || i, 'n' || i, '', '', FALSE, 0 FROM n`)
		db.mustExec(t, `INSERT INTO consents (user_id, client_id, scope, created_at, updated_at) SELECT '`+user+`', id, '', 0, 0 FROM clients`)
		db.mustExec(t, `INSERT INTO users (id, username, username_key, email_verified, scopes, disabled, created_at, updated_at)
			SELECT 'u' || id, id, id, FALSE, '', FALSE, 0, 0 FROM clients`)
		db.mustExec(t, `INSERT INTO consents (user_id, client_id, scope, created_at, updated_at) SELECT 'u' || id, 'n4', '', 0, 0 FROM clients UNION ALL SELECT 'u' || id, 'n3', '', 0, 0 FROM clients WHERE id LIKE 'n1%'`)
		db.mustExec(t, `ANALYZE`)
		explain := `EXPLAIN `
		if db.engine.dialect == "sqlite3" {
			explain = `EXPLAIN QUERY PLAN `
		}
		for query, index := range map[string]string{
			`SELECT c.id FROM clients c WHERE (c.name_key, c.id) > ('n3', 'n3') AND c.name_key < 'o' ORDER BY c.name_key, c.id LIMIT 51`:                                            "clients_name_key",
			`SELECT k.client_id, c.name FROM consents k JOIN clients c ON c.id = k.client_id WHERE k.user_id = '` + user + `' AND k.client_id > 'n3' ORDER BY k.client_id LIMIT 51`: "consents_pkey|sqlite_autoindex_consents_1",
			`SELECT k.user_id, u.username FROM consents k JOIN users u ON u.id = k.user_id WHERE k.client_id = 'n3' AND k.user_id > 'a' ORDER BY k.user_id LIMIT 51`:                "consents_of_client",
			`SELECT s.id, u.username FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.expires_at > 1 AND s.id < 'z' ORDER BY s.id DESC LIMIT 51`:                            "sessions_pkey|sqlite_autoindex_sessions_1",
			`SELECT id, name FROM clients WHERE name_key = '' LIMIT 500`:                                                                                                            "clients_name_key",
		} {
			rows, err := db.read.QueryContext(t.Context(), explain+query)
			var unused any
			lines, err := collect(rows, err, func(line *string) []any {
				if db.engine.dialect == "sqlite3" {
					return []any{&unused, &unused, &unused, line}
				}
				return []any{line}
			})
			plan := strings.Join(lines, "\n")
			if err != nil || !regexp.MustCompile(`\b(`+index+`)\b`).MatchString(plan) || regexp.MustCompile(`(?i)sort|temp b-tree`).MatchString(plan) {
				t.Errorf("%v: %s does not use %s, or sorts:\n%s", err, query, index, plan)
			}
		}
	})
}
