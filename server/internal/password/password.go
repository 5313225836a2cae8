// Package password hashes and verifies passwords, checks new ones against a policy, and limits the cost of hashing.
//
//	h, _ := password.New(password.Argon2id, password.NewPolicy(8, nil))
//	reason, err := h.Check("a wooden horse", "ann", "ann@example.com")
//	stored, err := h.Hash(ctx, network.Of("203.0.113.7"), "a wooden horse")
//	ok, outdated, err := h.Verify(ctx, network.Of("203.0.113.7"), stored, "a wooden horse")
//
// The way through it: scheme.go recognises the format of a stored hash, and each scheme has a file; policy.go and breach.go
// check new passwords; queue.go shares the cores between networks.
//
// Passwords are compared in Unicode NFC, so that two keyboards that encode é differently both work; nothing else about them
// is changed. At most one hash per core runs at a time.
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
	"sesame/server/internal/tracing"
)

// The schemes that a server can hash with.
const (
	Argon2id = "argon2id"
	Bcrypt   = "bcrypt"
)

// patience is how long HashSoon waits. A network that has just used a core for an expensive hash is behind all others, and
// could wait for many times the duration of that hash.
const patience = 500 * time.Millisecond

// bcryptBytes is how much of a password bcrypt uses.
const bcryptBytes = 72

// errBusy is the error when too many hashes are waiting.
func errBusy() error {
	return problem.New(problem.Unavailable, "Too many passwords are being checked at once. Try again shortly.")
}

// Hasher hashes with one scheme and verifies the hashes of all schemes. It is safe for concurrent use.
type Hasher struct {
	scheme  scheme
	policy  *Policy
	dummy   string
	queue   *queue
	collect bool   // the garbage of each hash
	begun   func() // called when a hash begins
	watch   Watch
}

// Watch are functions that measure the queue, for metrics.
type Watch struct {
	Waited  func(time.Duration) // how long a hash waited for a core
	Refused func()              // a hash found no room in the queue, or lost its place to another network
}

// New makes a Hasher that hashes with a scheme and checks new passwords against a policy.
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
		watch: Watch{func(time.Duration) {}, func() {}},
	}, nil
}

// Watch measures the queue with functions of the caller's. Call it before the Hasher is used.
func (h *Hasher) Watch(w Watch) { h.watch = w }

// Load returns how many hashes wait for a core, and how many have one.
func (h *Hasher) Load() (waiting, running int) { return h.queue.load() }

// Same reports whether two passwords are one, however their keyboards encode it.
func Same(a, b string) bool { return norm.NFC.String(a) == norm.NFC.String(b) }

// Check returns why a new password is not acceptable, as Policy.Check does, or because the scheme cannot hash it.
func (h *Hasher) Check(password string, names ...string) (reason string, err error) {
	if h.tooLong(norm.NFC.String(password)) {
		return fmt.Sprintf("must have at most %d bytes in UTF-8", bcryptBytes), nil
	}
	return h.policy.Check(password, names...)
}

// tooLong reports whether the scheme would ignore the end of a password.
func (h *Hasher) tooLong(normal string) bool {
	_, isBcrypt := h.scheme.(bcryptCost)
	return isBcrypt && len(normal) > bcryptBytes
}

// Hash returns the hash to store. It waits for a core. Errors: Unavailable when the queue has no room for the network.
func (h *Hasher) Hash(ctx context.Context, from network.Network, password string) (string, error) {
	release, err := h.enter(ctx, from, "password hash")
	if err != nil {
		return "", err
	}
	defer release()
	return h.scheme.hash(norm.NFC.String(password))
}

// HashSoon is Hash for an optional hash. Errors: Unavailable when no core becomes free soon.
func (h *Hasher) HashSoon(ctx context.Context, from network.Network, password string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stored, err := h.Hash(ctx, from, password)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errBusy()
	}
	return stored, err
}

// Verify compares a password with a stored hash, and reports whether the hash is outdated and can be replaced. An empty,
// corrupt or too expensive stored hash fails after the time of an ordinary failure, so that a client cannot distinguish
// these cases from a wrong password. Errors: Unavailable.
func (h *Hasher) Verify(ctx context.Context, from network.Network, stored, password string) (ok, outdated bool, err error) {
	release, err := h.enter(ctx, from, "password verify")
	if err != nil {
		return false, false, err
	}
	defer release()
	normal := norm.NFC.String(password)
	known, _ := parse(stored)
	// bcrypt would ignore everything after a NUL. The contract refuses it too.
	if known == nil || strings.ContainsRune(password, 0) {
		dummy, _ := parse(h.dummy)
		dummy.verify(normal)
		return false, false, nil
	}
	ok = known.verify(normal)
	if h.current(stored) {
		return ok, false, nil
	}
	// Other programs hash a password as it was typed, and some keyboards type é as two characters. Both spellings are always
	// tried, so that the time does not reveal which one was correct.
	if decomposed := norm.NFD.String(password); decomposed != normal {
		ok = known.verify(decomposed) || ok
	}
	return ok, ok && !h.tooLong(normal), nil
}

// Prefixes returns the prefixes of stored hashes that are not outdated.
func (h *Hasher) Prefixes() []string { return h.scheme.prefixes() }

// current reports whether a stored hash was made with the scheme of the Hasher.
func (h *Hasher) current(stored string) bool {
	return slices.ContainsFunc(h.Prefixes(), func(prefix string) bool { return strings.HasPrefix(stored, prefix) })
}

// Busy returns Unavailable when the queue has no room for a network, so that a request can fail before it reads from the
// database.
func (h *Hasher) Busy(from network.Network) error {
	if h.queue.full(from) {
		h.watch.Refused()
		return errBusy()
	}
	return nil
}

// enter waits for a core, for work that has a name in traces.
func (h *Hasher) enter(ctx context.Context, from network.Network, name string) (release func(), err error) {
	joined := h.queue.now()
	_, wait := tracing.Start(ctx, "password queue")
	leave, err := h.queue.enter(ctx, from)
	if err != nil {
		kind := "timeout"
		if _, busy := errors.AsType[*problem.Error](err); busy {
			kind = "queue_full"
			h.watch.Refused()
		}
		wait.Fail(kind)
		wait.End()
		return nil, err
	}
	wait.End()
	h.watch.Waited(h.queue.now().Sub(joined))
	_, work := tracing.Start(ctx, name)
	h.begun()
	return func() {
		// The hash has left 19 MiB of garbage. Collected now, the next hash reuses them. Otherwise every hash would fault
		// new pages in, for a tenth of its time, and the peak of the memory would be twice as high.
		if h.collect {
			runtime.GC()
		}
		work.End()
		leave()
	}, nil
}
