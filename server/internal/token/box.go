package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
)

// Box seals what the database holds and whoever steals the database must not read: AES-256-GCM under
// a key that is derived from the master key for one purpose.
type Box struct{ aead cipher.AEAD }

// NewBox makes the box of a purpose; all replicas that share the master key open each other's seals.
func NewBox(master MasterKey, purpose string) Box {
	block, err := aes.NewCipher(master.derive(purpose))
	if err != nil { // only for lengths that are not ours
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return Box{aead}
}

// Seal encrypts, and binds what it encrypts to a name, so that one row's seal does not open in another.
func (b Box) Seal(plain []byte, name string) string {
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce)
	return base64.StdEncoding.EncodeToString(b.aead.Seal(nonce, nonce, plain, []byte(name)))
}

var errCorrupt = errors.New("what is sealed is no longer whole")

// Open is the inverse of Seal. It fails for another master key, another name and whatever was changed.
func (b Box) Open(sealed, name string) ([]byte, error) {
	box, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(box) < b.aead.NonceSize() {
		return nil, errCorrupt
	}
	return b.aead.Open(nil, box[:b.aead.NonceSize()], box[b.aead.NonceSize():], []byte(name))
}
