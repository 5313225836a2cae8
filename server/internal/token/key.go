// Package token holds the formats: access tokens (JWTs, RFC 9068) and the keys that sign them, refresh tokens, cursors,
// random secrets, and the encryption of data at rest. Every key except the signing keys is derived from the MasterKey.
// It uses neither the database nor HTTP; package keys stores and rotates the signing keys.
//
//	keys := token.NewKeyring(key)
//	issuer := token.NewIssuer("https://login.example", "https://api.example", keys, time.Now)
//	text, _ := issuer.Sign(token.Access{Subject: userID, …})
//	access, err := issuer.Verify(text)
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// The signing algorithms (RFC 7518 §3.3 and §3.4, RFC 8037 §3.1).
const (
	ES256 = "ES256"
	RS256 = "RS256"
	EdDSA = "EdDSA"
)

// rsaBits is the minimum of RFC 7518 §3.3, which every verifier supports.
const rsaBits = 2048

// Key is one signing key, for one algorithm. Its ID is the RFC 7638 thumbprint of the public half.
type Key struct {
	ID      string
	Alg     string
	private crypto.Signer
	jwk     JWK
}

// JWK is the public half of a Key (RFC 7517 §4): X and Y for EC, X for OKP, N and E for RSA. It has no private members
// that could leak.
type JWK struct {
	Kty, Use, Alg, Kid, Crv, X, Y, N, E string
}

// GenerateKey makes a new key: P-256 for ES256, RSA for RS256, Ed25519 for EdDSA.
func GenerateKey(alg string) (Key, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("unknown algorithm %q", alg)
	}
	if err != nil {
		return Key{}, fmt.Errorf("generate a signing key: %w", err)
	}
	return newKey(private)
}

// newKey makes a Key of a private key; the kind of the key determines its algorithm.
func newKey(private crypto.Signer) (Key, error) {
	jwk, err := publicJWK(private.Public())
	if err != nil {
		return Key{}, err
	}
	// RFC 7638 §3.2 and RFC 8037 §2: the required members, sorted, without whitespace.
	members := map[string]string{"kty": jwk.Kty}
	for name, value := range map[string]string{"crv": jwk.Crv, "x": jwk.X, "y": jwk.Y, "n": jwk.N, "e": jwk.E} {
		if value != "" {
			members[name] = value
		}
	}
	canonical, err := json.Marshal(members) // sorts
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(canonical)
	jwk.Kid = base64.RawURLEncoding.EncodeToString(sum[:])
	return Key{ID: jwk.Kid, Alg: jwk.Alg, private: private, jwk: jwk}, nil
}

func publicJWK(public crypto.PublicKey) (JWK, error) {
	text := base64.RawURLEncoding.EncodeToString
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			break
		}
		point, err := public.Bytes() // 0x04, x, y
		if err != nil {
			return JWK{}, fmt.Errorf("encode a public key: %w", err)
		}
		return JWK{Kty: "EC", Use: "sig", Alg: ES256, Crv: "P-256", X: text(point[1:33]), Y: text(point[33:65])}, nil
	case *rsa.PublicKey:
		if public.N.BitLen() < rsaBits {
			break
		}
		e := big.NewInt(int64(public.E))
		return JWK{Kty: "RSA", Use: "sig", Alg: RS256, N: text(public.N.Bytes()), E: text(e.Bytes())}, nil
	case ed25519.PublicKey:
		return JWK{Kty: "OKP", Use: "sig", Alg: EdDSA, Crv: "Ed25519", X: text(public)}, nil
	}
	return JWK{}, errors.New("a signing key must be P-256, Ed25519 or RSA with 2048 bits or more")
}

// Seal encrypts the private half for the database. It is bound to the ID of the key, so that rows cannot be swapped.
func (k Key) Seal(master MasterKey) (string, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return "", fmt.Errorf("encode a private key: %w", err)
	}
	return keySealer(master).Seal(plain, k.ID), nil
}

// ErrWrongMasterKey is the error for a signing key that was sealed with another master key.
var ErrWrongMasterKey = errors.New("the signing keys of this database were sealed with another master key; give the server the original master key")

// Unseal is the inverse of Seal.
func Unseal(master MasterKey, id, sealed string) (Key, error) {
	plain, err := keySealer(master).Open(sealed, id)
	if errors.Is(err, errCorrupt) {
		return Key{}, fmt.Errorf("signing key %s is corrupt in the database", id)
	}
	if err != nil {
		return Key{}, ErrWrongMasterKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return Key{}, fmt.Errorf("decode signing key %s: %w", id, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("signing key %s cannot sign", id)
	}
	return newKey(private)
}

// Reseal seals a signing key again if the second master key has sealed it. It reports whether it did.
func Reseal(master MasterKey, id, sealed string) (resealed string, changed bool) {
	return keySealer(master).Reseal(sealed, id)
}

func keySealer(master MasterKey) Sealer { return NewSealer(master, "signing keys") }
