package apitest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// A connection to PostgreSQL that passes nothing more from any message of an operation on costs that request a bounded time, and no
// other.
func TestAConnectionThatStalls(t *testing.T) {
	if !thorough() {
		t.Skip("each stall takes three seconds; TestAFrozenDatabaseHoldsNobodyForEver is the short form")
	}
	t.Parallel()
	out := &outcomes{}
	t.Run("operations", func(t *testing.T) {
		for name, operation := range operations {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				name = strings.ReplaceAll(name, " ", "-")
				l.frames(operation, name+"-first", false)
				n := l.frames(operation, name+"-measured", false)
				for at := range n {
					if at%max(1, n/5) == 0 || at > n-3 {
						l.try(operation, fmt.Sprint(name, "-", at), at, stalls, false, out)
					}
				}
			})
		}
	})
	if out.slowest > 5*time.Second {
		t.Errorf("an answer took %v", out.slowest)
	}
	t.Logf("%d stalls: %d answers were successes; of those that were 503, %d operations were not done and %d were; the slowest answer took %v",
		out.points, out.served, out.undone, out.lost, out.slowest.Round(time.Millisecond))
}

// A slow network to PostgreSQL, or a narrow one, makes every operation slower and none fail, and leaves nothing behind.
func TestASlowNetwork(t *testing.T) {
	t.Parallel()
	for what, slow := range map[string]struct {
		delay time.Duration
		rate  int
	}{
		"latency":   {delay: map[bool]time.Duration{false: 5 * time.Millisecond, true: 200 * time.Millisecond}[thorough()]},
		"bandwidth": {rate: map[bool]int{false: 100 << 10, true: 4 << 10}[thorough()]},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for _, name := range slices.Sorted(maps.Keys(operations)) {
				tried := operations[name](l, strings.ReplaceAll(name, " ", "-"))
				l.network.slow(slow.delay, slow.rate)
				begun := time.Now()
				l.s.do(t, tried.request).want(tried.ok)
				t.Logf("%v each way, %d bytes a second: %s took %v", slow.delay, slow.rate, name, time.Since(begun).Round(time.Millisecond))
				// It takes three round trips within 1.5 s, or four on a new connection.
				until(t, "the server is ready", func() bool { return l.s.do(t, get("/readyz")).status == 200 })
				l.network.slow(0, 0)
				if l.database.value(t, tried.done) != "1" {
					t.Errorf("%s was acknowledged, and is lost", name)
				}
				tried.after()
			}
		})
	}
}
