package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
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

// checked returns the hash, or an error if it exceeds the limits.
func (h pbkdf2Hash) checked(rounds uint64) (verifier, error) {
	if !validLengths(h.salt, h.sum) {
		return nil, errDamaged
	}
	size, limit := h.digest().Size(), uint64(maxSHA256Rounds)
	if size == sha512.Size {
		limit = maxSHA512Rounds
	}
	blocks := uint64((len(h.sum) + size - 1) / size) //nolint:gosec // 4 at most
	if rounds*blocks > limit {
		return nil, errExpensive
	}
	h.rounds = int(rounds) //nolint:gosec // within the ceiling
	return h, nil
}

// parsePBKDF2 parses passlib's "$pbkdf2-sha256$29000$salt$sum", and "$pbkdf2-sha256$i=29000,l=32$salt$sum" in the PHC string
// format, where l is the length of the sum and may be missing.
func parsePBKDF2(stored string) (verifier, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 {
		return nil, errDamaged
	}
	h := pbkdf2Hash{digest: sha256.New}
	if parts[1] == "pbkdf2-sha512" {
		h.digest = sha512.New
	}
	encoding, length := pbkdf2Base64, uint64(0)
	rounds, ok := readNumber(parts[2])
	if strings.Contains(parts[2], "=") {
		names := []string{"i", "l"}[:1+strings.Count(parts[2], ",")%2]
		var params []uint64
		if params, ok = readParams(parts[2], names...); ok {
			rounds = params[0]
			length = append(params, 0)[1]
		}
		encoding = base64.RawStdEncoding
	}
	if !ok {
		return nil, errDamaged
	}
	if h.salt, h.sum, ok = readSums(encoding, parts[3], parts[4]); !ok || length != 0 && length != uint64(len(h.sum)) {
		return nil, errDamaged
	}
	return h.checked(rounds)
}

// parseDjangoPBKDF2 parses Django's "pbkdf2_sha256$1000000$salt$sum", where the salt is text.
func parseDjangoPBKDF2(stored string) (verifier, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 4 {
		return nil, errDamaged
	}
	rounds, ok := readNumber(parts[1])
	sum, err := base64.StdEncoding.DecodeString(parts[3])
	if !ok || err != nil {
		return nil, errDamaged
	}
	return pbkdf2Hash{digest: sha256.New, salt: []byte(parts[2]), sum: sum}.checked(rounds)
}

// parseWerkzeugPBKDF2 parses Werkzeug's "pbkdf2:sha256:600000$salt$sum", where the salt is text and the sum hexadecimal.
func parseWerkzeugPBKDF2(stored string) (verifier, error) {
	method, salt, sum, ok := werkzeugParts(stored)
	if !ok || len(method) != 3 {
		return nil, errDamaged
	}
	h := pbkdf2Hash{digest: sha256.New, salt: salt, sum: sum}
	if method[1] == "sha512" {
		h.digest = sha512.New
	}
	rounds, ok := readNumber(method[2])
	if !ok {
		return nil, errDamaged
	}
	return h.checked(rounds)
}

// werkzeugParts splits "method:parameter:…$salt$sum".
func werkzeugParts(stored string) (method []string, salt, sum []byte, ok bool) {
	parts := strings.Split(stored, "$")
	if len(parts) != 3 {
		return nil, nil, nil, false
	}
	sum, err := hex.DecodeString(parts[2])
	return strings.Split(parts[0], ":"), []byte(parts[1]), sum, err == nil
}

func (h pbkdf2Hash) verify(password string) bool {
	sum, err := pbkdf2.Key(h.digest, password, h.salt, h.rounds, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}
