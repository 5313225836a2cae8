package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sesame/server/internal/postgrestest"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// figures is the environment variable with the number of deliveries of TestManyDeliveries, whose figures decision 84 has.
const figures = "SESAME_TEST_DELIVERIES"

// jumping is a clock that a test moves on when nothing is to be done.
type jumping struct{ ahead atomic.Int64 }

func (c *jumping) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// halfFailing is a receiver that fails half of the time.
type halfFailing struct {
	mu       sync.Mutex
	inWork   map[string]int
	accepted map[string]int
	attempts int
	twice    int
}

func (h *halfFailing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Webhook-Id")
	h.mu.Lock()
	h.attempts++
	if h.inWork[id]++; h.inWork[id] > 1 {
		h.twice++
	}
	h.mu.Unlock()
	time.Sleep(time.Millisecond) // a network in the same region
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inWork[id]--
	if rand.N(2) == 0 { //nolint:gosec // chance
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.accepted[id]++
	w.WriteHeader(http.StatusNoContent)
}

// Deliveries to a receiver that fails half of the time: every event is accepted once, and none arrives twice at once.
func TestManyDeliveries(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(figures))
	if err != nil {
		t.Skip("set " + figures)
	}
	for _, engine := range []struct {
		url      string
		replicas int
	}{{"sqlite:" + filepath.Join(t.TempDir(), "sesame.db"), 1}, {postgrestest.Empty(t), 2}} {
		db, err := store.Create(t.Context(), engine.url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		t.Run(db.Engine(), func(t *testing.T) { deliverMany(t, db, engine.replicas, n) })
	}
}

func deliverMany(t *testing.T, db *store.DB, replicas, n int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if _, err := db.Migrate(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	half := &halfFailing{inWork: map[string]int{}, accepted: map[string]int{}}
	target := httptest.NewServer(half)
	defer target.Close()
	master, err := token.ParseMasterKey("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	clock := &jumping{}
	var outcomes sync.Map
	service := func() *Service {
		return New(db, master, token.NewCursors(master), Settings{Private: true, Now: store.Clock(clock.now), Log: slog.New(slog.DiscardHandler), Every: 100 * time.Millisecond, Attempted: func(o string) {
			count, _ := outcomes.LoadOrStore(o, new(atomic.Int64))
			count.(*atomic.Int64).Add(1)
		}})
	}
	hook, _, err := service().Create(ctx, nil, NewWebhook{URL: target.URL, Kinds: []string{"login"}})
	if err != nil {
		t.Fatal(err)
	}
	queueMany(t, db, clock, n)
	begun, cpu := time.Now(), usage()
	var workers sync.WaitGroup
	for range replicas {
		workers.Go(func() { service().Run(ctx) })
	}
	firstRound := time.Duration(0)
	for jumps := 0; ; jumps++ {
		time.Sleep(50 * time.Millisecond)
		waiting, next := queueState(t, db, clock, hook.ID)
		if firstRound == 0 && (waiting == 0 || !next.IsZero()) {
			firstRound = time.Since(begun)
		}
		if waiting == 0 {
			break
		}
		if !next.IsZero() {
			clock.ahead.Add(int64(next.Sub(clock.now()) + 10*time.Second))
		}
	}
	took, used := time.Since(begun), usage()-cpu
	stop()
	workers.Wait()
	outcomes.Range(func(o, count any) bool { t.Logf("%v: %d", o, count.(*atomic.Int64).Load()); return true })
	t.Logf("%d deliveries by %d replicas: %d attempts in %v (%.0f a second, the first of each in %v), %v of CPU, the receiver's included",
		n, replicas, half.attempts, took.Round(time.Second), float64(half.attempts)/took.Seconds(), firstRound.Round(time.Second), used.Round(time.Second))
	if len(half.accepted) != n || half.twice > 0 {
		t.Errorf("%d of %d events were accepted, %d arrived twice at once", len(half.accepted), n, half.twice)
	}
	for id, times := range half.accepted {
		if times != 1 {
			t.Errorf("%s was accepted %d times", id, times)
		}
	}
}

// queueMany records events, as transactions do.
func queueMany(t *testing.T, db *store.DB, clock *jumping, n int) {
	t.Helper()
	begun := time.Now()
	for i := 0; i < n; {
		err := db.Tx(t.Context(), func(q *store.Queries) error {
			for end := min(n, i+500); i < end; i++ {
				e := store.Event{ID: fmt.Sprintf("019ad827-a013-7b0e-8a64-%012d", i), At: store.Clock(clock.now)(), Kind: "login", Username: "ann", IPAddress: "192.0.2.1"}
				if err := q.RecordEvent(t.Context(), e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d events were recorded and queued in %v", n, time.Since(begun).Round(time.Millisecond))
}

// queueState returns how many deliveries wait, and when the next one is due, if nothing is to be done before.
func queueState(t *testing.T, db *store.DB, clock *jumping, id string) (waiting int, next time.Time) {
	t.Helper()
	pool, err := db.Pool(t.Context(), "SELECT")
	if err != nil {
		t.Fatal(err)
	}
	var due, claimed int
	var soonest int64
	row := pool.QueryRowContext(t.Context(), `
		SELECT COUNT(*), COALESCE(SUM(CASE WHEN due_at <= $2 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN claimed_until > 0 THEN 1 ELSE 0 END), 0), COALESCE(MIN(due_at), 0)
		FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'pending'`, id, clock.now().UnixMicro())
	if err = row.Scan(&waiting, &due, &claimed, &soonest); err != nil {
		t.Fatal(err)
	}
	if due == 0 && claimed == 0 && waiting > 0 {
		next = time.UnixMicro(soonest)
	}
	return waiting, next
}

// usage is the CPU time of the process.
func usage() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
