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
func newScrypt(n, r, p uint64) (h scryptHash, err error) {
	if n < 2 || n&(n-1) != 0 {
		return h, errDamaged
	}
	if n > maxScrypt || r > maxScryptBlock || p > maxScryptLanes || 128*n*r*p > maxScrypt {
		return h, errExpensive
	}
	return scryptHash{n: int(n), r: int(r), p: int(p)}, nil //nolint:gosec,nolintlint // within the ceilings, which gosec sees at times
}

// parseScrypt parses "$scrypt$ln=16,r=8,p=1$salt$sum" of passlib and the PHC string format.
func parseScrypt(stored string) (verifier, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 {
		return nil, errDamaged
	}
	params, ok := readParams(parts[2], "ln", "r", "p")
	if !ok {
		return nil, errDamaged
	}
	h, err := newScrypt(1<<min(params[0], 32), params[1], params[2])
	if err != nil {
		return nil, err
	}
	if h.salt, h.sum, ok = readSums(base64.RawStdEncoding, parts[3], parts[4]); !ok {
		return nil, errDamaged
	}
	return h, nil
}

// parseDjangoScrypt parses Django's "scrypt$16384$salt$8$5$sum", where the salt is text.
func parseDjangoScrypt(stored string) (verifier, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 6 {
		return nil, errDamaged
	}
	sum, err := base64.StdEncoding.DecodeString(parts[5])
	if err != nil {
		return nil, errDamaged
	}
	return scryptOf(parts[1], parts[3], parts[4], []byte(parts[2]), sum)
}

// parseWerkzeugScrypt parses Werkzeug's "scrypt:32768:8:1$salt$sum", where the salt is text and the sum hexadecimal.
func parseWerkzeugScrypt(stored string) (verifier, error) {
	method, salt, sum, ok := werkzeugParts(stored)
	if !ok || len(method) != 4 {
		return nil, errDamaged
	}
	return scryptOf(method[1], method[2], method[3], salt, sum)
}

// scryptOf makes the hash of parameters that are decimal numbers.
func scryptOf(nText, rText, pText string, salt, sum []byte) (verifier, error) {
	n, nOK := readNumber(nText)
	r, rOK := readNumber(rText)
	p, pOK := readNumber(pText)
	if !nOK || !rOK || !pOK || !validLengths(salt, sum) {
		return nil, errDamaged
	}
	h, err := newScrypt(n, r, p)
	if err != nil {
		return nil, err
	}
	h.salt, h.sum = salt, sum
	return h, nil
}

func (h scryptHash) verify(password string) bool {
	sum, err := scrypt.Key([]byte(password), h.salt, h.n, h.r, h.p, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}
