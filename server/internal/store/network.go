package store

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// answerTime is how long a connection waits for the next bytes of PostgreSQL, so that no request waits for a network that is gone.
	// It is longer than statementTime: PostgreSQL ends a slow statement itself, and the connection survives.
	answerTime = statementTime + 250*time.Millisecond
	// pingTime is answerTime for a connection that has not been used for a while, before it is.
	pingTime = time.Second
)

// network opens the connections to PostgreSQL. When one gets no answer, those that were opened before it are not used again
// without a new look at them: a firewall forgets all idle connections at once, and a failover ends them all.
type network struct {
	dial    pgconn.DialFunc
	timeout time.Duration // of dial
	answer  time.Duration // answerTime, or more if the operator allows statements more time
	silent  atomic.Int64  // when a connection last got no answer, in nanoseconds since 1970

	mu      sync.Mutex
	closing time.Time // until when the connections have time to end in order; zero before close
	open    sync.WaitGroup
}

// close opens no more connections, and gives all of them together some time to end in order: database/sql closes one after
// the other, and the server must stop even if the network is gone.
func (n *network) close(within time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closing = time.Now().Add(within)
}

// bound returns the earlier of a time and the end of closing.
func (n *network) bound(until time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closing.IsZero() && n.closing.Before(until) {
		return n.closing
	}
	return until
}

// connect is a pgconn.DialFunc.
func (n *network) connect(ctx context.Context, kind, address string) (net.Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, n.bound(time.Now().Add(n.timeout))) // the driver gives a cancellation 15 s
	defer cancel()
	conn, err := n.dial(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	if c, ok := conn.(*net.TCPConn); ok { // finds a peer that is gone while nobody uses the connection, and keeps firewalls from forgetting it
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3})
	}
	bounded := &boundedConn{Conn: conn, network: n, opened: time.Now()}
	bounded.limit.Store(int64(n.answer))
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closing.IsZero() { // closed may wait already
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	n.open.Add(1)
	return bounded, nil
}

// shouldPing says whether a connection of the pool must answer before it is used.
func (n *network) shouldPing(_ context.Context, p stdlib.ShouldPingParams) bool {
	conn := bounded(p.Conn.PgConn().Conn())
	if conn == nil {
		return p.IdleDuration > time.Second
	}
	if conn.opened.UnixNano() <= n.silent.Load() {
		_ = conn.Close() // and so the ping fails
		return true
	}
	// A database that restarts, or a pooler, closes every idle connection. Each of them would otherwise fail a request.
	if p.IdleDuration <= time.Second && !hasNews(conn.Conn) {
		return false
	}
	conn.limit.Store(int64(pingTime)) // until it has answered
	return true
}

// bounded returns the connection below TLS, or nil for another kind.
func bounded(conn net.Conn) *boundedConn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	b, _ := conn.(*boundedConn)
	return b
}

// boundedConn fails when PostgreSQL sends nothing for a while after a message.
type boundedConn struct {
	net.Conn
	network *network
	opened  time.Time
	limit   atomic.Int64 // a time.Duration
	closing sync.Once

	mu     sync.Mutex
	own    time.Time // until when the next bytes must pass
	driver time.Time // the deadline that the driver has set, which it does when a context ends; zero for none
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.closing.Do(c.network.open.Done)
	if errors.Is(err, net.ErrClosed) { // by failed
		return nil
	}
	return err
}

// Write implements net.Conn.
func (c *boundedConn) Write(p []byte) (int, error) {
	c.wait()
	n, err := c.Conn.Write(p)
	return n, c.failed(err)
}

// Read implements net.Conn. The time of a Read begins with it, and not with the last bytes: the reader of many rows may take its
// time between two of them.
func (c *boundedConn) Read(p []byte) (int, error) {
	c.wait()
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.limit.Store(int64(c.network.answer))
	}
	return n, c.failed(err)
}

// wait gives the next bytes their time.
func (c *boundedConn) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = c.network.bound(time.Now().Add(time.Duration(c.limit.Load())))
	_ = c.setDeadline() // if this fails, so does the Read
}

// SetDeadline implements net.Conn. wait does not extend a deadline of the driver.
func (c *boundedConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.driver = t
	return c.setDeadline()
}

func (c *boundedConn) setDeadline() error {
	if !c.driver.IsZero() && (c.own.IsZero() || c.driver.Before(c.own)) {
		return c.Conn.SetDeadline(c.driver)
	}
	return c.Conn.SetDeadline(c.own)
}

// failed takes note of an answer that has not come. A context that ends also ends a Read, but sooner.
func (c *boundedConn) failed(err error) error {
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // of the net package itself
		c.mu.Lock()
		defer c.mu.Unlock()
		if now := time.Now(); !now.Before(c.own) {
			c.network.silent.Store(now.UnixNano())
			_ = c.Conn.Close() // or the driver ends the session in order, and waits as long again
		}
	}
	return err
}
