// Package personal has the form of personal access tokens: "ssm_", 30 random letters and digits, and six that are a checksum. GitHub's
// tokens have the same form, and secret scanners know it. Sesame makes and checks them, and package guard checks them.
package personal

import (
	"crypto/rand"
	"hash/crc32"
	"strings"

	"sesame/server/secret"
)

const (
	// Prefix begins every personal access token, so that secret scanners find one in a repository or a log.
	Prefix = "ssm_"
	// randomLength is the number of random characters, with log2(62) bits each: 178 bits.
	randomLength = 30
	// checksumLength is the number of characters of the checksum: the CRC-32 (IEEE) of the random characters, with zeros in front.
	checksumLength = 6
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// New makes a personal access token.
func New() secret.Text {
	text := make([]byte, 0, randomLength)
	var random [64]byte
	for len(text) < randomLength {
		rand.Read(random[:])
		for _, b := range random {
			// Of the 64 values of six bits, the last two stand for no character: a modulus would make some characters likelier.
			if i := int(b & 0x3f); i < len(base62) && len(text) < randomLength {
				text = append(text, base62[i])
			}
		}
	}
	return secret.New(Prefix + string(text) + Checksum(string(text)))
}

// Is reports whether a text claims to be a personal access token.
func Is(text string) bool { return strings.HasPrefix(text, Prefix) }

// IsWellFormed reports whether a text has the form of a personal access token and the right checksum: one that is mistyped, cut off
// or made up is refused before anything is read. Everybody can compute the checksum, so it proves nothing.
func IsWellFormed(text string) bool {
	body, ok := strings.CutPrefix(text, Prefix)
	return ok && len(body) == randomLength+checksumLength && Checksum(body[:randomLength]) == body[randomLength:]
}

// Checksum returns the checksum of the random characters of a token: their CRC-32 in base 62.
func Checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var digits [checksumLength]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}
