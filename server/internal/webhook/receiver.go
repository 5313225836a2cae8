package webhook

import (
	"time"

	"sesame/server/internal/queue"
)

const (
	// maxSending bounds the requests at once of a replica to one receiver. There is no bound for all of them together, so no receiver
	// waits for another one.
	maxSending = 8
	// tolerated is how many attempts in a row fail before a replica makes only one at a time, with pauses from firstRest to longestRest. So
	// a receiver that is down costs next to nothing, however many deliveries wait; and one that fails half of the time is not slowed.
	tolerated   = 20
	firstRest   = time.Second
	longestRest = time.Minute
	// gather is how long a replica waits for room for half of maxSending, so that it does not claim deliveries one by one.
	gather = 200 * time.Millisecond
)

// receiver is what a replica remembers of the receiver of a webhook.
type receiver struct {
	busy      int       // requests at this moment
	claimedAt time.Time // by the clock of the machine
	failures  int       // in a row
	restUntil time.Time
	// since the last maintenance
	succeeded, failed, dropped int
}

// room returns how many deliveries may be claimed.
func (r *receiver) room(now time.Time) int {
	if r.failures >= tolerated {
		if r.busy > 0 || now.Before(r.restUntil) && !now.Add(longestRest).Before(r.restUntil) {
			return 0
		}
		return 1
	}
	room := maxSending - r.busy
	if room < maxSending/2 && time.Since(r.claimedAt) < gather {
		return 0
	}
	return room
}

// attempted counts an attempt by its outcome.
func (r *receiver) attempted(now time.Time, outcome string) {
	if outcome == delivered {
		r.succeeded++
		r.failures = 0
		return
	}
	if outcome == dropped {
		r.dropped++
	}
	r.failed++
	if r.failures++; r.failures >= tolerated {
		r.restUntil = now.Add(queue.Pause(r.failures-tolerated+1, firstRest, longestRest))
	}
}

// receiver returns what is remembered of a webhook. The caller holds s.mu.
func (s *Service) receiver(id string) *receiver {
	r := s.receivers[id]
	if r == nil {
		r = &receiver{}
		s.receivers[id] = r
	}
	return r
}
