package password

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// scheme hashes with one algorithm and one set of parameters.
type scheme interface {
	hash(password string) (string, error)
	// prefixes returns the prefixes of the hashes of this scheme.
	prefixes() []string
	// dummy returns a hash that no password matches, and that is as expensive to verify as any other.
	dummy() string
}

// verifier is a parsed stored hash.
type verifier interface{ verify(password string) bool }

// The limits of every scheme; each has its own for memory and work.
const (
	maxStored      = 512 // bytes of a stored hash
	maxSalt        = 64  // bytes
	minSum, maxSum = 16, 64
)

// parse parses a stored hash. It returns nil for one that is corrupt, of an unknown scheme, or too expensive, so that the
// cost of verifying is limited before it starts.
//
// The formats are the PHC string format and those of passlib and Django.
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

// readNumber parses a positive decimal number of 32 bits without leading zeros. Products of two do not overflow.
func readNumber(digits string) (value uint64, ok bool) {
	value, err := strconv.ParseUint(digits, 10, 32)
	return value, err == nil && value > 0 && digits[0] >= '1' && digits[0] <= '9'
}

// readSums decodes a salt and a hash, and checks their lengths.
func readSums(encoding *base64.Encoding, saltText, sumText string) (salt, sum []byte, ok bool) {
	salt, saltErr := encoding.DecodeString(saltText)
	sum, sumErr := encoding.DecodeString(sumText)
	return salt, sum, saltErr == nil && sumErr == nil && validLengths(salt, sum)
}

func validLengths(salt, sum []byte) bool {
	return len(salt) <= maxSalt && len(sum) >= minSum && len(sum) <= maxSum
}
