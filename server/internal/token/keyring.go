package token

import "crypto"

// Keys provides the keys of an Issuer: a Keyring, or a source that reads a new one from time to time.
type Keys interface {
	// Current returns the keyring in memory. Every request calls it, so it neither waits nor locks.
	Current() *Keyring
	// ForSigning returns a recent keyring, since a key that another replica has retired must not sign here.
	ForSigning() (*Keyring, error)
	// Refresh reads the keyring again, for a token that names a key that Current does not have.
	Refresh() (*Keyring, error)
}

// Keyring holds the keys of one server: one signs, all verify. It is immutable.
type Keyring struct {
	signing Key
	keys    map[string]Key
	public  map[string]publicKey
	jwks    []JWK
}

// publicKey verifies only with its own algorithm, whatever the header of a token says (RFC 8725 §3.1).
type publicKey struct {
	alg string
	key crypto.PublicKey
}

// NewKeyring makes a keyring in which signing signs, and signing and the others verify.
func NewKeyring(signing Key, others ...Key) *Keyring {
	ring := &Keyring{signing: signing, keys: map[string]Key{}, public: map[string]publicKey{}}
	for _, key := range append([]Key{signing}, others...) {
		ring.keys[key.ID] = key
		ring.public[key.ID] = publicKey{key.Alg, key.private.Public()}
		ring.jwks = append(ring.jwks, key.jwk)
	}
	return ring
}

// JWKS returns the public keys (RFC 7517 §5), the signing key first.
func (r *Keyring) JWKS() []JWK { return r.jwks }

// Key returns a key by its ID.
func (r *Keyring) Key(id string) (Key, bool) {
	key, ok := r.keys[id]
	return key, ok
}

// Current returns r. It implements Keys, as ForSigning and Refresh do: a keyring never changes.
func (r *Keyring) Current() *Keyring { return r }

// ForSigning returns r.
func (r *Keyring) ForSigning() (*Keyring, error) { return r, nil }

// Refresh returns r.
func (r *Keyring) Refresh() (*Keyring, error) { return r, nil }
