package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// The vectors are testvectors_v1/json_web_signature_test.json of github.com/c2sp/wycheproof (Apache
// License 2.0), as it was on 2 September 2026, unchanged. The module itself embeds all vectors of all
// algorithms, 109 MB, which nobody should have to download to run the tests.
const vectorFile = "testdata/wycheproof_jws.json"

type vectors struct {
	TestGroups []struct {
		Public struct {
			Kty, Alg, Kid, Crv, X, Y string
		}
		Tests []struct {
			TcID            int
			Comment, Result string
			JWS             json.RawMessage // an object where the JSON serialization is tried
		}
	}
}

// exceptions are vectors that are judged otherwise here, and why.
var exceptions = map[int]string{
	354: "the JWK says use=enc: our verification keys come from our own database, not from JWKs",
	356: "the JWK says key_ops=encrypt: likewise",
}

// T1: Wycheproof's JWS vectors. Two things are held against them. As access tokens all are refused,
// the valid ones too: they carry no typ, and their payload is no set of claims. And for the ES256
// keys among them, the parser's base64 and the signature check must find valid what is valid, and
// nothing else.
func TestWycheproof(t *testing.T) {
	text, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var file vectors
	if err = json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	f := newForger(t, atMoment)
	ran, checked := 0, 0
	for _, group := range file.TestGroups {
		if group.Public.Kty == "EC" && group.Public.Crv == "P-256" {
			f.issuer.keys.public[group.Public.Kid] = publicKey(t, group.Public.X, group.Public.Y)
		}
		for _, v := range group.Tests {
			jws := string(v.JWS)
			_ = json.Unmarshal(v.JWS, &jws) // what is not a string stays an object
			ran++
			if _, err := f.issuer.Verify(jws); !errors.Is(err, ErrInvalid) {
				t.Errorf("%d %s is taken for an access token", v.TcID, v.Comment)
			}
			if group.Public.Crv != "P-256" || exceptions[v.TcID] != "" {
				continue
			}
			checked++
			if got := f.stands(t, jws, group.Public.Kid); got != (v.Result == "valid") {
				t.Errorf("%d %s: the signature stands: %t, want %s", v.TcID, v.Comment, got, v.Result)
			}
		}
	}
	if ran != 401 || checked != 39 {
		t.Errorf("%d vectors ran, and %d signatures were checked", ran, checked)
	}
}

func publicKey(t *testing.T, x, y string) crypto.PublicKey {
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

// stands does what the issuer's parser does up to the claims, which the vectors do not have. A
// signature that stands for nothing must not stand under a token of ours either.
func (f forger) stands(t *testing.T, jws, kid string) bool {
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return false
	}
	ours := encode(t, f.header().with(object{"kid": kid}), f.claims()) + "." + parts[2]
	if _, err := f.issuer.Verify(ours); !errors.Is(err, ErrInvalid) {
		t.Errorf("the signature %s is taken for one of our tokens'", parts[2])
	}
	var header struct{ Alg, Kid string }
	text, headerErr := f.issuer.parser.DecodeSegment(parts[0])
	signature, err := f.issuer.parser.DecodeSegment(parts[2])
	if err != nil || headerErr != nil || json.Unmarshal(text, &header) != nil || header.Alg != ES256 {
		return false
	}
	key, known := f.issuer.keys.public[header.Kid]
	return known && jwt.SigningMethodES256.Verify(parts[0]+"."+parts[1], signature, key) == nil
}
