package app

import (
	"errors"
	"syscall"
)

func init() {
	restrictSocket = func(_, _ string, connection syscall.RawConn) (err error) {
		outer := connection.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) })
		return errors.Join(outer, err)
	}
}
