package apitest

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Hashes of different schemes that fill different amounts of memory, by which a test can tell which was verified without
// measuring time. All are of the password "a wooden horse" or of none.
var imported = []struct {
	hash  string
	megs  int // that one verification fills
	share int // of 8 accounts
}{
	{"$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", 0, 4},
	{"$argon2id$v=19$m=10240,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 10, 2},
	{"$argon2id$v=19$m=30720,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 30, 2},
}

// filled gives how many MiB the process fills while it answers a login, which is refused.
func (s *server) filled(t *testing.T, name, password string) int {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.do(t, passwordGrant(name, password)).want(400, "invalid_grant")
	runtime.ReadMemStats(&after)
	megs := float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
	for _, known := range []int{0, 10, 20, 30, 60} {
		if math.Abs(megs-float64(known)) < 4 {
			return known
		}
	}
	t.Errorf("%s: %.1f MiB are no hash", name, megs)
	return -1
}

// N10, L2, L1: after an import an unknown name, and an account without a password, cost what a wrong password for
// some account costs, each scheme as often as accounts have it; at once, though another process has imported them;
// and the same each time for one name. The test tells the hashes apart by the memory that they fill. That is the
// memory of the whole process, so this does not run in parallel.
func TestNamesThatNobodyHasCostWhatAccountsCost(t *testing.T) {
	skipIfShort(t)
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			s := start(t, databaseURL(t))
			if got := start(t, s.dbURL, realHashes).filled(t, "nobody", horse); got != 20 { // 19 and a little
				t.Errorf("without any account %d MiB are filled", got)
			}
			s.importUsers(t, "bcrypt", 40, func(int) string { return imported[0].hash })
			s.sesame(t, `{"username":"passwordless"}`, "user", "import", "-")
			names := make([]string, 0, 60)
			for i := range cap(names) - 2 {
				names = append(names, fmt.Sprint("nobody-", i))
			}
			names = append(names, "nobody@example.com", "passwordless")
			for _, name := range append(slices.Clone(names), "bcrypt-0") {
				if got := s.filled(t, name, wrong); got != 0 {
					t.Errorf("%s: among hashes of bcrypt alone %d MiB are filled", name, got)
				}
			}
			s.sql(t, `DELETE FROM users WHERE username LIKE 'bcrypt-%'`)
			s.importUsers(t, "mixed", 400, func(i int) string {
				for _, kind := range imported {
					if i = i%8 - kind.share; i < 0 {
						return kind.hash
					}
				}
				return ""
			})
			// Another library hashes what was typed: a password with an accent is tried in both of its spellings.
			for password, want := range map[string]map[int]int{wrong: {0: 4, 10: 2, 30: 2}, "pâssword of nobody": {0: 4, 20: 2, 60: 2}} {
				s.sql(t, `DELETE FROM throttles`) // of the address
				known := map[int]int{}
				for i := range 8 {
					known[s.filled(t, fmt.Sprint("mixed-", i), password)]++
				}
				if !maps.Equal(known, want) {
					t.Fatalf("the accounts fill %v", known)
				}
				first := map[string]int{}
				unknown := map[int]int{}
				for _, name := range names {
					first[name] = s.filled(t, name, password)
					unknown[first[name]]++
				}
				if !slices.Equal(slices.Sorted(maps.Keys(unknown)), slices.Sorted(maps.Keys(want))) {
					t.Errorf("the accounts fill %v, and other names %v", known, unknown)
				}
				for megs, n := range want {
					share := float64(n) / 8
					deviation := math.Sqrt(share * (1 - share) * float64(len(names)))
					if apart := math.Abs(float64(unknown[megs]) - float64(len(names))*share); apart > 5*deviation {
						t.Errorf("%d of %d names that nobody has fill %d MiB, and %d of 8 accounts", unknown[megs], len(names), megs, n)
					}
				}
				for _, name := range names[len(names)-10:] {
					if again := s.filled(t, name, password); again != first[name] {
						t.Errorf("%s fills %d MiB, and then %d", name, first[name], again)
					}
				}
			}
			// Wherever on the index the accounts of a scheme are, they are found.
			s.sql(t, `DELETE FROM throttles`)
			s.sql(t, `UPDATE users SET password_hash = CASE WHEN SUBSTR(id, 25) < '8' THEN '`+imported[0].hash+`' ELSE '`+imported[2].hash+`' END`)
			halves := map[int]int{}
			for _, name := range names[:50] {
				halves[s.filled(t, name, wrong)]++
			}
			if halves[0]+halves[30] != 50 || halves[0] < 8 || halves[30] < 8 {
				t.Errorf("half of the accounts fill 30 MiB, the others none, and other names %v", halves)
			}
		})
	}
}

// N10: the hash that stands in for the missing one of a name accepts no password, and a try is counted and recorded
// like any other.
func TestADummyOpensNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann") // whose hash stands in for all others
		if _, stderr, code := s.sesame(t, `{"username":"passwordless","email":"passwordless@example.com","email_verified":true}`, "user", "import", "-"); code != 0 {
			t.Fatal(stderr)
		}
		for _, name := range []string{"nobody", "nobody@example.com", "passwordless", "passwordless@example.com"} {
			s.do(t, passwordGrant(name, horse)).want(400, "invalid_grant")
		}
		if failed := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'login_failed'`); failed != "4" {
			t.Errorf("%s failures are recorded, want 4", failed)
		}
		if rows := s.value(t, `SELECT COUNT(password_hash) || ' ' || (SELECT COUNT(*) FROM sessions) FROM users`); rows != "1 0" {
			t.Errorf("accounts with a password, and sessions: %s", rows)
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// importUsers imports accounts, each with a hash.
func (s *server) importUsers(t *testing.T, prefix string, n int, hash func(i int) string) {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "{\"username\":\"%s-%d\",\"password_hash\":\"%s\"}\n", prefix, i, hash(i))
	}
	if _, stderr, code := s.sesame(t, lines.String(), "user", "import", "-"); code != 0 {
		t.Fatal(stderr)
	}
}
