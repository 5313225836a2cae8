package token

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/server/internal/token/atjwt"
)

func generate(t testing.TB, alg string) Key {
	t.Helper()
	key, err := GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// T1: each key verifies by its own algorithm alone, in a ring that has all of them.
func TestEachKeyHasOneAlgorithm(t *testing.T) {
	keys := map[string]Key{ES256: generate(t, ES256), RS256: generate(t, RS256), EdDSA: generate(t, EdDSA)}
	f := forger{NewIssuer(testIssuer, testAudience, NewKeyring(keys[ES256], keys[RS256], keys[EdDSA]), atMoment), keys[ES256]}
	for signer, key := range keys {
		for _, named := range atjwt.Algorithms {
			for verifier, other := range keys {
				input := encode(t, f.header().with(object{"alg": named, "kid": other.ID}), f.claims())
				text := sign(t, jwt.GetSigningMethod(signer), key.private, input)
				f.check(t, text, signer == named && named == verifier)
			}
		}
	}
	input := encode(t, f.header().with(object{"alg": "PS256", "kid": keys[RS256].ID}), f.claims())
	f.check(t, sign(t, jwt.SigningMethodPS256, keys[RS256].private, input), false)

	// Even where the kinds of key would not give it away.
	text := f.make(t, nil, nil)
	f.issuer = NewIssuer(testIssuer, testAudience, NewKeyring(keys[ES256]), atMoment)
	f.issuer.keys.Current().public[keys[ES256].ID] = publicKey{EdDSA, keys[ES256].private.Public()}
	f.check(t, text, false)
}

// A key is sealed and opened again, and its ID does not change.
func TestSealedKeysOfEachAlgorithm(t *testing.T) {
	file := t.TempDir() + "/master.key"
	master, err := MakeMasterKey(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range atjwt.Algorithms {
		key := generate(t, alg)
		sealed, err := key.Seal(master)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unseal(master, key.ID, sealed)
		if err != nil || again.ID != key.ID || again.Alg != alg || again.jwk != key.jwk {
			t.Errorf("%s: %v, %+v became %+v", alg, err, key.jwk, again.jwk)
		}
		if _, err = Unseal(master, "another", sealed); !errors.Is(err, ErrWrongMasterKey) {
			t.Errorf("%s is opened under another name: %v", alg, err)
		}
	}
	if err = os.Remove(file); err != nil {
		t.Error(err)
	}
}

// The thumbprints of the examples in RFC 7638 §3.1 and RFC 8037 appendix A.3.
func TestThumbprints(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91" +
		"CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	const seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	public := rsaKey(t, n, "AQAB").(*rsa.PublicKey)
	key, err := newKey(&publicOnly{public: public})
	if err != nil || key.ID != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" || key.jwk.N != n || key.jwk.E != "AQAB" {
		t.Errorf("%v %+v", err, key.jwk)
	}
	raw, err := base64.RawURLEncoding.DecodeString(seed)
	if err != nil {
		t.Fatal(err)
	}
	key, err = newKey(ed25519.NewKeyFromSeed(raw))
	if err != nil || key.ID != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" || key.jwk.Kty != "OKP" {
		t.Errorf("%v %+v", err, key.jwk)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = newKey(small); err == nil {
		t.Error("an RSA key of 1024 bits is taken")
	}
}

// switched is a ring that a test changes.
type switched struct {
	*Keyring
	next  *Keyring
	err   error
	asked int
}

func (s *switched) Current() *Keyring { return s.Keyring }

func (s *switched) Refresh() (*Keyring, error) {
	s.asked++
	if s.next != nil {
		s.Keyring = s.next
	}
	return s.Keyring, s.err
}

// Cached verifications are dropped together with the key.
func TestARememberedTokenDoesNotOutliveItsKey(t *testing.T) {
	old := generate(t, ES256)
	keys := &switched{Keyring: NewKeyring(old)}
	f := forger{NewIssuer(testIssuer, testAudience, keys, atMoment), old}
	text := f.make(t, nil, nil)
	f.check(t, text, true)
	keys.Keyring = NewKeyring(generate(t, ES256), old) // retired
	f.check(t, text, true)
	keys.Keyring = NewKeyring(generate(t, ES256)) // removed
	f.check(t, text, false)
}

// A token of an unknown key is looked at again with newer keys; where they cannot be read, that is
// no fault of the token.
func TestUnknownKeysAreLookedForAgain(t *testing.T) {
	old, fresh := generate(t, ES256), generate(t, ES256)
	keys := &switched{Keyring: NewKeyring(old)}
	f := forger{NewIssuer(testIssuer, testAudience, keys, atMoment), fresh}
	text := f.make(t, nil, nil)
	f.check(t, text, false)
	keys.err = errors.New("the database is away")
	if _, err := f.issuer.Verify(text); !errors.Is(err, keys.err) || errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	keys.err, keys.next = nil, NewKeyring(fresh, old)
	f.check(t, text, true)
	if keys.asked != 4 { // twice in check, and what is verified is remembered
		t.Errorf("asked %d times", keys.asked)
	}
}

// FuzzVerify: whatever the text, the verifier answers, and takes only what was signed here: the
// payload of what it takes is byte for byte that of a seed.
func FuzzVerify(f *testing.F) {
	keys := []Key{generate(f, ES256), generate(f, RS256), generate(f, EdDSA)}
	ring := NewKeyring(keys[0], keys[1:]...)
	issuer := NewIssuer(testIssuer, testAudience, ring, atMoment)
	good := map[string]bool{}
	for _, key := range keys {
		signer := NewIssuer(testIssuer, testAudience, NewKeyring(key), atMoment)
		text, err := signer.Sign(Access{
			ID: "id", Subject: "user", SessionID: "session", IssuedAt: moment, AuthTime: moment, ExpiresAt: moment.Add(time.Minute),
		})
		if err != nil {
			f.Fatal(err)
		}
		input := text[:strings.LastIndex(text, ".")]
		good[input] = true
		f.Add(text)
		f.Add(input + ".")
		_, rest, _ := strings.Cut(text, ".")
		f.Add("eyJhbGciOiJub25lIn0." + rest)
	}
	f.Add("")
	f.Add("..")
	f.Add(strings.Repeat(".", 1<<12))
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLy4uLyIsImNyaXQiOltdfQ.e30.AA")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := issuer.Verify(text)
		switch {
		case err != nil && !errors.Is(err, ErrInvalid):
			t.Errorf("an error that is not the token's: %v", err)
		case err == nil && !good[text[:strings.LastIndex(text, ".")]]:
			t.Errorf("a forged token is taken: %q", text)
		}
	})
}

// publicOnly is a key of which the RFC prints the public half alone.
type publicOnly struct{ public crypto.PublicKey }

func (p *publicOnly) Public() crypto.PublicKey { return p.public }

func (p *publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private half")
}
