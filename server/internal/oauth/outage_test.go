package oauth

import (
	"context"
	"errors"
	"testing"
	"time"

	"sesame/server/internal/problem"
)

// An outage is the time between its first and its last failure. It ends by itself, takes a limited part of a grace period, and
// neither a clock that was ahead nor a client that has gone makes one.
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
		from, to int
		want     time.Duration
	}{
		"no outage":                        {from: 0, to: 30, want: 0},
		"one that begins with the refresh": {failures: []failure{{0, 3}, {20, 25}}, from: 0, to: 30, want: 25 * time.Second},
		"one that begins after it":         {failures: []failure{{5, 5}, {25, 25}}, from: 0, to: 30, want: 20 * time.Second},
		"the first request fails last":     {failures: []failure{{1, 1}, {0, 3}, {25, 25}}, from: 0, to: 30, want: 25 * time.Second},
		"one that was over before":         {failures: []failure{{-30, -30}, {-5, -5}}, from: 0, to: 30, want: 0},
		"another one, after a while":       {failures: []failure{{0, 0}, {20, 20}, {100, 100}, {110, 110}}, from: 0, to: 120, want: 10 * time.Second},
		"a long one":                       {failures: []failure{{0, 50}, {100, 100}, {150, 150}, {200, 200}, {250, 250}, {300, 300}, {350, 350}}, from: 0, to: 360, want: longestOutage},
		"a clock that was ahead":           {failures: []failure{{3600, 3610}}, from: 0, to: 30, want: 0},
		"that was ahead in the middle":     {failures: []failure{{3600, 3610}, {5, 5}, {15, 15}}, from: 0, to: 30, want: 10 * time.Second},
		"another error":                    {err: problem.New(problem.InvalidGrant, ""), failures: []failure{{0, 0}, {20, 20}}, from: 0, to: 30, want: 0},
		"a fault":                          {err: errors.New("fault"), failures: []failure{{0, 0}, {20, 20}}, from: 0, to: 30, want: 0},
		"clients that are gone":            {ctx: gone, failures: []failure{{0, 0}, {20, 20}}, from: 0, to: 30, want: 0},
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
				o.note(ctx, at(f.begun), at(f.failed), err)
			}
			if got := o.within(at(test.from), at(test.to)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
