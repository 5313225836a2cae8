// Package token makes and reads every token that Sesame knows: access tokens (JWTs per RFC 9068),
// the keys that sign them, and opaque refresh tokens. It knows no database and no HTTP.
//
//	keys, _ := token.NewKeyring(key)
//	issuer := token.NewIssuer("https://login.example", "https://api.example", keys)
//	text, _ := issuer.Sign(token.Access{Subject: userID, …})
//	access, err := issuer.Verify(text)
package token

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// ES256 is the signing algorithm (RFC 7518 §3.4).
const ES256 = "ES256"

// Key is one signing key. Its ID is the RFC 7638 thumbprint of the public half.
type Key struct {
	ID      string
	Alg     string
	private *ecdsa.PrivateKey
}

// JWK is the public half of a Key (RFC 7517 §4). It has no private member to leak.
type JWK struct {
	Kty, Use, Alg, Kid, Crv, X, Y string
}

// GenerateKey makes a new P-256 key.
func GenerateKey() (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("generate a signing key: %w", err)
	}
	return newKey(private)
}

func newKey(private *ecdsa.PrivateKey) (Key, error) {
	key := Key{Alg: ES256, private: private}
	jwk, err := key.public()
	if err != nil {
		return Key{}, err
	}
	// RFC 7638 §3.2: the required members, sorted, without white space.
	canonical, err := json.Marshal(struct {
		Crv string `json:"crv"`
		Kty string `json:"kty"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}{jwk.Crv, jwk.Kty, jwk.X, jwk.Y})
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(canonical)
	key.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	return key, nil
}

func (k Key) public() (JWK, error) {
	point, err := k.private.PublicKey.Bytes() // 0x04, x, y
	if err != nil {
		return JWK{}, fmt.Errorf("encode a public key: %w", err)
	}
	x, y := point[1:33], point[33:65]
	return JWK{
		Kty: "EC", Use: "sig", Alg: k.Alg, Kid: k.ID, Crv: "P-256",
		X: base64.RawURLEncoding.EncodeToString(x),
		Y: base64.RawURLEncoding.EncodeToString(y),
	}, nil
}

// Seal encrypts the private half for the database: AES-256-GCM under a key derived from the master
// key, bound to the key's ID so that rows cannot be swapped.
func (k Key) Seal(master MasterKey) (string, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return "", fmt.Errorf("encode a private key: %w", err)
	}
	aead, err := sealer(master)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(k.ID))), nil
}

// ErrWrongMasterKey says that a sealed key cannot be opened.
var ErrWrongMasterKey = errors.New("the master key does not open the signing keys of this database; it is not the one they were sealed with")

// Unseal is the inverse of Seal.
func Unseal(master MasterKey, id, sealed string) (Key, error) {
	aead, err := sealer(master)
	if err != nil {
		return Key{}, err
	}
	box, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(box) < aead.NonceSize() {
		return Key{}, fmt.Errorf("signing key %s is corrupt in the database", id)
	}
	plain, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], []byte(id))
	if err != nil {
		return Key{}, ErrWrongMasterKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return Key{}, fmt.Errorf("decode signing key %s: %w", id, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return Key{}, fmt.Errorf("signing key %s is not a P-256 key", id)
	}
	return newKey(private)
}

func sealer(master MasterKey) (cipher.AEAD, error) {
	block, err := aes.NewCipher(master.derive("signing keys"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Keyring holds the keys of one server: one signs, all verify. It does not change once made.
type Keyring struct {
	signing Key
	public  map[string]crypto.PublicKey
	jwks    []JWK
}

// NewKeyring makes a ring in which signing signs, and it and the others verify.
func NewKeyring(signing Key, others ...Key) (*Keyring, error) {
	ring := &Keyring{signing: signing, public: map[string]crypto.PublicKey{}}
	for _, key := range append([]Key{signing}, others...) {
		jwk, err := key.public()
		if err != nil {
			return nil, err
		}
		ring.public[key.ID] = key.private.Public()
		ring.jwks = append(ring.jwks, jwk)
	}
	return ring, nil
}

// JWKS lists the public keys (RFC 7517 §5).
func (r *Keyring) JWKS() []JWK { return r.jwks }
