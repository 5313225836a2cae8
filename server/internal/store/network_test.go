package store

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// loopback returns the two ends of a connection, the first of which is bounded.
func loopback(t *testing.T, n *network) (*boundedConn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	n.dial = (&net.Dialer{}).DialContext
	near, err := n.connect(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near.(*boundedConn), far
}

// The time that a program takes between two rows is not the network's: what has come meanwhile is read, and no connection is
// taken for silent.
func TestASlowReaderIsNoSilence(t *testing.T) {
	t.Parallel()
	n := &network{timeout: time.Minute, answer: time.Minute}
	near, far := loopback(t, n)
	if _, err := far.Write([]byte("12")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1)
	for range 2 {
		if _, err := near.Read(buffer); err != nil {
			t.Fatal(err)
		}
		// As if a minute had passed since.
		if err := near.Conn.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if n.silent.Load() != 0 {
		t.Error("the connection is taken for silent")
	}
}

// A context that ends before a message is sent ends the wait for its answer: what the connection itself allows does not
// replace that.
func TestTheDeadlineOfTheDriverHolds(t *testing.T) {
	t.Parallel()
	n := &network{timeout: time.Minute, answer: time.Minute}
	near, _ := loopback(t, n)
	if err := near.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write([]byte("1")); err == nil {
		t.Error("it writes")
	}
	read := make(chan error, 1)
	go func() { _, err := near.Read(make([]byte, 1)); read <- err }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case err := <-read:
		if err == nil {
			t.Error("it reads")
		}
	case <-ctx.Done():
		t.Error("it waits for the time of the connection")
	}
	if n.silent.Load() != 0 {
		t.Error("the connection is taken for silent")
	}
}

// A6: however many connections there are and however long each may wait, the server stops while the network is gone.
func TestClosingBoundsAllConnections(t *testing.T) {
	t.Parallel()
	n := &network{timeout: time.Minute, answer: time.Minute}
	near, _ := loopback(t, n)
	other, _ := loopback(t, n)
	n.close(0)
	for _, conn := range []*boundedConn{near, other} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("it reads")
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if conn, err := n.connect(t.Context(), "tcp", near.RemoteAddr().String()); err == nil {
		t.Errorf("a connection is opened: %v", conn.Close())
	}
	n.open.Wait()
}

// A connection that got no answer is closed: the driver would otherwise end its session in order, and wait as long again.
func TestASilentConnectionIsClosed(t *testing.T) {
	t.Parallel()
	n := &network{timeout: time.Minute, answer: time.Millisecond}
	near, _ := loopback(t, n)
	if _, err := near.Read(make([]byte, 1)); err == nil || n.silent.Load() == 0 {
		t.Fatalf("the read ends with %v", err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the next read ends with %v", err)
	}
	if err := near.Close(); err != nil {
		t.Error(err)
	}
}
