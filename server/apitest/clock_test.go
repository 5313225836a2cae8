package apitest

import (
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// clock is the time of a server under test.
type clock struct {
	mu      sync.Mutex
	stopped time.Time // if set
	ahead   time.Duration
	inside  string // a function of the server; when it asks for the time, then is called, once
	then    func()
}

func (c *clock) now() time.Time {
	if then := c.due(); then != nil {
		then()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

func (c *clock) due() (then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.then != nil && strings.Contains(string(debug.Stack()), c.inside+"(") {
		then, c.then = c.then, nil
	}
	return then
}

// during calls f when a function of the server asks for the time next: so a test can hold a worker up, which no request
// could.
func (c *clock) during(function string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside, c.then = function, f
}

// stop stops the clock at a full hour, so that none begins in the middle of a test. Only advance moves it on.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now().Truncate(time.Hour)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// follow sets the clock to the time of another one that is stopped.
func (c *clock) follow(other *clock) {
	now := other.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped, c.ahead = now, 0
}
