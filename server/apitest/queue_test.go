package apitest

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
)

// gate holds up whatever passes it while it is closed: password hashes, so that a test decides how long they take.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // closed when the gate opens again; nil while it is open
	next   func()        // called by the next to pass, if set
}

func (g *gate) pass() {
	g.mu.Lock()
	closed, next := g.closed, g.next
	g.next = nil
	g.mu.Unlock()
	if next != nil {
		next()
	}
	if closed != nil {
		<-closed
	}
}

// during calls f while the next hash is made: in the midst of a login, say, after the account was read and before it is
// known whether the password is correct. f may send requests, since there is more than one core (TestMain).
func (g *gate) during(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = f
}

// close closes the gate until open is called.
func (g *gate) close() (open func()) {
	closed := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed = nil
		close(closed)
	})
}

// queueSize is how many hashes wait, and inProgress how many are being made, when the queue is full.
const queueSize = 64

func inProgress() int { return runtime.GOMAXPROCS(0) }

// fillQueue makes the server's queue of hashes full with failing logins from one address, and keeps it full until
// release is called, which waits for their answers. refused receives those that are answered before.
func (s *server) fillQueue(t *testing.T, address string) (refused <-chan *answer, release func()) {
	t.Helper()
	open := s.hashes.close()
	answers := make(chan *answer, queueSize+inProgress()+1)
	var logins sync.WaitGroup
	for i := range cap(answers) {
		logins.Go(func() {
			a, err := s.try(from(address, passwordGrant(fmt.Sprint("nobody-", i), wrong)))
			if err != nil {
				t.Error(err)
			}
			answers <- a
		})
	}
	release = sync.OnceFunc(func() { open(); logins.Wait() })
	t.Cleanup(release)
	if a := <-answers; a == nil || a.status != http.StatusServiceUnavailable { // the one for which there was no room
		t.Errorf("of %d logins, the first to be answered got %+v", cap(answers), a)
	}
	return answers, release
}

// P7: a login for which the queue of hashes has no room is refused with 503, and requests that need no hash are
// answered while the queue is full.
func TestAFloodOfLoginsHoldsUpNobodyElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		_, release := s.fillQueue(t, "203.0.113.1")
		a := s.do(t, from("203.0.113.1", passwordGrant("ann", horse))).want(503, "temporarily_unavailable")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		s.do(t, get("/healthz")).want(200)
		s.do(t, get("/readyz")).want(200)
		s.do(t, me(token)).want(200)
		release()
		s.do(t, from("203.0.113.1", passwordGrant("ann", horse))).want(200)
	}, proxied)
}

// N2: while one network keeps the queue of hashes full, logins and registrations of other networks are not refused:
// each takes the place of one of that network.
func TestAFullQueueRefusesNoOtherNetwork(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		refused, release := s.fillQueue(t, "203.0.113.7")
		var others sync.WaitGroup
		for i := range 10 {
			for name, r := range map[string]request{"login": passwordGrant("ann", horse), "registration": registration(fmt.Sprint("person-", i))} {
				others.Go(func() {
					a, err := s.try(from(fmt.Sprintf("198.51.100.%d", i), r))
					if err != nil || a.status >= 300 {
						t.Errorf("%s %d: %v %+v", name, i, err, a)
					}
				})
				if a := <-refused; a == nil || a.status != http.StatusServiceUnavailable { // its place was taken
					t.Errorf("%s %d: one of the flood got %+v", name, i, a)
				}
			}
		}
		release()
		others.Wait()
		if a := <-refused; a.status != http.StatusBadRequest {
			t.Errorf("what is left of the flood got %+v", a)
		}
	}, proxied)
}

// N2: a request for which there is no room is refused before it is counted, or looked up.
func TestAFullQueueRefusesEarly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const address = "203.0.113.7"
		s.register(t, "ann")
		s.clock.stop()
		s.spend(t, "ann", address)
		s.do(t, from(address, passwordGrant("ann", wrong))).throttled(1)
		_, release := s.fillQueue(t, address)
		s.do(t, from(address, passwordGrant("ann", wrong))).want(503) // though the account has to wait as well
		for range 3 {
			s.do(t, from(address, registration("bob"))).want(503, "unavailable")
		}
		release()
		s.do(t, from(address, registration("bob"))).want(201) // the one that the network has in an hour
		s.do(t, from(address, registration("eve"))).want(429)
	}, proxied, "SESAME_REGISTRATION_LIMIT=1")
}
