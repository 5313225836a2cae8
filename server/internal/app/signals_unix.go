//go:build unix

package app

import (
	"os"
	"syscall"
)

func init() { debugSignals = []os.Signal{syscall.SIGUSR1} }
