package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// process is what the server takes as a program, whatever it is asked.
type process struct {
	start       spread // milliseconds
	idle        int64  // bytes, resident
	peak        int64  // bytes, resident, the most while logging in
	binaryBytes int64
}

// measureProcess starts the server on the database that the cases have left behind.
func (b *built) measureProcess(ctx context.Context, p plan, token string) (process, error) {
	var own process
	info, err := os.Stat(b.binary)
	if err != nil {
		return own, fmt.Errorf("measure the binary: %w", err)
	}
	own.binaryBytes = info.Size()
	milliseconds := make([]float64, p.coldStarts)
	for i := range milliseconds {
		took, err := b.coldStart(ctx, token)
		if err != nil {
			return own, fmt.Errorf("start: %w", err)
		}
		milliseconds[i] = float64(took) / float64(time.Millisecond)
	}
	own.start = spreadOf(milliseconds)
	own.idle, own.peak, err = b.measureMemory(ctx, p, token)
	return own, err
}

// coldStart is the time from starting the program to its first answer that took the database, the
// signing keys and the contract: GET /users/me.
func (b *built) coldStart(ctx context.Context, token string) (time.Duration, error) {
	began := time.Now()
	server, err := b.launchServer("start", b.sqliteURL())
	if err != nil {
		return 0, err
	}
	defer server.stop()
	if err := server.waitFor(ctx, "/users/me", token); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// measureMemory looks at a server that has answered once and then does nothing, and at the same
// server while it hashes as many passwords as it can.
func (b *built) measureMemory(ctx context.Context, p plan, token string) (idle, peak int64, err error) {
	server, err := b.startServer(ctx, "memory", b.sqliteURL())
	if err != nil {
		return 0, 0, err
	}
	s := setup{programs: []*program{server}}
	defer s.stop()
	if err := server.waitFor(ctx, "/users/me", token); err != nil {
		return 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(p.settle):
	}
	if idle, err = server.memory("VmRSS"); err != nil {
		return 0, 0, err
	}
	s.add(caseLogin, server, p.peak, func(i int) (*client, error) {
		return dial(server.address, loginRequest(server.address, loginName(i)))
	})
	if err := s.cases[0].open(); err != nil {
		return 0, 0, err
	}
	if _, err := s.cases[0].measure(p.peak); err != nil {
		return 0, 0, fmt.Errorf("log in: %w", err)
	}
	peak, err = server.memory("VmHWM")
	return idle, peak, err
}
