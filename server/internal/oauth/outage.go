package oauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// outageGap is the longest time between two failures of one outage, and more than a request takes.
	outageGap = time.Minute
	// longestOutage limits by how much outages extend a grace period.
	longestOutage = 5 * time.Minute
	// maxOutages is how many are remembered.
	maxOutages = 16
)

// outage is the time during which this server could not use the database. It does not count towards the grace period of
// a refresh token: a refresh may be committed while its answer is lost with the connection to the database, and the client
// can only retry when the database works again. A failover often takes longer than the grace period.
//
// A refresh that works ends an outage: otherwise a few failures, which a stranger may be able to cause, would count as an outage
// from the first to the last of them, and an old token that was stolen would work for longer.
type outage struct {
	mu    sync.Mutex
	known []failed // the latest, in their order
	over  bool     // whether the database has worked after the last one
}

type failed struct {
	begun time.Time // when the first request that failed began
	last  time.Time // when the last one failed
}

// note records the result of a request. A failure of one that its client has ended says nothing about the database.
func (o *outage) note(ctx context.Context, begun, now time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.over = o.over || len(o.known) > 0 && begun.After(o.known[len(o.known)-1].last)
		return
	}
	took := now.Sub(begun)
	if e, ok := errors.AsType[*problem.Error](err); !ok || e.Code != problem.Unavailable || ctx.Err() != nil || took.Abs() > outageGap { // or the clock was set
		return
	}
	if n := len(o.known); n > 0 {
		latest := &o.known[n-1]
		near := begun.Sub(latest.last).Abs() <= outageGap
		if near && (!o.over || begun.Before(latest.last)) {
			if begun.Before(latest.begun) {
				latest.begun = begun
			}
			if now.After(latest.last) {
				latest.last = now
			}
			o.over = false
			return
		}
		o.known = o.known[max(0, n+1-maxOutages):]
	}
	o.known, o.over = append(o.known, failed{begun, now}), false
}

// within returns how much of the time between two others outages took.
func (o *outage) within(from, to time.Time) (total time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.known {
		if f.begun.After(to) { // the clock was ahead
			continue
		}
		if f.begun.After(from) {
			from = f.begun
		}
		if f.last.After(to) {
			f.last = to
		}
		if f.last.After(from) {
			total += f.last.Sub(from)
			from = f.last
		}
	}
	return min(total, longestOutage)
}

// NoteReadiness tells the service that a check of the database has failed, so that it knows of an outage during which it is
// not used.
func (s *Service) NoteReadiness(ctx context.Context, err error) {
	if errors.Is(err, store.ErrNotChecked) {
		return
	}
	now := s.now()
	s.outage.note(ctx, now, now, err)
}
