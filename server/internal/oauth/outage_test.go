package oauth

import (
	"context"
	"errors"
	"testing"
	"time"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// An outage is the time between its first and its last failure, if no refresh works meanwhile. It ends by itself, takes a limited part of
// a grace period, and neither a clock that was ahead nor a client that has gone makes one.
func TestOutages(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	unavailable := problem.New(problem.Unavailable, "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	type failure struct{ begun, failed int }
	for name, test := range map[string]struct {
		ctx      context.Context
		err      error
		failures []failure
		works    []int // when refreshes worked
		from, to int
		want     time.Duration
	}{
		"no outage":                                {from: 0, to: 30, want: 0},
		"one that begins with the refresh":         {failures: []failure{{0, 3}, {20, 25}}, from: 0, to: 30, want: 25 * time.Second},
		"one that begins after it":                 {failures: []failure{{5, 5}, {25, 25}}, from: 0, to: 30, want: 20 * time.Second},
		"the first request fails last":             {failures: []failure{{1, 1}, {0, 3}, {25, 25}}, from: 0, to: 30, want: 25 * time.Second},
		"one that was over before":                 {failures: []failure{{-30, -30}, {-5, -5}}, from: 0, to: 30, want: 0},
		"another one, after a while":               {failures: []failure{{0, 0}, {20, 20}, {100, 100}, {110, 110}}, from: 0, to: 120, want: 30 * time.Second},
		"a long one":                               {failures: []failure{{0, 50}, {100, 100}, {150, 150}, {200, 200}, {250, 250}, {300, 300}, {350, 350}}, from: 0, to: 360, want: longestOutage},
		"single failures of a database that works": {failures: []failure{{0, 0}, {50, 50}, {100, 102}, {150, 150}}, works: []int{10, 60, 120}, from: 0, to: 160, want: 2 * time.Second},
		"two, with a refresh in between":           {failures: []failure{{0, 0}, {10, 10}, {14, 14}, {20, 20}}, works: []int{12}, from: 0, to: 25, want: 16 * time.Second},
		"a request that waits on after the end":    {failures: []failure{{0, 0}, {10, 10}, {8, 13}, {40, 40}}, works: []int{12, 30}, from: 0, to: 45, want: 13 * time.Second},
		"a failure while the grace is calculated":  {failures: []failure{{0, 0}, {18, 21}}, from: 0, to: 20, want: 20 * time.Second},
		"a clock that is set during a request":     {failures: []failure{{5, 3610}}, from: 0, to: 30, want: 0},
		"a clock that was ahead":                   {failures: []failure{{3600, 3610}}, from: 0, to: 30, want: 0},
		"that was ahead in the middle":             {failures: []failure{{3600, 3610}, {5, 5}, {15, 15}}, from: 0, to: 30, want: 10 * time.Second},
		"another error":                            {err: problem.New(problem.InvalidGrant, ""), failures: []failure{{0, 0}, {20, 20}}, from: 0, to: 30, want: 0},
		"a fault":                                  {err: errors.New("fault"), failures: []failure{{0, 0}, {20, 20}}, from: 0, to: 30, want: 0},
		"clients that are gone":                    {ctx: gone, failures: []failure{{0, 0}, {20, 20}}, from: 0, to: 30, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, err := test.ctx, test.err
			if ctx == nil {
				ctx = t.Context()
			}
			if err == nil {
				err = unavailable
			}
			var o outage
			for _, f := range test.failures {
				for len(test.works) > 0 && test.works[0] < f.failed {
					o.note(ctx, at(test.works[0]), at(test.works[0]), nil)
					test.works = test.works[1:]
				}
				o.note(ctx, at(f.begun), at(f.failed), err)
			}
			if got := o.within(at(test.from), at(test.to)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// A server remembers a limited number of outages, the latest.
func TestFewOutagesAreRemembered(t *testing.T) {
	var o outage
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	for range 10 * maxOutages {
		o.note(t.Context(), now, now.Add(time.Second), problem.New(problem.Unavailable, ""))
		o.note(t.Context(), now.Add(2*time.Second), now.Add(2*time.Second), nil)
		now = now.Add(3 * time.Second)
	}
	if got := o.within(start, now); got != maxOutages*time.Second || len(o.known) != maxOutages {
		t.Errorf("got %v of %d", got, len(o.known))
	}
}

// A stranger who calls /readyz so often that calls wait for each other makes no outage: those that get no turn say nothing about the
// database.
func TestManyChecksOfTheDatabaseMakeNoOutage(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Service{now: func() time.Time { return now }}
	for range 30 {
		s.NoteReadiness(t.Context(), problem.Wrap(problem.Unavailable, "", store.ErrNotChecked))
		now = now.Add(time.Second)
	}
	if got := s.outage.within(now.Add(-30*time.Second), now); got != 0 {
		t.Errorf("got %v", got)
	}
}
