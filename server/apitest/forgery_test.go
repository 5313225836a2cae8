package apitest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
	"sesame/server/internal/keys"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// These tests forge tokens from outside, with what a stranger can get hold of. Those that take our
// own private key are in package token.

// forgery is a genuine token's content, to be signed by whatever a test likes.
type forgery struct {
	header map[string]any
	claims jwt.MapClaims
}

func forge(t *testing.T, genuine string) forgery {
	t.Helper()
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(genuine, claims)
	if err != nil {
		t.Fatal(err)
	}
	return forgery{parsed.Header, claims}
}

// sign signs the content with another key, and with these members in the header.
func (f forgery) sign(t *testing.T, method jwt.SigningMethod, key any, header map[string]any) string {
	t.Helper()
	forged := jwt.NewWithClaims(method, f.claims)
	forged.Header = maps.Clone(f.header)
	forged.Header["alg"] = method.Alg()
	maps.Copy(forged.Header, header)
	text, err := forged.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// publicKey is the server's key as a stranger sees it: from the key set, as JSON and as a key.
func (s *server) publicKey(t *testing.T) (asServed []byte, key *ecdsa.PublicKey) {
	t.Helper()
	set := decode[struct{ Keys []json.RawMessage }](s.do(t, request{method: "GET", path: "/.well-known/jwks.json"}).want(200))
	var jwk api.Key
	if err := json.Unmarshal(set.Keys[0], &jwk); err != nil {
		t.Fatal(err)
	}
	point := []byte{4}
	for _, text := range []*string{jwk.X, jwk.Y} {
		part, err := base64.RawURLEncoding.DecodeString(*text)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, part...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return set.Keys[0], key
}

// refuses tries a forged token wherever a token counts: it opens nothing and ends nothing.
func (s *server) refuses(t *testing.T, forged, genuine string) {
	t.Helper()
	s.do(t, me(forged)).want(401, "invalid_token")
	s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{"token": {forged}}}).want(200)
	s.do(t, me(genuine)).want(200)
}

// T1: without a signature, or with one that anybody could make.
func TestTokensWithoutAnHonestSignatureAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		genuine := s.newcomer(t, "ann").AccessToken
		f := forge(t, genuine)
		parts := strings.Split(genuine, ".")
		for _, none := range []string{"none", "None", "NONE", "nOnE", "", "null"} {
			header, _ := json.Marshal(map[string]any{"alg": none, "typ": "at+jwt", "kid": f.header["kid"]})
			unsigned := base64.RawURLEncoding.EncodeToString(header) + "." + parts[1]
			for _, forged := range []string{unsigned + ".", unsigned, unsigned + "." + parts[2]} {
				s.refuses(t, forged, genuine)
			}
		}
		asServed, public := s.publicKey(t)
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		for name, secret := range map[string][]byte{
			"PEM": inPEM, "PEM without its newline": inPEM[:len(inPEM)-1], "DER": der, "JWK": asServed,
			"point": point, "compressed point": append([]byte{2 + point[64]&1}, point[1:33]...),
			"nothing": {}, "kid": []byte(f.header["kid"].(string)), "client id": []byte(token.FirstParty),
		} {
			t.Run("HS256 with "+name, func(t *testing.T) {
				s.refuses(t, f.sign(t, jwt.SigningMethodHS256, secret, nil), genuine)
			})
		}
	})
}

// T1: with a real signature, but not by our key; T2: with a key that the token brings along.
func TestTokensOfOtherKeysAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		genuine := s.newcomer(t, "ann").AccessToken
		f := forge(t, genuine)
		var asked atomic.Int64
		listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		defer listener.Close()
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		point, err := own.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		jwk := map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": f.header["kid"],
			"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}
		for name, header := range map[string]map[string]any{
			"our kid": {}, "jwk": {"jwk": jwk}, "jku": {"jku": listener.URL + "/jwks.json"},
			"jku without kid": {"jku": listener.URL, "kid": nil}, "x5u": {"x5u": listener.URL + "/cert.pem"},
			"x5c":  {"x5c": []string{base64.StdEncoding.EncodeToString(point)}, "x5t": "AA"},
			"crit": {"crit": []string{"exp"}}, "crit of b64": {"crit": []string{"b64"}, "b64": false},
			"kid with a path": {"kid": "../../../../../dev/null"}, "kid with SQL": {"kid": "x' UNION SELECT 'key' --"},
			"kid of 4 KB": {"kid": strings.Repeat("k", 4<<10)}, "kid a number": {"kid": 1}, "kid null": {"kid": nil},
			"kid an object": {"kid": jwk}, "kid with NUL": {"kid": "a\x00b"}, "kid an address": {"kid": listener.URL},
		} {
			t.Run(name, func(t *testing.T) {
				s.refuses(t, f.sign(t, jwt.SigningMethodES256, own, header), genuine)
			})
		}
		s.refuses(t, f.sign(t, jwt.SigningMethodES384, p384, nil), genuine)
		s.refuses(t, f.sign(t, jwt.SigningMethodRS256, rsaKey, nil), genuine)
		if n := asked.Load(); n != 0 {
			t.Errorf("the server asked the address in a token %d times", n)
		}
	})
}

// issuer signs with the server's own key, in the name of that issuer and for that audience.
func (s *server) issuer(t *testing.T, name, audience string) *token.Issuer {
	t.Helper()
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) // the keys are read again after a minute
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := keys.Open(t.Context(), db, master, keys.Settings{Alg: token.ES256, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return token.NewIssuer(name, audience, keyring, s.clock.now)
}

// access gives what a genuine token says, to be signed again with a change.
func (s *server) access(t *testing.T, genuine string) token.Access {
	t.Helper()
	access, err := s.issuer(t, s.url, s.url).Verify(genuine)
	if err != nil {
		t.Fatal(err)
	}
	return access
}

func (s *server) signed(t *testing.T, i *token.Issuer, a token.Access) string {
	t.Helper()
	text, err := i.Sign(a)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// T3: our own key signed it, but not for this.
func TestGenuineSignaturesUnderTheWrongClaimsAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		genuine := s.newcomer(t, "ann").AccessToken
		ours, stranger := s.issuer(t, s.url, s.url), s.newcomer(t, "bob").AccessToken
		good, other := s.access(t, genuine), s.access(t, stranger)
		s.do(t, me(s.signed(t, ours, good))).want(200) // so what follows is refused for its change alone
		for name, change := range map[string]func(*token.Access){
			"expired":                   func(a *token.Access) { a.ExpiresAt = s.clock.now().Add(-31 * time.Second) },
			"issued in the future":      func(a *token.Access) { a.IssuedAt = s.clock.now().Add(time.Minute) },
			"no subject":                func(a *token.Access) { a.Subject = "" },
			"no session":                func(a *token.Access) { a.SessionID = "" },
			"an unknown session":        func(a *token.Access) { a.SessionID = newID() },
			"a session that is no UUID": func(a *token.Access) { a.SessionID = "x' OR 1=1 --" },
			"another user's session":    func(a *token.Access) { a.SessionID = other.SessionID },
			"another user's name":       func(a *token.Access) { a.Subject = other.Subject },
			"an unknown user":           func(a *token.Access) { a.Subject = newID() },
		} {
			t.Run(name, func(t *testing.T) {
				changed := good
				change(&changed)
				s.do(t, me(s.signed(t, ours, changed))).want(401, "invalid_token")
			})
		}
		for name, i := range map[string]*token.Issuer{
			"another issuer":             s.issuer(t, "https://evil.example", s.url),
			"the issuer with a slash":    s.issuer(t, s.url+"/", s.url),
			"another audience":           s.issuer(t, s.url, "https://api.example"),
			"the audience in upper case": s.issuer(t, s.url, strings.ToUpper(s.url)),
		} {
			t.Run(name, func(t *testing.T) { s.refuses(t, s.signed(t, i, good), genuine) })
		}
		s.clock.advance(10*time.Minute + 31*time.Second)
		s.do(t, me(genuine)).want(401, "invalid_token")
	})
}

// T3: a scope in the token that the user does not have has no effect.
func TestAScopeInTheTokenIsNotEnough(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		if _, stderr, code := s.sesame(t, horse+"\n", "user", "create", "ann"); code != 0 {
			t.Fatal(stderr)
		}
		access := s.access(t, s.login(t, "ann").AccessToken)
		access.Scope = "users:write"
		create := request{method: "POST", path: "/users", json: map[string]string{"username": "eve", "password": horse}}
		create.token = s.signed(t, s.issuer(t, s.url, s.url), access)
		s.do(t, create).want(403, "registration_closed")
	}, "SESAME_REGISTRATION=closed")
}

// O4: the forms that the Authorization header may have.
func TestTheAuthorizationHeaderIsReadStrictly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		genuine := s.newcomer(t, "ann").AccessToken
		for _, c := range []struct {
			name, header, path string
			status             int
			code               string
		}{
			{"as it should be", "Bearer " + genuine, "/users/me", 200, ""},
			{"the scheme in small letters", "bearer " + genuine, "/users/me", 200, ""},
			{"nothing", "", "/users/me", 401, "unauthenticated"},
			{"Basic", "Basic YW5uOmEgd29vZGVuIGhvcnNl", "/users/me", 401, "unauthenticated"},
			{"a token under Basic", "Basic " + genuine, "/users/me", 401, "unauthenticated"},
			{"no scheme", genuine, "/users/me", 401, "unauthenticated"},
			{"no token", "Bearer", "/users/me", 401, "invalid_token"},
			{"an empty token", "Bearer ", "/users/me", 401, "invalid_token"},
			{"two spaces", "Bearer  " + genuine, "/users/me", 200, ""},
			{"two tokens", "Bearer " + genuine + " " + genuine, "/users/me", 401, "invalid_token"},
			{"two tokens with a comma", "Bearer " + genuine + ", Bearer " + genuine, "/users/me", 401, "invalid_token"},
			{"in quotes", `Bearer "` + genuine + `"`, "/users/me", 401, "invalid_token"},
			{"in the query", "", "/users/me?access_token=" + genuine, 400, "bad_request"},
			{"in the query and the header", "Bearer " + genuine, "/users/me?access_token=" + genuine, 400, "bad_request"},
			{"dots", "Bearer " + strings.Repeat(".", 8<<10), "/users/me", 401, "invalid_token"}, // T4
		} {
			t.Run(c.name, func(t *testing.T) {
				r := request{method: "GET", path: c.path, header: map[string]string{}}
				if c.header != "" {
					r.header["Authorization"] = c.header
				}
				a := s.do(t, r)
				if a.status != c.status || a.code() != c.code {
					t.Fatalf("got %d %s, want %d %s", a.status, a.body, c.status, c.code)
				}
				if strings.Contains(string(a.body)+fmt.Sprint(a.header), genuine) {
					t.Error("the answer repeats the token")
				}
			})
		}
		double := "GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %[1]s\r\nAuthorization: Bearer %[1]s\r\n\r\n"
		if status := s.rawStatus(t, fmt.Sprintf(double, genuine)); status != 400 {
			t.Errorf("two headers are answered with %d", status)
		}
		// T4, T2: no megabyte reaches the parser.
		for _, huge := range []string{strings.Repeat(".", 1<<20), strings.Repeat("a", 1<<20), strings.Repeat("a.", 1<<19)} {
			if status := s.rawStatus(t, "GET /users/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+huge+"\r\n\r\n"); status != 401 && status != 431 {
				t.Errorf("a megabyte is answered with %d", status)
			}
		}
	})
}

// rawStatus sends bytes that http.Client would not, and gives the status of the answer; the server
// may answer before it has read them all.
func (s *server) rawStatus(t *testing.T, text string) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go conn.Write([]byte(text))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// T5: an account that takes the name of a deleted one does not get its tokens.
func TestADeletedAccountsTokensStayDeadWhenItsNameIsTakenAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		first := s.register(t, "ann")
		old := s.loginToDelete(t, "ann")
		s.do(t, request{method: "DELETE", path: "/users/me", token: old.AccessToken}).want(204)
		s.refusesAll(t, old)
		_, root := s.administrator(t, "root") // who may use the name at once
		second := decode[api.User](s.do(t, request{method: "POST", path: "/users", token: root, json: map[string]string{
			"username": "ann", "password": horse,
		}}).want(201))
		fresh := s.login(t, "ann")
		subs := []any{forge(t, old.AccessToken).claims["sub"], forge(t, fresh.AccessToken).claims["sub"]}
		if first.ID == second.ID || !slices.Equal(subs, []any{first.ID, second.ID}) {
			t.Errorf("accounts %s and %s, sub %v", first.ID, second.ID, subs)
		}
		s.refusesAll(t, old)
		s.do(t, me(fresh.AccessToken)).want(200)
	})
}

// refusesAll tries both tokens of a session that has ended.
func (s *server) refusesAll(t *testing.T, tokens api.Token) {
	t.Helper()
	s.do(t, me(tokens.AccessToken)).want(401, "invalid_token")
	s.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
}
