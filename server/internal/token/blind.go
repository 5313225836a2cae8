package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Blind turns texts into keys that say nothing of them: a name that somebody mistyped may be a
// password, and who steals the database must not find out by trying, as with a plain hash.
type Blind struct{ key []byte }

// NewBlind makes a Blind; all replicas that share the master key make the same keys.
func NewBlind(master MasterKey) Blind { return Blind{key: master.derive("blind keys")} }

// Key gives the key of some texts, in that order. It has 32 characters.
func (b Blind) Key(texts ...string) string {
	h := hmac.New(sha256.New, b.key)
	for _, text := range texts {
		var length [8]byte // so that "a", "bc" is not "ab", "c"
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write([]byte(text))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}
