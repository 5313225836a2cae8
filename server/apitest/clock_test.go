package apitest

import (
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// clock is the time that a server under test goes by.
type clock struct {
	mu      sync.Mutex
	stopped time.Time // if set
	ahead   time.Duration
	asks    int    // until then is called
	then    func() // if set
	where   string // only asks inside this function count, if set
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

// due counts an ask, and gives what is to be done at it.
func (c *clock) due() (then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks == 0 || c.where != "" && !strings.Contains(string(debug.Stack()), c.where+"(") {
		return nil
	}
	if c.asks--; c.asks == 0 {
		return c.then
	}
	return nil
}

// at calls f when the server asks for the time for the nth time from Now: a place in the midst of a
// request.
func (c *clock) at(n int, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks, c.then, c.where = n, f, ""
}

// inside is at for a function of the server, whatever else asks meanwhile.
func (c *clock) inside(function string, n int, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks, c.then, c.where = n, f, function
}

// stop lets time pass by advance alone.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now().Truncate(time.Hour) // a full hour, so that none begins in the middle of a test
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
