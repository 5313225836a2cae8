package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"sesame/server/internal/network"
)

func hasher(t *testing.T, scheme string) *Hasher {
	t.Helper()
	h, err := New(scheme, NewPolicy(8, nil))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// P7, N2: one hash per core runs, a bounded number waits, and further ones are refused, unless another network has
// filled the queue.
func TestTheQueueIsBounded(t *testing.T) {
	h, flood, other := hasher(t, Argon2id), network.Of("203.0.113.1"), network.Of("203.0.113.2")
	cores := runtime.GOMAXPROCS(0)
	leave := make([]func(), cores)
	for i := range leave { // every core is busy
		var err error
		if leave[i], err = h.queue.enter(t.Context(), flood); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func() int {
		h.queue.mu.Lock()
		defer h.queue.mu.Unlock()
		return h.queue.root.waiting
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, queueSize)
	for range queueSize {
		go func() {
			_, _, err := h.Verify(ctx, flood, "", "a wooden horse")
			ended <- err
		}()
	}
	for deadline := time.Now().Add(10 * time.Second); waiting() < queueSize; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("only %d are waiting", waiting())
		}
	}
	left, leaving := context.WithCancel(t.Context())
	leaving() // so that a request that waits against the rule does not wait for ever
	_, hashErr := h.Hash(left, flood, "a wooden horse")
	_, _, verifyErr := h.Verify(left, flood, "", "a wooden horse")
	for _, err := range []error{hashErr, verifyErr, h.Busy(flood)} {
		if !isBusy(err) {
			t.Errorf("with a full queue: %v", err)
		}
	}
	if err := h.Busy(other); err != nil {
		t.Errorf("another network gets: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := h.Hash(t.Context(), other, "a wooden horse")
		done <- err
	}()
	if err := <-ended; !isBusy(err) { // one of the flood has made room
		t.Error(err)
	}
	leave[0]() // and the next core is the newcomer's
	if err := <-done; err != nil {
		t.Error(err)
	}
	cancel() // a canceled request waits no longer
	for range queueSize - 1 {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	for _, leave := range leave[1:] {
		leave()
	}
	if _, err := h.Hash(t.Context(), flood, "a wooden horse"); err != nil || h.queue.root.waiting != 0 || h.queue.free != cores {
		t.Errorf("%v; %d waiting, %d cores free", err, h.queue.root.waiting, h.queue.free)
	}
}

// L2: the hash that stands for an unknown user costs what a real one costs, and opens nothing.
func TestTheDummyIsAsExpensiveAsARealHash(t *testing.T) {
	for _, name := range []string{Argon2id, Bcrypt} {
		h := hasher(t, name)
		dummy, err := parse(h.dummy)
		if err != nil || !h.current(h.dummy) {
			t.Errorf("the dummy %s is no hash of the current parameters", h.dummy)
		}
		real, err := h.Hash(t.Context(), network.Network{}, "a wooden horse")
		if err != nil || len(real) != len(h.dummy) || !h.current(real) {
			t.Errorf("%v: %s beside the dummy %s", err, real, h.dummy)
		}
		for _, plain := range []string{"", "a wooden horse", "\x00", h.dummy} {
			if dummy.verify(plain) {
				t.Errorf("%q matches the dummy", plain)
			}
		}
	}
}

// L2, P6: whatever is stored, a failure does the work of one hash. The memory that argon2id fills
// shows that it ran, where its time would only show it on a quiet machine.
func TestEveryFailureDoesTheWork(t *testing.T) {
	h := hasher(t, Argon2id)
	for name, c := range map[string]struct{ stored, plain string }{
		"an unknown user":     {"", "a wooden horse"},
		"a corrupt bcrypt":    {"$2b$04$" + strings.Repeat("!", 53), "a wooden horse"},
		"one in parts":        {"bcrypt_sha256$$2b$04$" + strings.Repeat(".", 21) + "\n" + strings.Repeat(".", 31), "a wooden horse"},
		"a corrupt hash":      {"$argon2id$v=19$", "a wooden horse"},
		"an absurd hash":      {"$argon2id$v=19$m=1073741824,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$c2FsdHNhbHRzYWx0c2FsdA", "a wooden horse"},
		"another scheme":      {"$md5$x", "a wooden horse"},
		"a password with NUL": {h.dummy, "a\x00b"},
		"a wrong password":    {h.dummy, "a wooden horse"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ok, outdated, err := h.Verify(t.Context(), network.Network{}, c.stored, c.plain)
		runtime.ReadMemStats(&after)
		filled := after.TotalAlloc - before.TotalAlloc
		if want := uint64(argon2Default.memory) << 10; ok || outdated || err != nil || filled < want || filled > 2*want {
			t.Errorf("%s: %t %v after filling %d bytes, want %d", name, ok, err, filled, want)
		}
	}
}

// P6: what a stored hash may ask for. Parsing costs nothing, so that nothing absurd is begun.
func TestCeilingsOfStoredHashes(t *testing.T) {
	const salt, sum = "c2FsdHNhbHRzYWx0c2FsdA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for stored, understood := range map[string]bool{
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum:                         true,
		"$argon2id$v=19$m=131072,t=2,p=8$" + salt + "$" + sum:                        true,
		"$argon2id$v=19$m=65536,t=4,p=4$" + salt + "$" + sum:                         true,
		"$argon2id$v=19$m=65536,t=5,p=4$" + salt + "$" + sum:                         false,
		"$argon2id$v=19$m=64,t=16,p=8$" + salt + "$" + sum:                           true,
		"$argon2id$v=19$m=64,t=17,p=8$" + salt + "$" + sum:                           false, // whatever little memory
		"$argon2id$v=19$m=63,t=1,p=8$" + salt + "$" + sum:                            false, // RFC 9106: 8 for each lane
		"$argon2id$v=19$m=131073,t=1,p=1$" + salt + "$" + sum:                        false,
		"$argon2id$v=19$m=131072,t=3,p=1$" + salt + "$" + sum:                        false,
		"$argon2id$v=19$m=4294967295,t=4294967295,p=1$" + salt + "$" + sum:           false,
		"$argon2id$v=19$m=4294967296,t=1,p=1$" + salt + "$" + sum:                    false,
		"$argon2id$v=19$m=19456,t=2,p=9$" + salt + "$" + sum:                         false,
		"$argon2id$v=19$m=19456,t=0,p=1$" + salt + "$" + sum:                         false,
		"$argon2id$v=19$m=19456,t=2,p=0$" + salt + "$" + sum:                         false,
		"$argon2id$v=19$m=-1,t=2,p=1$" + salt + "$" + sum:                            false,
		"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + sum:                         false,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum[:20]:                    false,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + strings.Repeat(sum, 3):      false,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$!":                              false,
		"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + sum + "$x":                  false,
		"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + sum:                          true,
		"$argon2d$v=19$m=19456,t=2,p=1$" + salt + "$" + sum:                          false,
		"$argon2i$v=19$m=131073,t=1,p=1$" + salt + "$" + sum:                         false,
		"$argon2id$v=19$m=19456,t=2,p=1x$" + salt + "$" + sum:                        false,
		"$argon2id$v=19$m=+19456,t=2,p=1$" + salt + "$" + sum:                        false,
		"$argon2id$v=19$t=2,m=19456,p=1$" + salt + "$" + sum:                         true,
		"argon2$argon2id$v=19$m=102400,t=2,p=8$" + salt + "$" + sum:                  true,
		"argon2$argon2id$v=19$m=1073741824,t=2,p=8$" + salt + "$" + sum:              false,
		"$scrypt$ln=17,r=8,p=1$" + salt + "$" + sum:                                  true,
		"$scrypt$ln=18,r=8,p=1$" + salt + "$" + sum:                                  false,
		"$scrypt$ln=31,r=8,p=1$" + salt + "$" + sum:                                  false,
		"$scrypt$ln=64,r=8,p=1$" + salt + "$" + sum:                                  false,
		"$scrypt$ln=1,r=4294967295,p=4294967295$" + salt + "$" + sum:                 false,
		"$scrypt$ln=14,r=8,p=8$" + salt + "$" + sum:                                  true,
		"$scrypt$ln=14,r=8,p=9$" + salt + "$" + sum:                                  false,
		"$scrypt$ln=13,r=8,p=16$" + salt + "$" + sum:                                 true,
		"$scrypt$ln=1,r=1,p=17$" + salt + "$" + sum:                                  false, // whatever little memory
		"$scrypt$ln=14,r=8,p=0$" + salt + "$" + sum:                                  false,
		"scrypt$16384$salt$8$5$" + sum + "=":                                         true,
		"scrypt$16383$salt$8$5$" + sum + "=":                                         false,
		"scrypt$1$salt$8$5$" + sum + "=":                                             false,
		"scrypt$1073741824$salt$8$5$" + sum + "=":                                    false,
		"scrypt$16384$" + strings.Repeat("s", 65) + "$8$5$" + sum + "=":              false,
		"$pbkdf2-sha256$2000000$" + salt + "$" + sum:                                 true,
		"$pbkdf2-sha256$2000001$" + salt + "$" + sum:                                 false,
		"$pbkdf2-sha256$1000000000$" + salt + "$" + sum:                              false,
		"$pbkdf2-sha256$1000001$" + salt + "$" + sum + sum:                           false, // two blocks
		"$pbkdf2-sha256$0$" + salt + "$" + sum:                                       false,
		"$pbkdf2-sha512$500000$" + salt + "$" + sum:                                  true,
		"$pbkdf2-sha512$500001$" + salt + "$" + sum:                                  false,
		"$pbkdf2-sha1$1000$" + salt + "$" + sum:                                      false,
		"pbkdf2_sha256$2000000$salt$" + sum + "=":                                    true,
		"pbkdf2_sha256$1000000000$salt$" + sum + "=":                                 false,
		"pbkdf2_sha256$1000$salt$" + sum[:20] + "=":                                  false,
		"bcrypt$$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":        true,
		"bcrypt$$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":        false,
		"bcrypt_sha256$$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW": false,
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":               true,
		"$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":               true,
		"$2y$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":               false,
		"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":               false,
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe":                false,
	} {
		if err := CheckStored(stored); (err == nil) != understood {
			t.Errorf("%s: %v; want it understood: %t", stored, err, understood)
		}
	}
}

// P5: a hash of other parameters verifies, and is to be replaced.
func TestOtherParametersAreOutdated(t *testing.T) {
	weak, err := argon2Params{memory: 64, time: 1, threads: 1}.hash("a wooden horse")
	if err != nil {
		t.Fatal(err)
	}
	cheap, err := bcryptCost(4).hash("a wooden horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Argon2id, Bcrypt} {
		for _, stored := range []string{weak, cheap} {
			if ok, outdated, err := hasher(t, name).Verify(t.Context(), network.Network{}, stored, "a wooden horse"); !ok || !outdated || err != nil {
				t.Errorf("%s: %t %t %v for %s", name, ok, outdated, err, stored)
			}
			if ok, outdated, err := hasher(t, name).Verify(t.Context(), network.Network{}, stored, "a wooden house"); ok || outdated || err != nil {
				t.Errorf("%s: %t %t %v for %s and a wrong password", name, ok, outdated, err, stored)
			}
		}
	}
}
