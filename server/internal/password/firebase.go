package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// Firebase holds the password hash parameters of a Firebase project, which its console shows. They are the same for all
// accounts of the project, and its exports do not contain them.
type Firebase struct {
	SignerKey, SaltSeparator []byte
	Rounds, MemCost          int
}

// Stored returns the form in which a hash of the project is stored: "$fbscrypt$v=1,n=14,r=8,p=1,ss=…,sk=…$salt$sum", as
// Supabase does. It contains the parameters, since the server has no others. salt and sum are base64, as in an export.
func (f Firebase) Stored(salt, sum string) string {
	standard := strings.NewReplacer("-", "+", "_", "/")
	separator := ""
	if len(f.SaltSeparator) > 0 {
		separator = ",ss=" + base64.StdEncoding.EncodeToString(f.SaltSeparator)
	}
	return fmt.Sprintf("$fbscrypt$v=1,n=%d,r=%d,p=1%s,sk=%s$%s$%s", f.MemCost, f.Rounds, separator,
		base64.StdEncoding.EncodeToString(f.SignerKey), standard.Replace(salt), standard.Replace(sum))
}

// firebaseHash is Firebase's variant of scrypt: the result of scrypt is the AES key with which the project's signer key is
// encrypted, and the ciphertext is the sum.
type firebaseHash struct {
	scryptHash // salt includes the project's salt separator
	signerKey  []byte
}

func parseFirebase(stored string) (verifier, error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 {
		return nil, errDamaged
	}
	// The base64 texts contain "=", but no comma.
	params := map[string]string{}
	for param := range strings.SplitSeq(parts[2], ",") {
		name, value, ok := strings.Cut(param, "=")
		if _, again := params[name]; !ok || again {
			return nil, errDamaged
		}
		params[name] = value
	}
	separator, err := base64.StdEncoding.DecodeString(params["ss"])
	if err != nil || params["v"] != "1" || len(params) > 6 || params["ss"] == "" && len(params) > 5 {
		return nil, errDamaged
	}
	signerKey, err := base64.StdEncoding.DecodeString(params["sk"])
	salt, sum, ok := readSums(base64.StdEncoding, parts[3], parts[4])
	// The comparison is of the whole ciphertext, and that has the length of the key.
	if err != nil || !ok || len(signerKey) != len(sum) || len(salt)+len(separator) > maxSalt {
		return nil, errDamaged
	}
	cost, ok := readNumber(params["n"])
	if !ok {
		return nil, errDamaged
	}
	known, err := scryptOf(strconv.FormatUint(1<<min(cost, 31), 10), params["r"], params["p"], append(salt, separator...), sum)
	if h, ok := known.(scryptHash); ok {
		return firebaseHash{h, signerKey}, nil
	}
	return nil, err
}

func (h firebaseHash) verify(password string) bool {
	key, err := scrypt.Key([]byte(password), h.salt, h.n, h.r, h.p, 32)
	if err != nil {
		return false
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return false
	}
	sum := make([]byte, len(h.signerKey))
	// Every key is used for one message only, so the counter may begin at zero.
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(sum, h.signerKey) //nolint:gosec // as the comment says
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}
