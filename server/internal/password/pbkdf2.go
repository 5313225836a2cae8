package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"
)

// The limits of a stored PBKDF2 hash: rounds, counted for each block of the sum, that take about a third of a second. Django
// 6.0 uses 1.2 million with SHA-256, and more with every version; OWASP recommends 210,000 with SHA-512.
const (
	maxSHA256Rounds = 2_000_000
	maxSHA512Rounds = 500_000
)

// pbkdf2Base64 is the alphabet of passlib: a dot in place of the plus, and no padding.
var pbkdf2Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").WithPadding(base64.NoPadding)

type pbkdf2Hash struct {
	digest    func() hash.Hash
	rounds    int
	salt, sum []byte
}

// checked returns the hash, or nil if it exceeds the limits.
func (h pbkdf2Hash) checked(rounds uint64) verifier {
	size, limit := h.digest().Size(), uint64(maxSHA256Rounds)
	if size == sha512.Size {
		limit = maxSHA512Rounds
	}
	blocks := uint64((len(h.sum) + size - 1) / size) //nolint:gosec // 4 at most
	if !validLengths(h.salt, h.sum) || rounds*blocks > limit {
		return nil
	}
	h.rounds = int(rounds) //nolint:gosec // within the ceiling
	return h
}

// parsePBKDF2 parses passlib's "$pbkdf2-sha256$29000$salt$sum".
func parsePBKDF2(stored string) verifier {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 {
		return nil
	}
	h := pbkdf2Hash{digest: sha256.New}
	if parts[1] == "pbkdf2-sha512" {
		h.digest = sha512.New
	}
	rounds, ok := readNumber(parts[2])
	if !ok {
		return nil
	}
	if h.salt, h.sum, ok = readSums(pbkdf2Base64, parts[3], parts[4]); !ok {
		return nil
	}
	return h.checked(rounds)
}

// parseDjangoPBKDF2 parses Django's "pbkdf2_sha256$1000000$salt$sum", where the salt is text.
func parseDjangoPBKDF2(stored string) verifier {
	parts := strings.Split(stored, "$")
	if len(parts) != 4 {
		return nil
	}
	rounds, ok := readNumber(parts[1])
	sum, err := base64.StdEncoding.DecodeString(parts[3])
	if !ok || err != nil {
		return nil
	}
	return pbkdf2Hash{digest: sha256.New, salt: []byte(parts[2]), sum: sum}.checked(rounds)
}

func (h pbkdf2Hash) verify(password string) bool {
	sum, err := pbkdf2.Key(h.digest, password, h.salt, h.rounds, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}
