package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"

	"sesame/server/internal/config"
)

// Listen listens at SESAME_LISTEN, with TLS if the settings name a certificate. The file of a Unix socket may be used by its
// owner and its group, and the file that a server has left behind is replaced.
func Listen(ctx context.Context, s config.Settings, log *slog.Logger) (net.Listener, error) {
	path, ok := s.Socket()
	if !ok {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
		if err != nil {
			return nil, listenError(s.Listen, err)
		}
		return withTLS(listener, s, log)
	}
	listener, err := listenAtSocket(ctx, path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err = removeAbandoned(ctx, path); err != nil {
			return nil, err
		}
		listener, err = listenAtSocket(ctx, path)
	}
	if err != nil {
		return nil, listenError(s.Listen, err)
	}
	if err = os.Chmod(path, socketMode); err != nil { // the umask may have taken something away
		return nil, errors.Join(err, listener.Close())
	}
	return socketListener{listener}, nil
}

// socketMode lets the owner and the group connect.
const socketMode = 0o660

// restrictSocket gives a socket its mode before it has a file, where the system can do that: with a loose umask, others
// could connect before Chmod.
var restrictSocket func(network, address string, connection syscall.RawConn) error

func listenAtSocket(ctx context.Context, path string) (net.Listener, error) {
	return (&net.ListenConfig{Control: restrictSocket}).Listen(ctx, "unix", path)
}

// listenError explains why the program cannot listen at an address, and what to do.
func listenError(address string, err error) error {
	name := config.Variable("listen")
	advice := "the address is the value of " + name
	_, socket := strings.CutPrefix(address, "unix:")
	switch {
	case socket && (errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOENT)):
		advice = "the folder must exist, and this user must be able to write to it; create it, or choose another path with " + name
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
