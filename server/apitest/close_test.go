package apitest

import (
	"database/sql"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/internal/password"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// goroutines gives the stack of every goroutine of the process, by its id.
func goroutines() map[string]string {
	text := make([]byte, 16<<20)
	stacks := map[string]string{}
	for _, stack := range strings.Split(string(text[:runtime.Stack(text, true)]), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		stacks[id] = stack
	}
	return stacks
}

// leaked fails the test for every goroutine that was not there before and runs code of the program. A goroutine of a test
// has the test's file in its stack.
func leaked(t *testing.T, before map[string]string) {
	t.Helper()
	left := func() (stacks []string) {
		for id, stack := range goroutines() {
			if before[id] == "" && strings.Contains(stack, "sesame/") && !strings.Contains(stack, "_test.go") {
				stacks = append(stacks, stack)
			}
		}
		return stacks
	}
	// A goroutine that has said that it is done may have its last instructions before it.
	for range 100 {
		if len(left()) == 0 {
			return
		}
		runtime.Gosched()
	}
	for _, stack := range left() {
		t.Errorf("a goroutine is left:\n%s", stack)
	}
}

// untilWaiting waits until a goroutine that runs a function waits for a WaitGroup, and fails the test if ended is closed
// before.
func untilWaiting(t *testing.T, function string, ended <-chan struct{}) {
	t.Helper()
	waits := regexp.MustCompile(`(?s)sync\.\(\*WaitGroup\)\.Wait.*` + regexp.QuoteMeta(function) + `\(`)
	until(t, function+" waits", func() bool {
		select {
		case <-ended:
			t.Error("it does not wait")
			return true
		default:
		}
		for _, stack := range goroutines() {
			if waits.MatchString(stack) {
				return true
			}
		}
		return false
	})
}

// N20: when a server has stopped, nothing of it runs any more: no worker, no request, no record that follows an
// answer, no mail, no writer of the database and none of the log. (Not in parallel: others' goroutines would be in
// sight.)
func TestNothingRunsAfterTheEnd(t *testing.T) {
	for name, databaseURL := range engines {
		t.Run(name, func(t *testing.T) {
			url, post := databaseURL(t), smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
			before := goroutines()
			for round := range 6 {
				s := start(t, url, "SESAME_SMTP_URL="+post.URL)
				ann := fmt.Sprintf("ann%d", round)
				access := s.newcomer(t, ann).AccessToken
				requests := []request{
					withScope(passwordGrant(ann, horse), "users:write"), me(access), changeEmail(access, ann+"@example.org", horse),
					passwordGrant(ann, wrong), requestReset(ann + "@example.com"),
				}
				if got := inParallel(t, []*server{s}, requests); got[500] > 0 {
					t.Errorf("the answers are %v", got)
				}
				s.stop()
				leaked(t, before)
			}
		})
	}
}

// N20: the program does not end before its workers do, however long one takes.
func TestStoppingWaitsForTheWorkers(t *testing.T) {
	for _, worker := range []string{"(*Keys).Maintain", "(*Worker[...]).claim", "(*Service).recordCorrectPassword"} {
		t.Run(worker, func(t *testing.T) {
			before := goroutines()
			s := start(t, sqliteURL(t))
			s.register(t, "ann")
			entered, release, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
			s.clock.during(worker, func() { close(entered); <-release })
			r := withScope(passwordGrant("ann", horse), "users:write") // which is recorded after the answer
			if a, err := s.try(r); err != nil || a.status != 400 {
				t.Errorf("%v %v", a, err)
			}
			until(t, worker+" runs", func() bool {
				select {
				case <-entered:
					return true
				default:
					return false
				}
			})
			go func() { s.stop(); close(stopped) }()
			untilWaiting(t, "app.(*App).Close", stopped)
			close(release)
			<-stopped
			leaked(t, before)
		})
	}
}

// N20: closing a database waits for the commit that is under way, and a write that was accepted is acknowledged.
func TestClosingWaitsForTheWriter(t *testing.T) {
	before := goroutines()
	url := sqliteURL(t)
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	file, _ := store.SQLitePath(url)
	other, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	held, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	written, closed := make(chan error, 1), make(chan struct{})
	go func() { written <- db.ReserveUsername(t.Context(), "ann", time.Now().Add(time.Hour)) }()
	until(t, "the writer writes", func() bool {
		for _, stack := range goroutines() {
			if strings.Contains(stack, "store.(*batchWriter).commit(") {
				return true
			}
		}
		return false
	})
	go func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		close(closed)
	}()
	untilWaiting(t, "store.(*batchWriter).close", closed)
	if err = held.Rollback(); err != nil {
		t.Error(err)
	}
	<-closed
	if err = <-written; err != nil {
		t.Errorf("the write: %v", err)
	}
	leaked(t, before)
	if err = db.ReserveUsername(t.Context(), "bob", time.Now()); err == nil {
		t.Error("a write after the end was accepted")
	}
}

// N20: of many writes that race with the end of a database, those that are acknowledged are there.
func TestWritesThatRaceWithTheEnd(t *testing.T) {
	t.Parallel()
	for range 10 {
		url := sqliteURL(t)
		db, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		var mu sync.Mutex
		acknowledged, first := 0, make(chan struct{}, 1000)
		for i := range 8 {
			writers.Go(func() {
				for n := 0; ; n++ {
					if db.ReserveUsername(t.Context(), fmt.Sprintf("%d-%d", i, n), time.Now().Add(time.Hour)) != nil {
						return
					}
					mu.Lock()
					acknowledged++
					mu.Unlock()
					select {
					case first <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 20 {
			<-first
		}
		if err = db.Close(); err != nil {
			t.Error(err)
		}
		writers.Wait()
		var there string
		if err = rawSQL(t.Context(), url, `SELECT CAST(COUNT(*) AS TEXT) FROM reserved_usernames`, &there); err != nil || there != fmt.Sprint(acknowledged) {
			t.Errorf("%v: %s are there, %d were acknowledged", err, there, acknowledged)
		}
	}
}

// N20: nothing is begun behind the answers once the domain is closed.
func TestAClosedServiceStartsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		a := c.addUser(t)
		hasher, err := password.NewForTests(password.Argon2id, password.NewPolicy(8, nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		service, _, _ := domain(c.db, hasher, c.issuer, identity.Settings{Now: time.Now})
		service.Close()
		service.Close() // which is harmless
		_, _, _ = service.Login(t.Context(), identity.Login{Username: a.userID, Password: secret.New(horse), Wanted: identity.Wanted{Scopes: []string{"invented"}}})
		service.Close()
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'password_accepted'`); n != "0" {
			t.Errorf("%s events are recorded after the end", n)
		}
	})
}
