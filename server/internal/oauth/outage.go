package oauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"sesame/server/internal/problem"
)

const (
	// outageGap is the longest time between two failures of one outage.
	outageGap = time.Minute
	// longestOutage limits by how much an outage extends a grace period.
	longestOutage = 5 * time.Minute
)

// outage is the latest time during which this server could not use the database. It does not count towards the grace period of
// a refresh token: a refresh may be committed while its answer is lost with the connection to the database, and the client
// can only retry when the database works again. A failover often takes longer than the grace period.
type outage struct {
	mu    sync.Mutex
	begun time.Time // when the first request that failed began
	last  time.Time // when the last one failed
}

// note records the failure of a request. One that its client has ended says nothing about the database.
func (o *outage) note(ctx context.Context, begun, now time.Time, err error) {
	if e, ok := errors.AsType[*problem.Error](err); !ok || e.Code != problem.Unavailable || ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if begun.Before(o.begun) || begun.Sub(o.last).Abs() > outageGap { // another outage, or the clock was set
		o.begun = begun
	}
	o.last = now
}

// within returns how much of the time between two others the outage took.
func (o *outage) within(from, to time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.begun.After(from) {
		from = o.begun
	}
	if o.last.After(to) || !o.last.After(from) {
		return 0
	}
	return min(o.last.Sub(from), longestOutage)
}

// NoteReadiness tells the service what a check of the database has returned, so that it knows of an outage during which it is
// not used.
func (s *Service) NoteReadiness(ctx context.Context, err error) {
	now := s.now()
	s.outage.note(ctx, now, now, err)
}
