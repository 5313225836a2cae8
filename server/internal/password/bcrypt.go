package password

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// bcryptCost is the work factor of bcrypt: 2^cost rounds.
type bcryptCost int

const (
	bcryptDefault  bcryptCost = 12
	bcryptForTests bcryptCost = 4  // the lowest that bcrypt accepts
	maxBcrypt      bcryptCost = 14 // about a second; some applications use it
	bcryptBase64              = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

func (c bcryptCost) hash(password string) (string, error) {
	sum, err := bcrypt.GenerateFromPassword([]byte(password), int(c))
	if err != nil {
		return "", fmt.Errorf("bcrypt: %w", err)
	}
	return string(sum), nil
}

func (c bcryptCost) prefixes() []string {
	return []string{fmt.Sprintf("$2a$%02d$", c), fmt.Sprintf("$2b$%02d$", c), fmt.Sprintf("$2y$%02d$", c)}
}

func (c bcryptCost) dummy() string {
	return fmt.Sprintf("$2a$%02d$%s", c, strings.Repeat(".", 53))
}

type bcryptHash string

func parseBcrypt(stored string) (verifier, error) {
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil || len(stored) != 60 || strings.ContainsFunc(stored[7:], func(r rune) bool { return !strings.ContainsRune(bcryptBase64, r) }) {
		return nil, errDamaged // the library rejects invalid base64 too, but without any work, which would show in the time
	}
	if cost > int(maxBcrypt) {
		return nil, errExpensive
	}
	return bcryptHash(stored), nil
}

// parseDjangoBcrypt parses Django's "bcrypt$$2b$12$…".
func parseDjangoBcrypt(stored string) (verifier, error) {
	return parseBcrypt(strings.TrimPrefix(stored, "bcrypt$"))
}

// parseDjangoBcryptSHA256 parses Django's "bcrypt_sha256$$2b$12$…".
func parseDjangoBcryptSHA256(stored string) (verifier, error) {
	known, err := parseBcrypt(strings.TrimPrefix(stored, "bcrypt_sha256$"))
	if h, ok := known.(bcryptHash); ok {
		return bcryptSHA256Hash(h), nil
	}
	return nil, err
}

// verify compares the whole password: bcrypt itself ignores everything after 72 bytes.
func (h bcryptHash) verify(password string) bool {
	tooLong := len(password) > bcryptBytes
	if tooLong {
		password = password[:bcryptBytes]
	}
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil && !tooLong
}

// bcryptSHA256Hash is Django's bcrypt_sha256: bcrypt of the SHA-256 of the password in hexadecimal, which has 64 bytes and
// no NUL.
type bcryptSHA256Hash bcryptHash

func (h bcryptSHA256Hash) verify(password string) bool {
	sum := sha256.Sum256([]byte(password))
	return bcryptHash(h).verify(hex.EncodeToString(sum[:]))
}
