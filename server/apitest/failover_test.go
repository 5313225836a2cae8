package apitest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/postgrestest"
)

// writers are people who register others and refresh their sessions while the database fails.
type writers struct {
	s      *server
	tokens []api.Token
	names  atomic.Int64

	mu           sync.Mutex
	acknowledged []string // accounts
	refused      int      // registrations; any of them may have been done
}

func newWriters(t *testing.T, s *server) *writers {
	t.Helper()
	w := &writers{s: s, tokens: make([]api.Token, 4)}
	for i := range w.tokens {
		w.tokens[i] = s.newcomer(t, fmt.Sprint("ann", i))
	}
	return w
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// through begins a fault while everybody writes, and returns how long after its end everybody's writes were acknowledged again. Every
// answer is a success or 503.
func (w *writers) through(t *testing.T, fault func()) (again time.Duration) {
	t.Helper()
	over, deadline := make(chan struct{}), time.Now().Add(time.Minute)
	var wait sync.WaitGroup
	var working atomic.Int64
	for i := range w.tokens {
		wait.Go(func() {
			for time.Now().Before(deadline) && !w.once(t, i, over, &working) {
			}
		})
	}
	before := w.count()
	until(t, "many writes are acknowledged", func() bool { return w.count() > before+10 })
	fault()
	begun := time.Now()
	close(over)
	wait.Wait()
	if int(working.Load()) != len(w.tokens) {
		t.Fatalf("%d of %d work again", working.Load(), len(w.tokens))
	}
	return time.Since(begun)
}

// once registers somebody and refreshes a session. It reports whether the person has ended: both were acknowledged after the fault, or
// an answer was wrong.
func (w *writers) once(t *testing.T, i int, over <-chan struct{}, working *atomic.Int64) (ended bool) {
	after := false
	select {
	case <-over:
		after = true
	default:
	}
	name := fmt.Sprint("guest", w.names.Add(1))
	a, err := w.s.try(request{method: "POST", path: "/users", json: map[string]string{"username": name, "password": horse}})
	if err != nil || a.status != 201 && a.status != 503 {
		t.Errorf("a registration: %+v %v", a, err)
		return true
	}
	w.mu.Lock()
	if a.status == 201 {
		w.acknowledged = append(w.acknowledged, name)
	} else {
		w.refused++
	}
	w.mu.Unlock()
	b, err := w.s.try(refreshGrant(w.tokens[i].RefreshToken))
	if err != nil || b.status != 200 && b.status != 503 {
		t.Errorf("a refresh: %+v %v", b, err)
		return true
	}
	if b.status == 200 {
		b.t = t
		w.tokens[i] = decode[api.Token](b)
	}
	if after && a.status == 201 && b.status == 200 {
		working.Add(1)
		return true
	}
	return false
}

// check fails the test for every acknowledged account that is lost, and every session that has ended.
func (w *writers) check(t *testing.T) {
	t.Helper()
	stdout := w.s.must(t, "", "user", "list", "--json")
	for _, name := range w.acknowledged {
		if !strings.Contains(stdout, strconv.Quote(name)) {
			t.Errorf("%s was acknowledged, and is lost", name)
		}
	}
	for _, each := range w.tokens {
		w.s.do(t, me(each.AccessToken)).want(200)
		w.s.do(t, refreshGrant(each.RefreshToken)).want(200)
	}
	w.s.do(t, get("/readyz")).want(200)
}

// N19: when the primary dies and its standby takes over, every acknowledged write is there, a refresh token that was valid is
// not refused, every other answer is 503, and the server works again without a restart.
func TestAFailover(t *testing.T) {
	t.Parallel()
	pair := postgrestest.StartPair(t)
	w := newWriters(t, start(t, pair.URL()))
	again := w.through(t, pair.Fail)
	w.check(t)
	t.Logf("%d registrations acknowledged, %d answered with 503; all work %v after the promotion", len(w.acknowledged), w.refused, again.Round(time.Millisecond))
}

// The same when PostgreSQL itself is killed, or the process of one of its connections, again and again, and starts again on what it
// has left.
func TestAKilledPostgres(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	postgres := postgrestest.StartCrashing(t, "/tmp")
	w := newWriters(t, start(t, postgres.URL()))
	var slowest time.Duration
	for round := range max(2, killRounds()) {
		fault := postgres.KillBackend
		if round%2 == 0 {
			fault = func() { postgres.Kill(); postgres.Start() }
		}
		slowest = max(slowest, w.through(t, fault))
	}
	w.check(t)
	t.Logf("%d kills, %d registrations acknowledged, %d answered with 503; all work at most %v after PostgreSQL does", max(2, killRounds()), len(w.acknowledged), w.refused, slowest.Round(time.Millisecond))
}
