package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// argon2Params are RFC 9106's m, in KiB, t and p.
type argon2Params struct {
	memory, time uint32
	threads      uint8
}

// argon2Default is the recommendation of OWASP: 19 MiB, two passes, one lane.
var argon2Default = argon2Params{memory: 19 << 10, time: 2, threads: 1}

// argon2ForTests is the least that argon2 takes.
var argon2ForTests = argon2Params{memory: 8, time: 1, threads: 1}

const (
	saltBytes, hashBytes = 16, 32
	// The limits of a stored argon2 hash: 128 MiB, and about a fifth of a second of work, which is the default of PHP, 64 MiB
	// and four passes. The number of passes has its own limit, since passes over little memory cost more than in proportion.
	maxMemory  = 128 << 10
	maxWork    = 256 << 10 // memory times passes
	maxPasses  = 16
	maxThreads = 8
)

func (p argon2Params) prefix() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, p.memory, p.time, p.threads)
}

func (p argon2Params) hash(password string) (string, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, hashBytes)
	return p.encode(salt, sum), nil
}

// encode returns the PHC string format.
func (p argon2Params) encode(salt, sum []byte) string {
	return p.prefix() + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

func (p argon2Params) prefixes() []string { return []string{p.prefix()} }

func (p argon2Params) dummy() string {
	return p.encode(make([]byte, saltBytes), make([]byte, hashBytes))
}

type argon2Hash struct {
	argon2Params
	derive    func(password, salt []byte, time, memory uint32, threads uint8, length uint32) []byte
	salt, sum []byte
}

func parseArgon2(stored string) (verifier, error) {
	parts := strings.Split(stored, "$")
	if len(parts) == 5 || len(parts) == 6 && parts[2] == "v=16" { // a hash without a version is of the first one
		return nil, &HashError{UnknownHash, "is of argon2 version 16, which Sesame does not verify; remove it, and the person sets a new password by a reset"}
	}
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errDamaged
	}
	h := argon2Hash{derive: argon2.IDKey}
	if parts[1] == "argon2i" {
		h.derive = argon2.Key
	}
	params, ok := readParams(parts[3], "m", "t", "p")
	if !ok {
		return nil, errDamaged
	}
	memory, passes, threads := params[0], params[1], params[2]
	if memory > maxMemory || passes > maxPasses || memory*passes > maxWork || threads > maxThreads {
		return nil, errExpensive
	}
	if memory < 8*threads {
		return nil, errDamaged
	}
	h.argon2Params = argon2Params{memory: uint32(memory), time: uint32(passes), threads: uint8(threads)} //nolint:gosec,nolintlint // within the ceilings, which gosec sees at times
	if h.salt, h.sum, ok = readSums(base64.RawStdEncoding, parts[4], parts[5]); !ok {
		return nil, errDamaged
	}
	return h, nil
}

// parseDjangoArgon2 parses Django's "argon2$argon2id$v=19$m=…".
func parseDjangoArgon2(stored string) (verifier, error) {
	stored = strings.TrimPrefix(stored, "argon2")
	if !strings.HasPrefix(stored, "$argon2id$") && !strings.HasPrefix(stored, "$argon2i$") {
		return nil, unknown(stored)
	}
	return parseArgon2(stored)
}

func (h argon2Hash) verify(password string) bool {
	sum := h.derive([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum))) //nolint:gosec // 64 at most
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}
