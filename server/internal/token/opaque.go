package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"sesame/server/secret"
)

// NewSecret makes a secret of 256 random bits: that of a client, or a code that is mailed.
func NewSecret() secret.Text {
	var random [32]byte
	rand.Read(random[:])
	return secret.New(base64.RawURLEncoding.EncodeToString(random[:]))
}

// HashSecret returns the SHA-256 of such a secret, in hex, for the database. A fast hash is enough, unlike for
// passwords, since nobody can guess 256 random bits.
func HashSecret(text secret.Text) string {
	sum := sha256.Sum256([]byte(text.Reveal()))
	return hex.EncodeToString(sum[:])
}
