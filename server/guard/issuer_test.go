package guard_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"sesame/server/guard"
)

const (
	audience = "https://notes.example"
	// notes is a document with nothing wrong; its base path is /v1.
	notes = `
openapi: 3.0.3
info: { title: notes, version: '1' }
servers: [{ url: 'https://notes.example/v1' }]
security: [{ Login: [] }]
paths:
  /notes:
    get:
      operationId: listNotes
      security: [{ Login: ['notes:read'] }]
      responses: { '200': { description: ok } }
    post:
      operationId: createNote
      security: [{ Login: ['notes:write'] }]
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: object, required: [text], properties: { text: { type: string, maxLength: 5 } } }
      responses: { '201': { description: ok } }
  /notes/{note_id}:
    get:
      operationId: getNote
      parameters: [{ name: note_id, in: path, required: true, schema: { type: string, format: uuid } }]
      responses: { '200': { description: ok } }
  /about:
    get:
      operationId: about
      security: []
      responses: { '200': { description: ok } }
components:
  securitySchemes:
    Login:
      type: oauth2
      flows: { password: { tokenUrl: 'https://login.example/token', scopes: { 'notes:read': read, 'notes:write': write } } }
`
)

// issuer is a substitute for Sesame whose keys a test can rotate, and which a test can break.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    map[string]crypto.Signer
	fetches int
	broken  func(w http.ResponseWriter) // answers for the keys while it is set
	lookups *lookups                    // nil for an issuer that looks up no tokens
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]crypto.Signer{"first": ecKey(t)}}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		m := map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
		if i.lookups != nil {
			m["introspection_endpoint"] = i.URL + "/introspect"
		}
		json.NewEncoder(w).Encode(m)
	case "/introspect":
		i.lookups.serve(i, w, r)
	case "/keys":
		i.fetches++
		if i.broken != nil {
			i.broken(w)
			return
		}
		set := jwkset.JWKSMarshal{}
		for kid, key := range i.keys {
			jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, USE: jwkset.UseSig, ALG: jwkset.ALG(method(key).Alg())}})
			if err != nil {
				panic(err)
			}
			set.Keys = append(set.Keys, jwk.Marshal())
		}
		json.NewEncoder(w).Encode(set)
	default:
		http.NotFound(w, r)
	}
}

// change changes the issuer between requests.
func (i *issuer) change(do func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do()
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func method(key crypto.Signer) jwt.SigningMethod {
	switch key.(type) {
	case ed25519.PrivateKey:
		return jwt.SigningMethodEdDSA
	case *rsa.PrivateKey:
		return jwt.SigningMethodRS256
	}
	return jwt.SigningMethodES256
}

// object is a JSON object. A nil in changes removes a member.
type object map[string]any

func (o object) with(changes object) object {
	o = maps.Clone(o)
	for name, value := range changes {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return o
}

// token signs a token with a key of the issuer; header and claims change its content.
func (i *issuer) token(t *testing.T, kid string, header, claims object) string {
	t.Helper()
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	return i.signed(t, key, object{"kid": kid}.with(header), claims)
}

func (i *issuer) signed(t *testing.T, key crypto.Signer, header, claims object) string {
	t.Helper()
	now := time.Now().Unix()
	all := object{
		"iss": i.URL, "aud": audience, "sub": "ann", "client_id": "first-party", "jti": "1",
		"scope": "notes:read", "iat": now, "exp": now + 600,
	}.with(claims)
	token := jwt.NewWithClaims(method(key), jwt.MapClaims(all))
	token.Header = object(token.Header).with(object{"typ": "at+jwt"}).with(header)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// served returns a guarded service that answers with its caller.
func served(t *testing.T, i *issuer, change func(*guard.Options)) http.Handler {
	t.Helper()
	return newGuard(t, i, change).Handler(http.HandlerFunc(whoCalls))
}

func whoCalls(w http.ResponseWriter, r *http.Request) {
	if caller := guard.CallerFrom(r.Context()); caller != nil {
		fmt.Fprint(w, caller.Subject, " ", caller.ClientID, " ", caller.Scopes, " ", caller.Claims["jti"])
		return
	}
	fmt.Fprint(w, "a stranger")
}

func newGuard(t testing.TB, i *issuer, change func(*guard.Options)) *guard.Guard {
	t.Helper()
	o := guard.Options{OpenAPI: []byte(notes), Issuer: i.URL, Audience: audience, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	g, err := guard.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// call sends a request; what is METHOD /path.
func call(h http.Handler, what, token, body string) *httptest.ResponseRecorder {
	verb, path, _ := strings.Cut(what, " ")
	r := httptest.NewRequest(verb, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// want checks the status and, for an error, the problem and the challenge.
func want(t *testing.T, w *httptest.ResponseRecorder, status int, code, challenge string) {
	t.Helper()
	var p struct {
		Status int
		Code   string
	}
	if status >= 400 {
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != status || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d is not answered with a problem: %s", w.Code, w.Body)
		}
	}
	if w.Code != status || p.Code != code || w.Header().Get("WWW-Authenticate") != challenge {
		t.Errorf("got %d %s and the challenge %q, want %d %s and %q", w.Code, w.Body, w.Header().Get("WWW-Authenticate"), status, code, challenge)
	}
}
