package apitest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// relay is the network in front of a server, for tests of faults. It passes on whole frames, which are messages of PostgreSQL or
// lines of SMTP, so a test can name the frame at which it fails: a proxy that knows no frames, such as toxiproxy, cannot cut a
// connection between a COMMIT and its answer.
type relay struct {
	address string
	frame   func(r *bufio.Reader, first bool) ([]byte, error)
	ended   chan struct{} // closed when the test ends

	mu    sync.Mutex
	links map[*link]bool
	fault *fault        // the next one; nil for none
	dead  bool          // passes nothing more, and closes nothing
	delay time.Duration // of every frame, each way
	rate  int           // bytes a second, each way; 0 for no limit
	trips []string      // the first frame of each round trip: a client's, after it had received something
}

// failure is what happens to a connection at a frame.
type failure string

const (
	passes failure = ""
	resets failure = "reset" // the frame is lost, the server sees the end of the connection, and then the client a reset
	tears  failure = "torn"  // the same, after half of the frame
	stalls failure = "stall" // nothing more passes, and nothing is closed
)

// fault is one failure. Its fields are the relay's.
type fault struct {
	after int // how many frames pass before it, in both directions together
	how   failure
	seen  int   // frames
	link  *link // the connection that failed
}

// link is one connection.
type link struct {
	*relay
	client, server net.Conn
	state          failure
	sending        bool // the last frame was the client's
	postgres       postgresSession
	healed         chan struct{} // closed when a stall ends
	closed         chan struct{} // closed when the server has ended the connection
}

// startRelay starts a relay to a server until the test ends.
func startRelay(t *testing.T, network, target string, frame func(*bufio.Reader, bool) ([]byte, error)) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: listener.Addr().String(), frame: frame, ended: make(chan struct{}), links: map[*link]bool{}}
	t.Cleanup(func() { listener.Close(); close(r.ended); r.reset() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, target)
			if err != nil {
				client.Close()
				continue
			}
			l := &link{relay: r, client: client, server: server, healed: make(chan struct{}), closed: make(chan struct{})}
			r.mu.Lock()
			if r.links[l] = true; r.dead {
				l.state = stalls
			}
			r.mu.Unlock()
			go l.pass(client, server, true)
			go l.pass(server, client, false)
		}
	}()
	return r
}

// relayed puts a relay in front of a PostgreSQL.
func relayed(t *testing.T, databaseURL string) (proxied string, r *relay) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	network, target, query := "tcp", u.Host, u.Query()
	if folder := query.Get("host"); folder != "" {
		network, target = "unix", folder+"/.s.PGSQL."+query.Get("port")
		query.Del("host")
		query.Del("port")
		u.RawQuery = query.Encode()
	}
	r = startRelay(t, network, target, postgresMessage)
	u.Host = r.address
	return u.String(), r
}

// failAt makes the frame fail that comes after so many others, on whatever connection, until heal.
func (r *relay) failAt(after int, how failure) *fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = &fault{after: after, how: how}
	return r.fault
}

// heal ends a fault, and waits until the server has ended the connections that it left.
func (r *relay) heal() (frames int, hit *link) {
	r.mu.Lock()
	f := r.fault
	r.fault, r.dead = nil, false
	var left []*link
	for l := range r.links {
		if l.state == stalls {
			l.state = resets
			_ = l.server.(interface{ CloseWrite() error }).CloseWrite()
			close(l.healed)
			left = append(left, l)
		}
	}
	r.mu.Unlock()
	for _, l := range left {
		<-l.closed
	}
	if f == nil {
		return 0, nil
	}
	return f.seen, f.link
}

// slow delays every frame, and limits how many bytes pass in a second, each way; 0 is no limit.
func (r *relay) slow(delay time.Duration, rate int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.rate = delay, rate
}

// forget passes nothing more through the connections that exist, as a firewall does that has forgotten them.
func (r *relay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		l.state = stalls
	}
}

// die is forget that new connections do not escape: a network that has gone.
func (r *relay) die() {
	r.forget()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

// reset ends all connections.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		l.state = resets
		hardClose(l.client)
		l.server.Close()
	}
}

// hardClose closes a connection with a reset.
func hardClose(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	conn.Close()
}

// timed is a frame, and when it arrives.
type timed struct {
	frame []byte
	due   time.Time
}

// pass passes on what one side sends; up is to the server.
func (l *link) pass(from, to net.Conn, up bool) {
	frames := make(chan timed, 1024)
	go func() {
		defer close(frames)
		reader := bufio.NewReader(from)
		for first := up; ; first = false {
			frame, err := l.frame(reader, first)
			if err != nil {
				return
			}
			l.mu.Lock()
			if up && !l.sending {
				l.trips = append(l.trips, fmt.Sprintf("%s %.120q", l.client.RemoteAddr(), frame))
			}
			l.sending = up
			due := time.Now().Add(l.delay)
			l.mu.Unlock()
			frames <- timed{frame, due}
		}
	}()
	for f := range frames {
		if wait := time.Until(f.due); wait > 0 {
			time.Sleep(wait)
		}
		l.deliver(f.frame, to, up)
	}
	l.end(up)
}

// end closes the other side after one has closed.
func (l *link) end(up bool) {
	if l.stalled() {
		select {
		case <-l.healed:
		case <-l.ended:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case up:
		_ = l.server.(interface{ CloseWrite() error }).CloseWrite()
		return
	case l.state == passes:
		l.client.Close()
	default:
		hardClose(l.client)
	}
	l.server.Close()
	delete(l.links, l)
	close(l.closed)
}

func (l *link) stalled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == stalls
}

// deliver passes a frame on, or does what the fault wants.
func (l *link) deliver(frame []byte, to net.Conn, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate > 0 {
		rate := l.rate
		l.mu.Unlock()
		time.Sleep(time.Duration(len(frame)) * time.Second / time.Duration(rate))
		l.mu.Lock()
	}
	if l.state != passes {
		return // it is lost
	}
	if f := l.fault; f != nil && f.link == nil {
		if f.seen++; f.seen > f.after {
			f.link, l.state = l, f.how
			if f.how == tears {
				_, _ = to.Write(frame[:len(frame)/2])
			}
			if f.how != stalls {
				_ = l.server.(interface{ CloseWrite() error }).CloseWrite()
			}
			return
		}
	}
	if up {
		l.postgres.sent(frame)
	}
	_, _ = to.Write(frame) // the end of the connection shows in the other direction
}

// postgresMessage reads a message of PostgreSQL. The first one of a client has no type.
func postgresMessage(r *bufio.Reader, first bool) ([]byte, error) {
	head := 5
	if first {
		head = 4
	}
	start, err := r.Peek(head)
	if err != nil {
		return nil, err
	}
	message := make([]byte, head-4+int(binary.BigEndian.Uint32(start[head-4:])))
	_, err = io.ReadFull(r, message)
	return message, err
}

// line reads a line of SMTP.
func line(r *bufio.Reader, _ bool) ([]byte, error) { return r.ReadBytes('\n') }

// postgresSession is what a connection has been sent.
type postgresSession struct {
	statements map[string]string // prepared, by their names
	begun      bool              // a transaction
	committing bool              // a COMMIT has passed since
}

// sent notes a message to the server.
func (s *postgresSession) sent(message []byte) {
	fields := bytes.Split(message[min(5, len(message)):], []byte{0})
	var text string
	switch {
	case message[0] == 'Q':
		text = string(fields[0])
	case message[0] == 'P' && len(fields) > 1: // of a name
		if s.statements == nil {
			s.statements = map[string]string{}
		}
		s.statements[string(fields[0])] = string(fields[1])
	case message[0] == 'B' && len(fields) > 1: // of a portal and a name
		text = s.statements[string(fields[1])]
	}
	switch text = strings.ToLower(text); {
	case strings.HasPrefix(text, "begin"):
		s.begun, s.committing = true, false
	case strings.HasPrefix(text, "commit"):
		s.committing = true
	case strings.HasPrefix(text, "rollback"):
		s.begun = false
	}
}

// undone reports whether the connection's last transaction cannot have been committed: the server has not been asked for it.
func (l *link) undone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.postgres.begun && !l.postgres.committing
}
