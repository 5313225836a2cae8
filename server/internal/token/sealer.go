package token

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
)

// Sealer encrypts data in the database that a thief of the database must not read: AES-256-GCM, with a key that is
// derived from the master key for one purpose.
type Sealer struct {
	aead   cipher.AEAD
	second cipher.AEAD // of the second master key, which only opens; nil without one
}

// NewSealer makes the Sealer of a purpose. Replicas that share the master key can open each other's data.
func NewSealer(master MasterKey, purpose string) Sealer {
	s := Sealer{aead: newAEAD(master.derive(purpose))}
	if key := master.deriveSecond(purpose); key != nil {
		s.second = newAEAD(key)
	}
	return s
}

func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil { // impossible: the key has 32 bytes
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// Seal encrypts a text and binds it to the name of its row, so that it does not open in another row.
func (s Sealer) Seal(plain []byte, name string) string {
	return base64.StdEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(name))) //nolint:gosec // the AEAD makes the nonce
}

var errCorrupt = errors.New("the sealed data is corrupt")

// Open is the inverse of Seal. It fails with another master key, another name, or changed data.
func (s Sealer) Open(sealed, name string) ([]byte, error) {
	plain, _, err := s.open(sealed, name)
	return plain, err
}

// SealURL is Seal in characters that a URL does not escape.
func (s Sealer) SealURL(plain []byte, name string) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(name))) //nolint:gosec // as above
}

// OpenURL is the inverse of SealURL.
func (s Sealer) OpenURL(sealed, name string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, errCorrupt
	}
	return s.Open(base64.StdEncoding.EncodeToString(data), name)
}

// open is Open that also reports whether the second master key has sealed the data.
func (s Sealer) open(sealed, name string) (plain []byte, second bool, err error) {
	data, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(data) < s.aead.Overhead() {
		return nil, false, errCorrupt
	}
	plain, err = s.aead.Open(nil, nil, data, []byte(name))
	if err != nil && s.second != nil {
		plain, err = s.second.Open(nil, nil, data, []byte(name))
		second = err == nil
	}
	return plain, second, err
}

// HasSecond reports whether there is a second master key.
func (s Sealer) HasSecond() bool { return s.second != nil }

// Reseal seals again what the second master key has sealed. It reports whether it did.
func (s Sealer) Reseal(sealed, name string) (resealed string, changed bool) {
	plain, second, err := s.open(sealed, name)
	if err != nil || !second {
		return sealed, false // Open explains the error
	}
	return s.Seal(plain, name), true
}
