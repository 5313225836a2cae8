package password

import (
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// The limits of a stored scrypt hash: 128·N·r·p bytes (RFC 7914), which take about a third of a second. That is OWASP's
// recommendation, N=2^17 and r=8. r and p have limits of their own, since their cost is not in that product.
const (
	maxScrypt      = 128 << 20
	maxScryptBlock = 32 // r
	maxScryptLanes = 16 // p
)

type scryptHash struct {
	n, r, p   int
	salt, sum []byte
}

// newScrypt checks the parameters; N is a power of two.
func newScrypt(n, r, p uint64) (h scryptHash, ok bool) {
	if n < 2 || n&(n-1) != 0 || n > maxScrypt || r > maxScryptBlock || p > maxScryptLanes || 128*n*r*p > maxScrypt {
		return h, false
	}
	return scryptHash{n: int(n), r: int(r), p: int(p)}, true //nolint:gosec,nolintlint // within the ceilings, which gosec sees at times
}

// parseScrypt parses passlib's "$scrypt$ln=16,r=8,p=1$salt$sum".
func parseScrypt(stored string) verifier {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 {
		return nil
	}
	params, ok := readParams(parts[2], "ln", "r", "p")
	if !ok || params[0] > 31 {
		return nil
	}
	h, ok := newScrypt(1<<params[0], params[1], params[2])
	if !ok {
		return nil
	}
	if h.salt, h.sum, ok = readSums(base64.RawStdEncoding, parts[3], parts[4]); !ok {
		return nil
	}
	return h
}

// parseDjangoScrypt parses Django's "scrypt$16384$salt$8$5$sum", where the salt is text.
func parseDjangoScrypt(stored string) verifier {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 {
		return nil
	}
	n, nOK := readNumber(parts[1])
	r, rOK := readNumber(parts[3])
	p, pOK := readNumber(parts[4])
	if !nOK || !rOK || !pOK {
		return nil
	}
	h, ok := newScrypt(n, r, p)
	sum, err := base64.StdEncoding.DecodeString(parts[5])
	if h.salt, h.sum = []byte(parts[2]), sum; !ok || err != nil || !validLengths(h.salt, h.sum) {
		return nil
	}
	return h
}

func (h scryptHash) verify(password string) bool {
	sum, err := scrypt.Key([]byte(password), h.salt, h.n, h.r, h.p, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}
