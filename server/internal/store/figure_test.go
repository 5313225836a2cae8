package store

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// figures is the environment variable with the number of accounts of TestListsOfManyAccounts, whose figures decision 79 has.
const figures = "SESAME_TEST_ACCOUNTS"

// TestListsOfManyAccounts reads lists of accounts from the first page to the last, and measures each page: see figures.
func TestListsOfManyAccounts(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(figures))
	if err != nil {
		t.Skip("it measures; set " + figures)
	}
	yes, no := true, false
	migrated(t, func(t *testing.T, db *DB) {
		fillUsers(t, db, n)
		for _, c := range []struct {
			name string
			list UserList
		}{
			{"by username", UserList{}},
			{"by username, reversed", UserList{Descending: true}},
			{"by creation, latest first", UserList{ByCreation: true, Descending: true}},
			{"q=user00", UserList{Prefix: "user00", EmailPrefix: "user00"}},
			{"disabled=false, by username", UserList{Disabled: &no}},
			{"disabled=false, latest first", UserList{Disabled: &no, ByCreation: true, Descending: true}},
			{"second_factor=false, by username", UserList{SecondFactor: &no}},
			{"disabled=true", UserList{Disabled: &yes}},
			{"scope", UserList{Scope: "users:read"}},
			{"email_verified=true, by username", UserList{EmailVerified: &yes}},
			{"email_verified=true, latest first", UserList{EmailVerified: &yes, ByCreation: true, Descending: true}},
		} {
			c.list.Limit = 50
			times, users := readOften(t, db, c.list)
			k := max(1, min(100, len(times)/3))
			half := len(times) / 2
			first, middle, last := median(times[:k]), median(times[half-k/2:][:k]), median(times[len(times)-k:])
			t.Logf("%-35s %7d accounts in %5d pages; medians of %3d pages: first %v, middle %v, last %v", c.name, users, len(times), k, first, middle, last)
		}
	})
}

// readOften is readAll that reads a short list again and again, and returns the median of each page.
func readOften(t *testing.T, db *DB, l UserList) (times []time.Duration, users int) {
	t.Helper()
	times, users = readAll(t, db, l)
	walks := [][]time.Duration{times}
	for len(walks)*len(times) < 1000 {
		again, _ := readAll(t, db, l)
		walks = append(walks, again)
	}
	if len(walks) == 1 {
		return times, users
	}
	for page := range times {
		var same []time.Duration
		for _, walk := range walks {
			same = append(same, walk[page])
		}
		times[page] = median(same)
	}
	return times, users
}

// readAll reads a list page by page, and returns how long each page took.
func readAll(t *testing.T, db *DB, l UserList) (times []time.Duration, users int) {
	t.Helper()
	for range 20 { // prepares the statements
		if _, err := db.ListUsers(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	for {
		begun := time.Now()
		page, err := db.ListUsers(t.Context(), l)
		times = append(times, time.Since(begun))
		if err != nil {
			t.Fatal(err)
		}
		users += len(page.Users)
		if !page.More {
			return times, users
		}
		l.After = page.Next
	}
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2].Round(10 * time.Microsecond)
}

// fillUsers makes n accounts, whose order by username has nothing to do with that of their creation.
func fillUsers(t *testing.T, db *DB, n int) {
	t.Helper()
	connection := db.write
	if db.engine.patient != nil { // the others give a statement 2.5 seconds
		connection = db.engine.patient()
		defer connection.Close()
	}
	digits, count := "SUBSTR(CAST(10000000 + i AS TEXT), 2)", strconv.Itoa(n)
	if _, err := connection.ExecContext(t.Context(), `
		INSERT INTO users (id, username, username_key, email, email_key, email_verified, scopes, disabled, factors, created_at, updated_at)
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < `+count+` - 1)
		SELECT '019ad827-9c2f-713a-a564-00000' || `+digits+`, 'user' || `+digits+`, 'user' || `+digits+`,
			'mail' || `+digits+` || '@example.com', 'mail' || `+digits+` || '@example.com', i % 100000 = 7,
			CASE WHEN i % 50000 = 11 THEN 'users:read' ELSE '' END, i % 1000 = 13, '', (CAST(i AS BIGINT) * 7919) % `+count+`, 0 FROM n`); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.ExecContext(t.Context(), map[string]string{"postgres": `VACUUM ANALYZE users`, "sqlite3": `ANALYZE`}[db.engine.dialect]); err != nil {
		t.Fatal(err)
	}
}
