package store

import (
	"strings"
	"testing"
	"time"
)

// The clients that no operator has made are found by indexes that hold no others, so a registration and the cleanup cost the same however
// many clients and consents there are.
func TestUnverifiedClientsHaveTheirIndexes(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		user, _ := addSessions(t, db, "c", 1, time.Now().Add(time.Hour))
		db.mustExec(t, `INSERT INTO clients (id, name, name_key, secret_hash, scopes, password_grant, created_at, registration, agreed, check_at)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
			SELECT 'n' || i, 'n' || i, 'n' || i, '', '', FALSE, i, CASE WHEN i % 10 = 0 THEN 'dynamic' ELSE 'operator' END, i % 20 = 0, i FROM n`)
		db.mustExec(t, `INSERT INTO consents (user_id, client_id, scope, created_at, updated_at) SELECT '`+user+`', id, '', 0, 0 FROM clients WHERE agreed`)
		db.mustExec(t, `ANALYZE`)
		explain := `EXPLAIN `
		if db.engine.dialect == "sqlite3" {
			explain = `EXPLAIN QUERY PLAN `
		}
		for query, index := range map[string]string{
			`SELECT COUNT(*) FROM clients WHERE registration = 'dynamic' AND NOT agreed`:                                            "clients_unused",
			`SELECT id FROM clients WHERE registration = 'dynamic' AND NOT agreed AND created_at < 100 ORDER BY created_at LIMIT 1`: "clients_unused",
			`SELECT id FROM clients WHERE registration <> 'operator' AND check_at <= 100 ORDER BY check_at LIMIT 500`:               "clients_check",
			`SELECT 1 FROM clients WHERE id = 'n1' AND NOT EXISTS (SELECT 1 FROM consents k WHERE k.client_id = clients.id)`:        "consents_",
			`UPDATE clients SET agreed = TRUE, check_at = 5 WHERE id = 'n1' AND registration <> 'operator'`:                         "clients_",
		} {
			plan := db.plan(t, explain+query)
			if !strings.Contains(plan, index) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "Sort") {
				t.Errorf("%s does not use %s, or sorts:\n%s", query, index, plan)
			}
		}

		// Of those that are due, the unused are deleted, and the others come again in a day.
		now := time.UnixMicro(10_000)
		if n, err := db.DeleteUnusedClients(t.Context(), now, 2000); err != nil || n != 1000 {
			t.Errorf("examined %d: %v", n, err)
		}
		if n := db.count(t, `SELECT COUNT(*) FROM clients WHERE registration = 'dynamic' AND check_at <= 10000`); n != 0 {
			t.Errorf("%d are due again", n)
		}
		if n := db.count(t, `SELECT COUNT(*) FROM clients WHERE registration = 'dynamic'`); n != 1500 {
			t.Errorf("%d are left", n)
		}
		if n := db.count(t, `SELECT COUNT(*) FROM clients WHERE registration = 'operator'`); n != 18_000 {
			t.Errorf("%d of the operator's are left", n)
		}
	})
}
