package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// The vectors are testvectors_v1/json_web_signature_test.json and ed25519_test.json of
// github.com/c2sp/wycheproof (Apache License 2.0), as they were on 2 September 2026, unchanged. The
// module itself embeds all vectors of all algorithms, 109 MB, which nobody should have to download to
// run the tests.
const (
	jwsFile     = "testdata/wycheproof_jws.json"
	ed25519File = "testdata/wycheproof_ed25519.json"
)

type jwsVectors struct {
	TestGroups []struct {
		Public struct {
			Kty, Alg, Kid, Crv, X, Y, N, E string
		}
		Tests []struct {
			TcID            int
			Comment, Result string
			JWS             json.RawMessage // an object where the JSON serialization is tried
		}
	}
}

func readVectors(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// exceptions are vectors that are judged otherwise here, and why.
var exceptions = map[int]string{
	332: "the JWK says alg=PS512: an RSA key of ours is for RS256, and the JWK is not read",
	353: "the JWK says use=enc: our verification keys come from our own database, not from JWKs",
	354: "the JWK says use=enc: our verification keys come from our own database, not from JWKs",
	355: "the JWK says key_ops=encrypt: likewise",
	356: "the JWK says key_ops=encrypt: likewise",
}

// T1: Wycheproof's JWS vectors. Two things are held against them. As access tokens all are refused,
// the valid ones too: they carry no typ, and their payload is no set of claims. And for the P-256 and
// RSA keys among them, the parser's base64, the match of key and algorithm, and the signature check
// must find valid what is valid, and nothing else.
func TestWycheproof(t *testing.T) {
	var file jwsVectors
	readVectors(t, jwsFile, &file)
	f := newForger(t, atMoment)
	ring := f.issuer.keys.Current()
	ran, checked := 0, map[string]int{}
	for _, group := range file.TestGroups {
		// The ring knows one algorithm for each kind of key, whatever the JWK says of itself.
		alg := ""
		switch {
		case group.Public.Crv == "P-256":
			alg = ES256
			ring.public[group.Public.Kid] = publicKey{ES256, ecKey(t, group.Public.X, group.Public.Y)}
		case group.Public.Kty == "RSA":
			alg = RS256
			ring.public[group.Public.Kid] = publicKey{RS256, rsaKey(t, group.Public.N, group.Public.E)}
		}
		for _, v := range group.Tests {
			jws := string(v.JWS)
			_ = json.Unmarshal(v.JWS, &jws) // what is not a string stays an object
			ran++
			if _, err := f.issuer.Verify(jws); !errors.Is(err, ErrInvalid) {
				t.Errorf("%d %s is taken for an access token", v.TcID, v.Comment)
			}
			if alg == "" || exceptions[v.TcID] != "" {
				continue
			}
			checked[alg]++
			want := v.Result == "valid" && (alg != RS256 || group.Public.Alg == RS256)
			if got := f.stands(t, jws, group.Public.Kid); got != want {
				t.Errorf("%d %s: the signature stands: %t, want %t (%s, %s)", v.TcID, v.Comment, got, want, group.Public.Alg, v.Result)
			}
		}
	}
	if ran != 401 || checked[ES256] != 39 || checked[RS256] != 315 {
		t.Errorf("%d vectors ran, and signatures were checked: %v", ran, checked)
	}
}

func ecKey(t *testing.T, x, y string) crypto.PublicKey {
	t.Helper()
	point := []byte{4} // uncompressed (SEC 1 §2.3.3)
	for _, text := range []string{x, y} {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, n, e string) crypto.PublicKey {
	t.Helper()
	var numbers [2]*big.Int
	for i, text := range []string{n, e} {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		numbers[i] = new(big.Int).SetBytes(b)
	}
	return &rsa.PublicKey{N: numbers[0], E: int(numbers[1].Int64())}
}

// stands does what the issuer's parser does up to the claims, which the vectors do not have. A
// signature that stands for nothing must not stand under a token of ours either.
func (f forger) stands(t *testing.T, jws, kid string) bool {
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return false
	}
	ring := f.issuer.keys.Current()
	ours := encode(t, f.header().with(object{"kid": kid, "alg": ring.public[kid].alg}), f.claims()) + "." + parts[2]
	if _, err := f.issuer.Verify(ours); !errors.Is(err, ErrInvalid) {
		t.Errorf("the signature %s is taken for one of our tokens'", parts[2])
	}
	var header struct{ Alg, Kid string }
	text, headerErr := f.issuer.parser.DecodeSegment(parts[0])
	signature, err := f.issuer.parser.DecodeSegment(parts[2])
	if err != nil || headerErr != nil || json.Unmarshal(text, &header) != nil {
		return false
	}
	key, known := ring.public[header.Kid]
	return known && header.Alg == key.alg &&
		jwt.GetSigningMethod(key.alg).Verify(parts[0]+"."+parts[1], signature, key.key) == nil
}

// T1: there are no JWS vectors for EdDSA, so Wycheproof's Ed25519 ones run against the method that
// verifies our tokens; and as the signature of a token none of them stands.
func TestWycheproofEd25519(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PublicKey struct{ Pk string }
			Tests     []struct {
				TcID                      int
				Comment, Msg, Sig, Result string
			}
		}
	}
	readVectors(t, ed25519File, &file)
	f := newForger(t, atMoment)
	ran := 0
	for _, group := range file.TestGroups {
		key := ed25519.PublicKey(unhex(t, group.PublicKey.Pk))
		f.issuer.keys.Current().public["vector"] = publicKey{EdDSA, key}
		for _, v := range group.Tests {
			ran++
			signature := unhex(t, v.Sig)
			err := jwt.SigningMethodEdDSA.Verify(string(unhex(t, v.Msg)), signature, key)
			if (err == nil) != (v.Result == "valid") {
				t.Errorf("%d %s: the signature stands: %t, want %s", v.TcID, v.Comment, err == nil, v.Result)
			}
			ours := encode(t, f.header().with(object{"kid": "vector", "alg": EdDSA}), f.claims())
			f.check(t, ours+"."+base64.RawURLEncoding.EncodeToString(signature), false)
		}
	}
	if ran != 151 {
		t.Errorf("%d vectors ran", ran)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
