package apitest

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// P7: of more logins than can be hashed, those over the queue are told to come back, and nobody else
// waits for them: whoever asks for something else is answered while they are still being hashed.
func TestAFloodOfLoginsHoldsUpNobodyElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		const flood = 150
		answers := make(chan *answer, flood)
		var waiting atomic.Int64
		for i := range flood {
			waiting.Add(1)
			go func() {
				// Each of a name and an address of its own: none of them is throttled.
				a, err := s.try(from(fmt.Sprintf("203.0.113.%d", i), passwordGrant(fmt.Sprintf("nobody-%d", i), wrong)))
				waiting.Add(-1)
				if err != nil {
					t.Error(err)
				}
				answers <- a
			}()
		}
		refused := 0
		for range flood {
			a := <-answers
			if a == nil {
				continue
			}
			if a.t = t; a.status != 503 {
				a.want(400, "invalid_grant")
				continue
			}
			if a.want(503, "temporarily_unavailable"); a.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
			}
			if refused++; refused == 1 { // the queue is full now
				s.do(t, request{method: "GET", path: "/healthz"}).want(200)
				s.do(t, me(token)).want(200)
				if waiting.Load() == 0 {
					t.Error("both have waited for the whole flood")
				}
			}
		}
		if refused == 0 || refused > flood-64 {
			t.Errorf("%d of %d were refused", refused, flood)
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
	}, proxied)
}
