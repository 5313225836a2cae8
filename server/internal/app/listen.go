package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"sesame/server/internal/config"
)

// Listen listens at SESAME_LISTEN. The file of a Unix socket may be used by its owner and its group, and the file that a
// server has left behind is replaced.
func Listen(ctx context.Context, s config.Settings) (net.Listener, error) {
	path, ok := s.Socket()
	if !ok {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
		if err != nil {
			return nil, listenError(s.Listen, err)
		}
		return listener, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err = removeAbandoned(ctx, path); err != nil {
			return nil, err
		}
		listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, listenError(s.Listen, err)
	}
	if err = os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return socketListener{listener}, nil
}

// listenError explains why the program cannot listen at an address, and what to do.
func listenError(address string, err error) error {
	name := config.Variable("listen")
	advice := "the address is the value of " + name
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "another program uses this port; stop it, or choose another port, or port 0 for a free one, with " + name
	case errors.Is(err, syscall.EACCES):
		advice = "ports below 1024 need more rights; choose another port with " + name
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		advice = "the address is not one of this machine; choose another with " + name
	}
	return fmt.Errorf("cannot listen on %s: %s: %w", address, advice, err)
}

// removeAbandoned removes the file of a socket at which no server listens. The others are not its business.
func removeAbandoned(ctx context.Context, path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket; name another file in %s", path, config.Variable("listen"))
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("a server is already listening at %s; stop it, or name another file in %s", path, config.Variable("listen")), connection.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// socketListener gives connections of a Unix socket the address of this machine. Its file says who may connect, so they are
// those of the operator's proxy, whose X-Forwarded-For is trusted (httpapi.ClientAddress).
type socketListener struct{ net.Listener }

// Accept implements net.Listener.
func (l socketListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return socketConn{connection}, nil
}

type socketConn struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (socketConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
