// Package password decides which passwords are acceptable, hashes and verifies them, and bounds what
// that may cost.
//
//	h, _ := password.New(password.Argon2id, password.NewPolicy(8, nil))
//	reason, err := h.Check("a wooden horse", "ann", "ann@example.com")
//	stored, err := h.Hash(ctx, network.Of("203.0.113.7"), "a wooden horse")
//	ok, outdated, err := h.Verify(ctx, network.Of("203.0.113.7"), stored, "a wooden horse")
//
// Passwords are compared in Unicode NFC, so that two keyboards that spell é differently both log
// in; nothing else about them is changed. At most one hash per core runs at a time, and the networks that
// ask for hashes share the cores equally (queue.go).
package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"sesame/server/internal/network"
	"sesame/server/internal/problem"
)

// The names of the schemes that a server may be set to hash with.
const (
	Argon2id = "argon2id"
	Bcrypt   = "bcrypt"
)

// patience is how long HashSoon waits. A network that has just used a core for an expensive hash is behind all others:
// among many it would otherwise wait for many times what that hash took.
const patience = 500 * time.Millisecond

// bcryptBytes is all of a password that bcrypt looks at.
const bcryptBytes = 72

// errBusy says that too many hashes are waiting already.
func errBusy() error {
	return problem.New(problem.Unavailable, "Too many passwords are being checked at once. Try again shortly.")
}

// Hasher hashes with one scheme and verifies the hashes of all. It is safe for concurrent use.
type Hasher struct {
	scheme  scheme
	policy  *Policy
	dummy   string
	queue   *queue
	collect bool   // the garbage of each hash
	begun   func() // called when a hash begins
}

// New makes a Hasher for the scheme of that name, and for new passwords that the policy accepts.
func New(name string, policy *Policy) (*Hasher, error) {
	h, err := newHasher(map[string]scheme{Argon2id: argon2Default, Bcrypt: bcryptDefault}, name, policy)
	if err == nil {
		h.collect = true
	}
	return h, err
}

// NewForTests is New with hashes that cost next to nothing: a test suite would otherwise spend more than half of its
// time on them. Everything else is the same: hashes of any other cost, those of New included, are verified and then
// reported as outdated. Only Go code can ask for it; no setting does.
//
// begun, if it is given, is called when a hash has got a core, and may keep that core busy.
func NewForTests(name string, policy *Policy, begun func()) (*Hasher, error) {
	h, err := newHasher(map[string]scheme{Argon2id: argon2ForTests, Bcrypt: bcryptForTests}, name, policy)
	if err == nil && begun != nil {
		h.begun = begun
	}
	return h, err
}

func newHasher(schemes map[string]scheme, name string, policy *Policy) (*Hasher, error) {
	s, ok := schemes[name]
	if !ok {
		return nil, fmt.Errorf("unknown password scheme %q", name)
	}
	return &Hasher{
		scheme: s, policy: policy, dummy: s.dummy(),
		queue: newQueue(runtime.GOMAXPROCS(0), queueSize, time.Now), begun: func() {},
	}, nil
}

// Check says why a new password is not acceptable, as Policy.Check does, or because the scheme cannot
// hash it.
func (h *Hasher) Check(password string, names ...string) (reason string, err error) {
	if h.tooLong(norm.NFC.String(password)) {
		return fmt.Sprintf("must have at most %d bytes in UTF-8", bcryptBytes), nil
	}
	return h.policy.Check(password, names...)
}

// tooLong tells whether the scheme would not see the whole of a password.
func (h *Hasher) tooLong(normal string) bool {
	_, isBcrypt := h.scheme.(bcryptCost)
	return isBcrypt && len(normal) > bcryptBytes
}

// Hash gives the text to store. It waits for a core; problem.Unavailable when the queue has no room for the
// network.
func (h *Hasher) Hash(ctx context.Context, from network.Network, password string) (string, error) {
	release, err := h.enter(ctx, from)
	if err != nil {
		return "", err
	}
	defer release()
	return h.scheme.hash(norm.NFC.String(password))
}

// HashSoon is Hash for a caller who can do without: problem.Unavailable when there is no core within patience.
func (h *Hasher) HashSoon(ctx context.Context, from network.Network, password string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stored, err := h.Hash(ctx, from, password)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errBusy()
	}
	return stored, err
}

// Verify compares a password with a stored hash, and reports whether that hash should be replaced
// by a new one, if the scheme can make one of this password. With an empty, corrupt or absurdly
// expensive stored hash it fails, after the time that an ordinary failure takes: who asks cannot tell
// these cases from a wrong password.
func (h *Hasher) Verify(ctx context.Context, from network.Network, stored, password string) (ok, outdated bool, err error) {
	release, err := h.enter(ctx, from)
	if err != nil {
		return false, false, err
	}
	defer release()
	normal := norm.NFC.String(password)
	known := parse(stored)
	// A NUL ends a password for bcrypt; the contract refuses it, and so does this.
	if known == nil || strings.ContainsRune(password, 0) {
		parse(h.dummy).verify(normal)
		return false, false, nil
	}
	ok = known.verify(normal)
	if h.current(stored) {
		return ok, false, nil
	}
	// Other programs hash what was typed, and some keyboards type é as two characters. Both spellings
	// are tried always, so that the time does not tell which was right.
	if decomposed := norm.NFD.String(password); decomposed != normal {
		ok = known.verify(decomposed) || ok
	}
	return ok, ok && !h.tooLong(normal), nil
}

// Prefixes are how the stored hashes begin that need not be replaced.
func (h *Hasher) Prefixes() []string { return h.scheme.prefixes() }

// current tells whether a stored hash was made with the hasher's own scheme.
func (h *Hasher) current(stored string) bool {
	return slices.ContainsFunc(h.Prefixes(), func(prefix string) bool { return strings.HasPrefix(stored, prefix) })
}

// Known reports whether a stored hash can be verified: it is of a scheme that is read here, whole, and not
// absurdly expensive.
func Known(stored string) bool { return parse(stored) != nil }

// Busy is problem.Unavailable when the queue has no room for a network, so that nothing need be prepared for a hash
// that would be refused.
func (h *Hasher) Busy(from network.Network) error {
	if h.queue.full(from) {
		return errBusy()
	}
	return nil
}

// enter waits for one of the cores.
func (h *Hasher) enter(ctx context.Context, from network.Network) (release func(), err error) {
	leave, err := h.queue.enter(ctx, from)
	if err != nil {
		return nil, err
	}
	h.begun()
	return func() {
		// The hash has left 19 MiB of garbage. Collected now, they serve the next hash; left to
		// pile up, every hash would fault new pages in, for a tenth of its time, and memory would
		// peak at twice as much.
		if h.collect {
			runtime.GC()
		}
		leave()
	}, nil
}
