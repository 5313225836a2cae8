package password

import (
	"encoding/base64"
	"slices"
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

// HashError is the reason why a stored hash cannot be verified. Its text follows the name of a field, and never repeats the
// hash.
type HashError struct {
	Code   string // one of the constants below
	reason string
}

func (e *HashError) Error() string { return e.reason }

// The codes of a HashError.
const (
	UnknownHash   = "unknown_hash"
	DamagedHash   = "damaged_hash"
	ExpensiveHash = "expensive_hash"
)

// The two errors of a hash whose scheme is known.
var (
	errDamaged   = &HashError{DamagedHash, "is damaged: a part of it is missing, too long, or has characters that do not belong there"}
	errExpensive = &HashError{ExpensiveHash, "is too expensive to verify: its parameters exceed the limits of docs/decisions/0023-imported-password-hashes.md"}
)

// CheckStored returns why a stored hash cannot be verified: a *HashError, or nil.
func CheckStored(stored string) error {
	_, err := parse(stored)
	return err
}

// parse parses a stored hash. Its error is a *HashError: the hash is corrupt, of an unknown scheme, or too expensive, so that
// the cost of verifying is limited before it starts.
//
// The formats are the PHC string format and those of passlib, Django, Werkzeug and Supabase.
func parse(stored string) (verifier, error) {
	if len(stored) > maxStored {
		return nil, errDamaged
	}
	for _, format := range formats {
		if strings.HasPrefix(stored, format.prefix) {
			return format.parse(stored)
		}
	}
	return nil, unknown(stored)
}

var formats = []struct {
	prefix string
	parse  func(stored string) (verifier, error)
}{
	{"$argon2id$", parseArgon2},
	{"$argon2i$", parseArgon2},
	{"argon2$argon2", parseDjangoArgon2},
	{"$2a$", parseBcrypt},
	{"$2b$", parseBcrypt},
	{"$2y$", parseBcrypt},
	{"bcrypt$$2", parseDjangoBcrypt},
	{"bcrypt_sha256$$2", parseDjangoBcryptSHA256},
	{"$scrypt$", parseScrypt},
	{"scrypt$", parseDjangoScrypt},
	{"scrypt:", parseWerkzeugScrypt},
	{"$fbscrypt$", parseFirebase},
	{"$pbkdf2-sha256$", parsePBKDF2},
	{"$pbkdf2-sha512$", parsePBKDF2},
	{"pbkdf2_sha256$", parseDjangoPBKDF2},
	{"pbkdf2:sha256:", parseWerkzeugPBKDF2},
	{"pbkdf2:sha512:", parseWerkzeugPBKDF2},
}

// foreign names schemes that are recognised and not verified, so that an error can say which one it is.
var foreign = []struct{ prefix, name string }{
	{"$argon2d$", "argon2d, which is vulnerable to side channels"},
	{"$2x$", "bcrypt with the sign error of old PHP versions"},
	{"$bcrypt-sha256$", "passlib's bcrypt_sha256"},
	{"$pbkdf2$", "PBKDF2 with SHA-1"},
	{"pbkdf2_sha1$", "PBKDF2 with SHA-1"},
	{"pbkdf2:sha1:", "PBKDF2 with SHA-1"},
	{"$1$", "MD5 crypt"},
	{"$apr1$", "MD5 crypt"},
	{"$5$", "SHA-256 crypt"},
	{"$6$", "SHA-512 crypt"},
	{"$y$", "yescrypt"},
	{"$7$", "crypt's scrypt"},
	{"$P$", "phpass"},
	{"$H$", "phpass"},
	{"md5$", "salted MD5"},
	{"sha1$", "salted SHA-1"},
	{"{S", "a hash of LDAP"},
}

// unknown returns the error of a hash of no known scheme.
func unknown(stored string) error {
	const remedy = "; remove it, and the person sets a new password by a reset"
	for _, other := range foreign {
		if strings.HasPrefix(stored, other.prefix) {
			return &HashError{UnknownHash, "is " + other.name + ", which Sesame does not verify" + remedy}
		}
	}
	return &HashError{UnknownHash, "is of an unknown scheme; Sesame verifies argon2id, argon2i, bcrypt, scrypt and PBKDF2 with SHA-256 or SHA-512" + remedy}
}

// readParams reads "m=19456,t=2,p=1": each of those names once, in any order, since not every library keeps to the order of
// the PHC string format.
func readParams(text string, names ...string) (values []uint64, ok bool) {
	parts := strings.Split(text, ",")
	if len(parts) != len(names) {
		return nil, false
	}
	values = make([]uint64, len(names))
	for _, part := range parts {
		name, digits, _ := strings.Cut(part, "=")
		value, ok := readNumber(digits)
		i := slices.Index(names, name)
		if !ok || i < 0 || values[i] != 0 {
			return nil, false
		}
		values[i] = value
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
