package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"

	"github.com/google/uuid"

	"sesame/server/secret"
)

// Refresh is a parsed refresh token: its session, how often that session has been refreshed, and 256 random bits that
// only the holder knows.
//
// The text is base64url of session ‖ generation ‖ seed ‖ HMAC of these three. So the server can compute the next token of
// a session again for a client that lost the response, although it stores no token; and it recognises a token of an
// earlier generation as genuine and used, which a guess never is.
type Refresh struct {
	SessionID  uuid.UUID
	Generation uint32
	seed       [32]byte
}

const refreshBody = 16 + 4 + 32

// NewRefresh makes the first refresh token of a session.
func NewRefresh(session uuid.UUID) Refresh {
	r := Refresh{SessionID: session}
	rand.Read(r.seed[:])
	return r
}

// RefreshOf returns a token by its session and its random part.
func RefreshOf(session uuid.UUID, seed []byte) Refresh {
	r := Refresh{SessionID: session}
	copy(r.seed[:], seed)
	return r
}

// Seed returns the random part.
func (r Refresh) Seed() []byte { return r.seed[:] }

// SeedHash returns the part of the token that the database stores: the SHA-256 of its random part, in hex.
func (r Refresh) SeedHash() string {
	sum := sha256.Sum256(r.seed[:])
	return hex.EncodeToString(sum[:])
}

// Next returns the token that replaces r.
func (r Refresh) Next() Refresh {
	r.Generation++
	return r
}

// Refresher formats and parses refresh tokens.
type Refresher struct{ key, second []byte }

// NewRefresher makes a Refresher. Replicas that share the master key accept each other's tokens.
func NewRefresher(master MasterKey) Refresher {
	return Refresher{key: master.derive("refresh tokens"), second: master.deriveSecond("refresh tokens")}
}

// Text returns r as text.
func (f Refresher) Text(r Refresh) secret.Text {
	body := make([]byte, 0, refreshBody+sha256.Size)
	body = append(body, r.SessionID[:]...)
	body = binary.BigEndian.AppendUint32(body, r.Generation)
	body = append(body, r.seed[:]...)
	return secret.New(base64.RawURLEncoding.EncodeToString(append(body, mac(f.key, body)...)))
}

// Parse parses a text, and reports whether a server with this master key, or the second one, made it.
func (f Refresher) Parse(text string) (Refresh, bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(refreshBody+sha256.Size) {
		return Refresh{}, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != refreshBody+sha256.Size {
		return Refresh{}, false
	}
	made := func(key []byte) bool { return hmac.Equal(raw[refreshBody:], mac(key, raw[:refreshBody])) }
	if !made(f.key) && (f.second == nil || !made(f.second)) {
		return Refresh{}, false
	}
	r := Refresh{Generation: binary.BigEndian.Uint32(raw[16:20])}
	copy(r.SessionID[:], raw[:16])
	copy(r.seed[:], raw[20:refreshBody])
	return r, true
}

// mac returns the HMAC-SHA-256 of data.
func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}
