// Package password hashes and verifies passwords, and bounds what that may cost.
//
//	h, _ := password.New(password.Argon2id, 8)
//	stored, err := h.Hash(ctx, "a wooden horse")
//	ok, outdated, err := h.Verify(ctx, stored, "a wooden horse")
//
// Passwords are compared in Unicode NFC, so that two keyboards that spell é differently both log
// in; nothing else about them is changed. At most one hash per core runs at a time.
package password

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sesame/server/problem"
)

// The names of the schemes that a server may be set to hash with.
const (
	Argon2id = "argon2id"
	Bcrypt   = "bcrypt"
)

const (
	// queueSize is how many may wait for a core. At 31 ms a hash and two cores the last of them
	// waits for about a second; who comes after is told to come back.
	queueSize = 64
	// bcryptBytes is all of a password that bcrypt looks at.
	bcryptBytes = 72
)

// errBusy says that too many hashes are waiting already.
func errBusy() error {
	return problem.New(problem.Unavailable, "Too many passwords are being checked at once. Try again shortly.")
}

// Hasher hashes with one scheme and verifies the hashes of all. It is safe for concurrent use.
type Hasher struct {
	scheme    scheme
	minLength int
	dummy     string
	running   chan struct{}
	waiting   atomic.Int64
}

// New makes a Hasher for the scheme of that name; minLength counts code points.
func New(name string, minLength int) (*Hasher, error) {
	s, ok := map[string]scheme{Argon2id: argon2Default, Bcrypt: bcryptDefault}[name]
	if !ok {
		return nil, fmt.Errorf("unknown password scheme %q", name)
	}
	return &Hasher{
		scheme: s, minLength: minLength, dummy: s.dummy(),
		running: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}, nil
}

// Check says why a new password is not acceptable, or nothing. The longest one that it may meet is
// bounded by the contract.
func (h *Hasher) Check(password string) (reason string) {
	password = norm.NFC.String(password)
	switch {
	case utf8.RuneCountInString(password) < h.minLength:
		return fmt.Sprintf("must have at least %d characters", h.minLength)
	case h.scheme == bcryptDefault && len(password) > bcryptBytes:
		return fmt.Sprintf("must have at most %d bytes in UTF-8", bcryptBytes)
	}
	return ""
}

// Hash gives the text to store. It waits for a core; problem.Unavailable when the queue is full.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return h.scheme.hash(norm.NFC.String(password))
}

// Verify compares a password with a stored hash, and reports whether that hash should be replaced
// by a new one. With an empty, corrupt or absurdly expensive stored hash it fails, after the time
// that an ordinary failure takes: who asks cannot tell these cases from a wrong password.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (ok, outdated bool, err error) {
	release, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	password = norm.NFC.String(password)
	known := parse(stored)
	// A NUL ends a password for bcrypt; the contract refuses it, and so does this.
	if known == nil || strings.ContainsRune(password, 0) {
		parse(h.dummy).verify(password)
		return false, false, nil
	}
	ok = known.verify(password)
	return ok, ok && !h.scheme.current(stored), nil
}

// enter waits for one of the cores.
func (h *Hasher) enter(ctx context.Context) (release func(), err error) {
	release = func() {
		// The hash has left 19 MiB of garbage. Collected now, they serve the next hash; left to
		// pile up, every hash would fault new pages in, for a tenth of its time, and memory would
		// peak at twice as much.
		runtime.GC()
		<-h.running
	}
	select {
	case h.running <- struct{}{}:
		return release, nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > queueSize {
		return nil, errBusy()
	}
	select {
	case h.running <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
