//go:build unix

package store

import (
	"errors"
	"net"
	"syscall"
)

// hasNews reports whether something has come on a connection that waits for nothing: its end, mostly. It reads nothing and does not
// wait.
func hasNews(conn net.Conn) bool {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	var peeked error
	err = control.Control(func(fd uintptr) {
		_, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err != nil || !errors.Is(peeked, syscall.EAGAIN) && !errors.Is(peeked, syscall.EINTR)
}
