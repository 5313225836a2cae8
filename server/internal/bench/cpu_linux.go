package main

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpu returns the CPU time that all threads of the program have used so far, user and system, from
// the kernel's clock for it: /proc/PID/stat has the same figure in steps of 10 ms.
func (p *program) cpu() (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED: nanoseconds, not ticks
	var spec unix.Timespec
	if err := unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|scheduler), &spec); err != nil {
		return 0, fmt.Errorf("read a program's CPU time: %w", err)
	}
	return time.Duration(spec.Nano()), nil
}

// attributes makes a child end when this program does, however that happens.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
