package token

import "crypto"

// Keys is where an Issuer finds its keys: a Keyring, or something that reads a new one now and then.
type Keys interface {
	// Current is the ring at hand. It is asked at every request, and neither waits nor locks.
	Current() *Keyring
	// ForSigning is a ring that is known to be recent: what has retired elsewhere must not sign here.
	ForSigning() (*Keyring, error)
	// LookAgain is asked when a token names a key that Current does not have.
	LookAgain() (*Keyring, error)
}

// Keyring holds the keys of one server: one signs, all verify. It does not change once made.
type Keyring struct {
	signing Key
	keys    map[string]Key
	public  map[string]publicKey
	jwks    []JWK
}

// publicKey verifies by its own algorithm alone, whatever a token's header says (RFC 8725 §3.1).
type publicKey struct {
	alg string
	key crypto.PublicKey
}

// NewKeyring makes a ring in which signing signs, and it and the others verify.
func NewKeyring(signing Key, others ...Key) *Keyring {
	ring := &Keyring{signing: signing, keys: map[string]Key{}, public: map[string]publicKey{}}
	for _, key := range append([]Key{signing}, others...) {
		ring.keys[key.ID] = key
		ring.public[key.ID] = publicKey{key.Alg, key.private.Public()}
		ring.jwks = append(ring.jwks, key.jwk)
	}
	return ring
}

// JWKS lists the public keys (RFC 7517 §5), the one that signs first.
func (r *Keyring) JWKS() []JWK { return r.jwks }

// Key gives a key by its ID.
func (r *Keyring) Key(id string) (Key, bool) {
	key, ok := r.keys[id]
	return key, ok
}

// Current implements Keys, as do the methods after it: a ring by itself never changes.
func (r *Keyring) Current() *Keyring { return r }

// ForSigning gives the ring itself.
func (r *Keyring) ForSigning() (*Keyring, error) { return r, nil }

// LookAgain gives the ring itself.
func (r *Keyring) LookAgain() (*Keyring, error) { return r, nil }
