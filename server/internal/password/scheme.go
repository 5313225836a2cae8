package password

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// scheme makes hashes with one algorithm and one set of parameters.
type scheme interface {
	hash(password string) (string, error)
	// prefixes are how a hash begins that was made with this very scheme.
	prefixes() []string
	// dummy is a hash that no password matches, as expensive to verify as a real one.
	dummy() string
}

// verifier is one stored hash, understood.
type verifier interface{ verify(password string) bool }

// The ceilings that every scheme has in common; each has its own for memory and work.
const (
	maxStored      = 512 // bytes of a stored hash
	maxSalt        = 64  // bytes
	minSum, maxSum = 16, 64
)

// parse understands a stored hash, or gives nil for one that is corrupt, of an unknown scheme, or
// more expensive than any sane one. What verifying costs is thereby bounded before it starts.
//
// The spellings are those of the PHC string format, of passlib and of Django, which has its own for
// everything.
func parse(stored string) verifier {
	if len(stored) > maxStored {
		return nil
	}
	for _, format := range formats {
		if strings.HasPrefix(stored, format.prefix) {
			return format.parse(stored)
		}
	}
	return nil
}

var formats = []struct {
	prefix string
	parse  func(stored string) verifier
}{
	{"$argon2id$", parseArgon2},
	{"$argon2i$", parseArgon2},
	{"argon2$argon2", func(s string) verifier { return parseArgon2(strings.TrimPrefix(s, "argon2")) }},
	{"$2a$", parseBcrypt},
	{"$2b$", parseBcrypt},
	{"$2y$", parseBcrypt},
	{"bcrypt$$2", func(s string) verifier { return parseBcrypt(strings.TrimPrefix(s, "bcrypt$")) }},
	{"bcrypt_sha256$$2", func(s string) verifier {
		if h, ok := parseBcrypt(strings.TrimPrefix(s, "bcrypt_sha256$")).(bcryptHash); ok {
			return bcryptSHA256Hash(h)
		}
		return nil
	}},
	{"$scrypt$", parseScrypt},
	{"scrypt$", parseDjangoScrypt},
	{"$pbkdf2-sha256$", parsePBKDF2},
	{"$pbkdf2-sha512$", parsePBKDF2},
	{"pbkdf2_sha256$", parseDjangoPBKDF2},
}

// readParams reads "m=19456,t=2,p=1": those names in that order.
func readParams(text string, names ...string) (values []uint64, ok bool) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	for i, name := range names {
		digits, found := strings.CutPrefix(parts[i], name+"=")
		value, ok := readNumber(digits)
		if !found || !ok {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}

// readNumber reads a positive decimal number of 32 bits as a program writes it, so that products of
// two do not overflow.
func readNumber(digits string) (value uint64, ok bool) {
	value, err := strconv.ParseUint(digits, 10, 32)
	return value, err == nil && value > 0 && digits[0] >= '1' && digits[0] <= '9'
}

// readSums decodes a salt and a hash of sane lengths.
func readSums(encoding *base64.Encoding, saltText, sumText string) (salt, sum []byte, ok bool) {
	salt, saltErr := encoding.DecodeString(saltText)
	sum, sumErr := encoding.DecodeString(sumText)
	return salt, sum, saltErr == nil && sumErr == nil && sane(salt, sum)
}

func sane(salt, sum []byte) bool {
	return len(salt) <= maxSalt && len(sum) >= minSum && len(sum) <= maxSum
}
