package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// round is what one case did in one of its turns.
type round struct {
	latencies []time.Duration // of every request
	failures  int             // answers other than 200
	elapsed   time.Duration
	cpu       time.Duration // of the server alone
}

// cpuPerRequest is the server's CPU time for one request, in microseconds.
func (r round) cpuPerRequest() float64 {
	return float64(r.cpu) / float64(time.Microsecond) / float64(len(r.latencies))
}

func (r round) perSecond() float64 { return float64(len(r.latencies)) / r.elapsed.Seconds() }

// measure sends requests over all connections at once for as long as told. Every connection waits
// for its last answer, so that the CPU time and the requests that it was spent on match.
func (c *benchCase) measure(duration time.Duration) (round, error) {
	before, err := c.server.cpu()
	if err != nil {
		return round{}, err
	}
	began := time.Now()
	parts := make([]round, len(c.clients))
	errs := make([]error, len(c.clients))
	var group sync.WaitGroup
	for i, client := range c.clients {
		group.Go(func() { parts[i], errs[i] = client.repeat(began.Add(duration)) })
	}
	group.Wait()
	whole := round{elapsed: time.Since(began)}
	if err := errors.Join(errs...); err != nil {
		return round{}, err
	}
	after, err := c.server.cpu()
	if err != nil {
		return round{}, err
	}
	whole.cpu = after - before
	for _, part := range parts {
		whole.latencies = append(whole.latencies, part.latencies...)
		whole.failures += part.failures
	}
	return whole, nil
}

// repeat sends the client's request until the deadline, at least once.
func (c *client) repeat(deadline time.Time) (round, error) {
	c.conn.SetDeadline(deadline.Add(requestTimeout))
	var r round
	for began := time.Now(); ; {
		status, body, err := c.roundTrip(c.request)
		if err != nil {
			return r, err
		}
		now := time.Now()
		r.latencies = append(r.latencies, now.Sub(began))
		if status != 200 {
			r.failures++
		} else if c.after != nil {
			if c.request, err = c.after(body); err != nil {
				return r, fmt.Errorf("make the next request: %w", err)
			}
			now = time.Now() // what we take to read the answer is no latency
		}
		if now.After(deadline) {
			return r, nil
		}
		began = now
	}
}

// spread is the median of some values and how far they lie apart.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return spread{}
	}
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (median + sorted[middle-1]) / 2
	}
	return spread{median: median, low: sorted[0], high: sorted[len(sorted)-1]}
}

// each applies a figure to every round.
func (c *benchCase) each(figure func(round) float64) spread {
	values := make([]float64, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = figure(r)
	}
	return spreadOf(values)
}

// against divides a figure by that of another case in the same round.
func (c *benchCase) against(other *benchCase, figure func(round) float64) spread {
	values := make([]float64, len(c.rounds))
	for i, r := range c.rounds {
		values[i] = figure(r) / figure(other.rounds[i])
	}
	return spreadOf(values)
}

// latencies returns those of all rounds, sorted.
func (c *benchCase) latencies() []time.Duration {
	var all []time.Duration
	for _, r := range c.rounds {
		all = append(all, r.latencies...)
	}
	slices.Sort(all)
	return all
}

func (c *benchCase) failures() (n int) {
	for _, r := range c.rounds {
		n += r.failures
	}
	return n
}

// percentile returns the value that a share of the sorted ones do not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
