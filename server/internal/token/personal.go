package token

import (
	"crypto/rand"
	"hash/crc32"
	"strings"

	"sesame/server/secret"
)

const (
	// PersonalPrefix begins every personal access token, so that secret scanners find one in a repository or a log.
	PersonalPrefix = "ssm_"
	// personalRandom is the number of random characters, with log2(62) bits each: 178 bits.
	personalRandom = 30
	// checksumLength is the number of characters of the checksum: the CRC-32 (IEEE) of the random characters, with zeros in front.
	checksumLength = 6
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewPersonal makes a personal access token.
func NewPersonal() secret.Text {
	text := make([]byte, 0, personalRandom)
	var random [64]byte
	for len(text) < personalRandom {
		rand.Read(random[:])
		for _, b := range random {
			// Of the 64 values of six bits, the last two stand for no character: a modulus would make some characters likelier.
			if i := int(b & 0x3f); i < len(base62) && len(text) < personalRandom {
				text = append(text, base62[i])
			}
		}
	}
	return secret.New(PersonalPrefix + string(text) + PersonalChecksum(string(text)))
}

// IsPersonal reports whether a text claims to be a personal access token.
func IsPersonal(text string) bool { return strings.HasPrefix(text, PersonalPrefix) }

// IsWellFormed reports whether a text has the form of a personal access token and the right checksum: one that is mistyped, cut off
// or made up is refused before anything is read. Everybody can compute the checksum, so it proves nothing.
func IsWellFormed(text string) bool {
	body, ok := strings.CutPrefix(text, PersonalPrefix)
	return ok && len(body) == personalRandom+checksumLength && PersonalChecksum(body[:personalRandom]) == body[personalRandom:]
}

// PersonalChecksum returns the checksum of the random characters of a token: their CRC-32 in base 62.
func PersonalChecksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var digits [checksumLength]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}
