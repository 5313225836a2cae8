package store

import (
	"fmt"
	"strings"
	"testing"
)

// Each part of a list of users is read in the order of an index that fits it, and nothing is sorted. The end of a scan is found in the
// index alone.
func TestListsOfUsersAreRangesOfAnIndex(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		db.mustExec(t, `INSERT INTO users (id, username, username_key, email, email_key, email_verified, scopes, disabled, factors, created_at, updated_at)
			WITH RECURSIVE n(i) AS (SELECT 100001 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
			SELECT 'id' || i, 'n' || i, 'n' || i, 'm' || i || '@example.com', 'm' || i || '@example.com', i % 2 = 0, CASE WHEN i % 4 = 1 THEN 'users:read' ELSE '' END,
				i % 4 = 2, CASE WHEN i % 4 = 3 THEN 'totp' ELSE '' END, i, i FROM n`)
		db.mustExec(t, map[string]string{"postgres": `VACUUM ANALYZE users`, "sqlite3": `ANALYZE`}[db.engine.dialect])
		yes, no := true, false
		for name, c := range map[string]struct {
			list    UserList
			indexes []string // of the parts
		}{
			"all":           {UserList{}, []string{"users_username"}},
			"prefix":        {UserList{Prefix: "n1", EmailPrefix: "m1"}, []string{"users_username", "users_email"}},
			"enabled":       {UserList{Disabled: &no}, []string{"users_username"}},
			"disabled":      {UserList{Disabled: &yes}, []string{"users_disabled"}},
			"scope":         {UserList{Scope: "users:read"}, []string{"users_granted_username"}},
			"second factor": {UserList{SecondFactor: &yes, EmailVerified: &no}, []string{"users_factors_username"}},
			"unverified":    {UserList{EmailVerified: &no}, []string{"users_username"}},
			"everything":    {UserList{Disabled: &yes, Scope: "users:read", SecondFactor: &yes}, []string{"users_granted_username"}},
		} {
			for _, order := range []string{"", "-"} {
				for _, byCreation := range []bool{false, true} {
					l := c.list
					l.Descending, l.ByCreation = order == "-", byCreation
					if byCreation && l.Prefix != "" {
						continue
					}
					for i, part := range l.parts() {
						index := c.indexes[i]
						if byCreation {
							index = strings.TrimSuffix(index, "_username") + "_created"
						}
						middle := UserPosition{ByEmail: part.byEmail, Key: "n110000", Created: 110000, ID: "id110000"}
						end := UserPosition{ByEmail: part.byEmail, Key: "n112000", Created: 112000, ID: "id112000"}
						if l.Descending {
							middle, end = end, middle
						}
						page, values := l.pageOf(part, middle, &end, 51)
						db.plansOn(t, fmt.Sprint(name, order, byCreation), index, page, values)
						if part.index != "" && !part.byEmail {
							continue // of few users, PostgreSQL sorts all, and SQLite reads the rows to check the condition of the index
						}
						scan, values := part.scan(middle)
						db.plansOn(t, fmt.Sprint("end of ", name, order, byCreation), index, scan, values)
					}
				}
			}
		}
	})
}

// plansOn checks that a statement reads an index in its order.
func (db *DB) plansOn(t *testing.T, name, index, query string, values []any) {
	t.Helper()
	explain, bad := `EXPLAIN `, []string{"Sort", "Bitmap", "Seq Scan"}
	if db.engine.dialect == "sqlite3" {
		explain, bad = `EXPLAIN QUERY PLAN `, []string{"TEMP B-TREE", "SCAN users\n"}
	}
	rows, err := db.read.QueryContext(t.Context(), explain+query, values...)
	var unused any
	lines, err := collect(rows, err, func(line *string) []any {
		if db.engine.dialect == "sqlite3" {
			return []any{&unused, &unused, &unused, line}
		}
		return []any{line}
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	plan := strings.Join(lines, "\n") + "\n"
	if !strings.Contains(plan, index+" ") && !strings.Contains(plan, index+"\n") {
		t.Errorf("%s does not use %s:\n%s", name, index, plan)
	}
	for _, step := range bad {
		if strings.Contains(plan, step) {
			t.Errorf("%s has a step %s:\n%s", name, step, plan)
		}
	}
	if strings.HasPrefix(name, "end of") && !strings.Contains(plan, "COVERING INDEX") && !strings.Contains(plan, "Index Only Scan") {
		t.Errorf("%s reads rows:\n%s", name, plan)
	}
}
