package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// scheme makes hashes with one algorithm and one set of parameters.
type scheme interface {
	hash(password string) (string, error)
	// current tells whether a stored hash was made with this very scheme.
	current(stored string) bool
	// dummy is a hash that no password matches, as expensive to verify as a real one.
	dummy() string
}

// verifier is one stored hash, understood.
type verifier interface{ verify(password string) bool }

// parse understands a stored hash, or gives nil for one that is corrupt, of an unknown scheme, or
// more expensive than any sane one. What verifying costs is thereby bounded before it starts.
func parse(stored string) verifier {
	switch {
	case strings.HasPrefix(stored, "$argon2id$"):
		return parseArgon2(stored)
	case strings.HasPrefix(stored, "$2a$"), strings.HasPrefix(stored, "$2b$"), strings.HasPrefix(stored, "$2y$"):
		return parseBcrypt(stored)
	}
	return nil
}

// argon2Params are RFC 9106's m, in KiB, t and p.
type argon2Params struct {
	memory, time uint32
	threads      uint8
}

// argon2Default is OWASP's recommendation: 19 MiB, two passes, one lane.
var argon2Default = argon2Params{memory: 19 << 10, time: 2, threads: 1}

const (
	saltBytes, hashBytes = 16, 32
	// What a stored argon2id hash may ask for: 128 MiB, and no more work than about a second.
	maxMemory  = 128 << 10
	maxWork    = 640 << 10 // memory times passes
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

// encode writes the PHC string format, as every other implementation does.
func (p argon2Params) encode(salt, sum []byte) string {
	return p.prefix() + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

func (p argon2Params) current(stored string) bool { return strings.HasPrefix(stored, p.prefix()) }

func (p argon2Params) dummy() string {
	return p.encode(make([]byte, saltBytes), make([]byte, hashBytes))
}

type argon2Hash struct {
	argon2Params
	salt, sum []byte
}

func parseArgon2(stored string) verifier {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 {
		return nil
	}
	var version int
	var h argon2Hash
	_, versionErr := fmt.Sscanf(parts[2], "v=%d", &version)
	_, paramsErr := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads)
	if versionErr != nil || paramsErr != nil || version != argon2.Version {
		return nil
	}
	if h.memory > maxMemory || h.time < 1 || h.threads < 1 || h.threads > maxThreads ||
		uint64(h.memory)*uint64(h.time) > maxWork {
		return nil
	}
	var saltErr, sumErr error
	h.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, sumErr = base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || sumErr != nil || len(h.salt) > 64 || len(h.sum) < 16 || len(h.sum) > 64 {
		return nil
	}
	return h
}

func (h argon2Hash) verify(password string) bool {
	sum := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum))) //nolint:gosec // 64 at most
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// bcryptCost is a bcrypt work factor: 2^cost rounds.
type bcryptCost int

const (
	bcryptDefault bcryptCost = 12
	maxBcrypt     bcryptCost = 14 // about a second
)

func (c bcryptCost) hash(password string) (string, error) {
	sum, err := bcrypt.GenerateFromPassword([]byte(password), int(c))
	if err != nil {
		return "", fmt.Errorf("bcrypt: %w", err)
	}
	return string(sum), nil
}

func (c bcryptCost) current(stored string) bool {
	cost, err := bcrypt.Cost([]byte(stored))
	return err == nil && cost == int(c)
}

func (c bcryptCost) dummy() string {
	return fmt.Sprintf("$2a$%02d$%s", c, strings.Repeat(".", 53))
}

type bcryptHash string

func parseBcrypt(stored string) verifier {
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil || cost > int(maxBcrypt) || len(stored) != 60 {
		return nil
	}
	return bcryptHash(stored)
}

// verify looks at the whole password: bcrypt itself would take 72 right bytes with any tail.
func (h bcryptHash) verify(password string) bool {
	tooLong := len(password) > bcryptBytes
	if tooLong {
		password = password[:bcryptBytes]
	}
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil && !tooLong
}
