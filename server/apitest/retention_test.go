package apitest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/cleanup"
	"sesame/server/internal/identity"
	"sesame/server/internal/store"
)

// perishable lists the tables whose rows expire, and how to insert n rows that expire at a time in microseconds. The id
// of an event sorts by time, as a UUIDv7 does.
var perishable = []struct{ table, columns, values string }{
	{
		"sessions", "id, user_id, client_id, scope, seed_hash, generation, ip_address, user_agent, created_at, last_used_at, expires_at, ends_at",
		"'%[1]s-' || i, '%[2]s', '', '', '', 0, '', '', 0, 0, %[3]d, %[3]d",
	},
	{"one_time_codes", "hash, purpose, user_id, email, email_key, expires_at", "'%[1]s-' || i, '', '%[2]s', '', '', %[3]d"},
	{"throttles", "key, failures, free, blocked_until, clear_at", "'%[1]s-' || i, 7, 5, %[3]d, %[3]d"},
	{"known_addresses", "user_id, address, last_used_at", "'%[2]s', '%[1]s-' || i, %[3]d"},
	{
		"events", "id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent",
		"'%[1]s-' || i, %[3]d, 'login', '', '', '', '', '', '', ''",
	},
	{"revoked_tokens", "id, expires_at", "'%[1]s-' || i, %[3]d"},
	{"used_codes", "id, session_id, expires_at", "'%[1]s-' || i, '', %[3]d"},
	{"reserved_usernames", "username_key, reserved_until", "'%[1]s-' || i, %[3]d"},
	{"personal_tokens", "id, user_id, hash, name, scope, methods, password, created_at, expires_at", "'%[1]s-' || i, '%[2]s', '%[1]s-' || i, '', '', '', '', 0, %[3]d"},
	{"device_requests", "hash, user_code, client_id, scope, ip_address, created_at, expires_at, wait", "'%[1]s-' || i, '%[1]s-' || i, '', '', '', 0, %[3]d, 5"},
}

// fill inserts n rows into each table that expire at a time.
func fill(t *testing.T, s *server, name, userID string, n int, at time.Time) {
	t.Helper()
	for _, p := range perishable {
		s.sql(t, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %s (%s) SELECT %s FROM n`,
			n, p.table, p.columns, fmt.Sprintf(p.values, name, userID, at.UnixMicro())))
	}
}

// rows counts those that fill has made under a name.
func rows(t *testing.T, s *server, table, name string) string {
	t.Helper()
	key := map[string]string{"one_time_codes": "hash", "throttles": "key", "known_addresses": "address", "reserved_usernames": "username_key", "device_requests": "hash"}[table]
	if key == "" {
		key = "id"
	}
	return s.value(t, fmt.Sprintf(`SELECT CAST(COUNT(*) AS TEXT) FROM %s WHERE %s LIKE '%s-%%'`, table, key, name))
}

// cleanupJob deletes expired rows; it calls now before each batch.
func cleanupJob(db *store.DB, now func() time.Time) *cleanup.Job {
	_, accounts, _ := domain(db, nil, nil, identity.Settings{Now: now})
	return &cleanup.Job{DB: db, Accounts: accounts, EventRetention: 24 * time.Hour, Now: now}
}

// answered fails the test, but does not end it, unless a request has succeeded.
func answered(t *testing.T, a *answer, err error) bool {
	switch {
	case err != nil:
		t.Error(err)
	case a.status != 200:
		t.Errorf("got %d %s", a.status, a.body)
	}
	return err == nil && a.status == 200
}

// Two replicas delete thousands of expired rows of each kind at once, and no login or refresh is refused meanwhile.
// Rows that have not expired stay.
func TestWhatIsOverGoesWhilePeopleLogIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const over, kept = 4_001, 3
		ann := s.register(t, "ann").ID
		fill(t, s, "00", ann, over, time.UnixMicro(1))
		fill(t, s, "kept", ann, kept, time.Now().Add(time.Hour))
		ends := make(chan struct{})
		var tidying, people sync.WaitGroup
		removed := make(chan int64, 2)
		for range cap(removed) {
			service := cleanupJob(s.open(t), time.Now)
			tidying.Go(func() {
				n, err := service.Cleanup(t.Context())
				if err != nil {
					t.Error(err)
				}
				removed <- n
			})
		}
		each := func(n int, ask func(i int) bool) {
			for i := range n {
				people.Go(func() {
					for ask(i) {
						select {
						case <-ends:
							return
						default:
						}
					}
				})
			}
		}
		tokens := make([]api.Token, 4)
		for i := range tokens {
			tokens[i] = s.newcomer(t, "visitor-"+strconv.Itoa(i))
		}
		each(len(tokens), func(i int) bool {
			a, err := s.try(refreshGrant(tokens[i].RefreshToken))
			if !answered(t, a, err) {
				return false
			}
			tokens[i] = decode[api.Token](a)
			return true
		})
		each(2, func(i int) bool {
			a, err := s.try(passwordGrant("visitor-"+strconv.Itoa(i), horse))
			return answered(t, a, err)
		})
		tidying.Wait()
		close(ends)
		people.Wait()
		// A replica stops where the other holds all that it finds; the next round would go on.
		if _, err := cleanupJob(s.open(t), time.Now).Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
		for _, p := range perishable {
			if gone, left := rows(t, s, p.table, "00"), rows(t, s, p.table, "kept"); gone != "0" || left != strconv.Itoa(kept) {
				t.Errorf("%s: %s expired rows are left, and %s of %d others", p.table, gone, left, kept)
			}
		}
		if first, second := <-removed, <-removed; first+second > over*int64(len(perishable))+kept { // sessions that are checked and kept count, too
			t.Errorf("%d and %d were removed of %d", first, second, over*len(perishable))
		}
		for _, own := range tokens {
			s.do(t, refreshGrant(own.RefreshToken)).want(200)
		}
	})
}

// No commit removes more than 500 rows, and between two of them the work can be stopped.
func TestTidyingGoesByBatches(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const over = 1_203
		fill(t, s, "00", s.register(t, "ann").ID, over, time.UnixMicro(1))
		count := func() int {
			sum := ""
			for _, p := range perishable {
				sum += ` + (SELECT COUNT(*) FROM ` + p.table + `)`
			}
			n, err := strconv.Atoi(s.value(t, `SELECT CAST(0`+sum+` AS TEXT)`))
			if err != nil {
				t.Error(err)
			}
			return n
		}
		db, total := s.open(t), count()
		var batches []int
		ctx, stop := context.WithCancel(t.Context())
		watched := func(stopAt int) *cleanup.Job {
			before := count()
			return cleanupJob(db, func() time.Time {
				now := count()
				batches, before = append(batches, before-now), now
				if len(batches) == stopAt {
					stop()
				}
				return time.Now()
			})
		}
		// The time is asked for before each batch. Whoever stops it before the second sees that one still.
		if n, err := watched(2).Cleanup(ctx); !errors.Is(err, context.Canceled) || n > 1_000 || n < 500 {
			t.Errorf("stopped: %d removed, %v", n, err)
		}
		batches = nil
		if _, err := watched(0).Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
		for _, n := range batches {
			if n > 500 {
				t.Errorf("a batch of %d", n)
			}
		}
		if left := count(); len(batches) < 3*len(perishable)-2 || left != total-over*len(perishable) {
			t.Errorf("batches of %v; %d are left of %d", batches, left, total)
		}
	})
}

// A table whose cleanup fails does not keep the others from being cleaned.
func TestOneFailingTableKeepsNothingElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann").ID
		for _, broken := range perishable {
			fill(t, s, "00", ann, 3, time.UnixMicro(1))
			s.sql(t, `ALTER TABLE `+broken.table+` RENAME TO lost`)
			_, err := cleanupJob(s.open(t), time.Now).Cleanup(t.Context())
			s.sql(t, `ALTER TABLE lost RENAME TO `+broken.table)
			if err == nil || !strings.Contains(err.Error(), broken.table) {
				t.Errorf("without %s: %v", broken.table, err)
			}
			for _, p := range perishable {
				if left := rows(t, s, p.table, "00"); p != broken && left != "0" {
					t.Errorf("without %s: %s of %s are left", broken.table, left, p.table)
				}
			}
			if n, err := cleanupJob(s.open(t), time.Now).Cleanup(t.Context()); n != 3 || err != nil {
				t.Errorf("with %s again: %d, %v", broken.table, n, err)
			}
		}
	})
}

// L4: the cleanup waits for no lock: neither for a counter that is being started anew, nor for one whose owner would
// wait for the cleanup in turn. That counter stays.
func TestTidyingWaitsForNobody(t *testing.T) {
	t.Parallel()
	s := start(t, postgresURL(t))
	fill(t, s, "00", s.register(t, "ann").ID, 3, time.UnixMicro(1))
	db, now := s.open(t), time.Now()
	err := db.Tx(t.Context(), func(q *store.Queries) error {
		counted, err := q.CountFailure(t.Context(), store.Throttle{Key: "00-2", Free: 5, ClearAt: now.Add(time.Hour)}, now)
		if err != nil || !counted {
			return fmt.Errorf("counted: %v, %w", counted, err)
		}
		_, err = cleanupJob(s.open(t), time.Now).Cleanup(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if left := s.value(t, `SELECT key || failures FROM throttles WHERE key LIKE '00-%'`); left != "00-21" || rows(t, s, "throttles", "00") != "1" {
		t.Errorf("left is %s, of %s", left, rows(t, s, "throttles", "00"))
	}
}
