package apitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is a provider of OpenID Connect whose every answer a test can change.
type issuer struct {
	*httptest.Server
	now func() time.Time

	mu       sync.Mutex
	person   jwt.MapClaims                                       // sub, email and so on
	document func(map[string]any)                                // changes the discovery document
	claims   func(jwt.MapClaims)                                 // changes the ID token
	sign     func(jwt.MapClaims) string                          // signs it; nil for the key
	userInfo map[string]any                                      // nil for no endpoint
	answers  map[string]func(http.ResponseWriter, *http.Request) // in place of its own, by path
	redirect string                                              // a path that redirects to itself with a query, and answers that
	key      *ecdsa.PrivateKey
	kid      string
	asked    map[string]url.Values // what the authorization requests were, by code
	requests map[string]int        // by path
}

func newIssuer(t *testing.T, now func() time.Time) *issuer {
	t.Helper()
	i := &issuer{
		now: now, asked: map[string]url.Values{}, requests: map[string]int{}, answers: map[string]func(http.ResponseWriter, *http.Request){},
		person: jwt.MapClaims{"sub": "248289761001", "email": "ann@example.com", "email_verified": true, "name": "Ann Example"},
	}
	i.rotate(t)
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

// rotate replaces the key.
func (i *issuer) rotate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.key, i.kid = key, rand.Text() })
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	own, redirects := i.answers[r.URL.Path], i.redirect == r.URL.Path && r.URL.RawQuery == ""
	i.mu.Unlock()
	if redirects {
		http.Redirect(w, r, r.URL.Path+"?again", http.StatusTemporaryRedirect)
		return
	}
	if own != nil {
		own(w, r)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	answer := func(document any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document := map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256", "none", "HS256"}, "authorization_response_iss_parameter_supported": true,
		}
		if i.userInfo != nil {
			document["userinfo_endpoint"] = i.URL + "/userinfo"
		}
		if i.document != nil {
			i.document(document)
		}
		answer(document)
	case "/keys":
		public, err := i.key.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		answer(map[string]any{"keys": []any{map[string]string{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": i.kid, "x": encode(public[1:33]), "y": encode(public[33:]),
		}}})
	case "/token":
		i.token(w, r, answer)
	case "/userinfo":
		if r.Header.Get("Authorization") != "Bearer "+accessAtIssuer {
			w.WriteHeader(401)
			return
		}
		answer(i.userInfo)
	default:
		w.WriteHeader(404)
	}
}

const (
	clientAtIssuer = "sesame at the issuer"
	secretAtIssuer = "a secret: %&+/=?"
	accessAtIssuer = "access to the issuer"
)

// token answers with an ID token, if the client has sent its secret and the PKCE verifier.
func (i *issuer) token(w http.ResponseWriter, r *http.Request, answer func(any)) {
	asked, known := i.asked[r.PostFormValue("code")]
	delete(i.asked, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	if plain, err := url.QueryUnescape(secret); err == nil {
		secret = plain
	}
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	if !known || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("code_challenge_method") != "S256" ||
		asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") || id != clientAtIssuer || secret != secretAtIssuer {
		w.WriteHeader(400)
		answer(map[string]string{"error": "invalid_grant"})
		return
	}
	access := sha256.Sum256([]byte(accessAtIssuer))
	claims := jwt.MapClaims{
		"iss": i.URL, "aud": clientAtIssuer, "nonce": asked.Get("nonce"), "iat": i.now().Unix(), "exp": i.now().Add(time.Minute).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(access[:16]),
	}
	for name, value := range i.person {
		claims[name] = value
	}
	if i.claims != nil {
		i.claims(claims)
	}
	var text string
	if i.sign != nil {
		text = i.sign(claims)
	} else {
		unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		unsigned.Header["kid"] = i.kid
		text, _ = unsigned.SignedString(i.key)
	}
	answer(map[string]any{"access_token": accessAtIssuer, "token_type": "Bearer", "expires_in": 60, "id_token": text})
}

// consents is the person at the issuer who agrees: it returns where the browser is sent with a code.
func (i *issuer) consents(asked url.Values) *url.URL {
	code := rand.Text()
	i.set(func() { i.asked[code] = asked })
	back, _ := url.Parse(asked.Get("redirect_uri"))
	back.RawQuery = url.Values{"code": {code}, "state": {asked.Get("state")}, "iss": {i.URL}}.Encode()
	return back
}

// flowCookie keeps a sign-in at a provider.
const flowCookie = "sesame-session-provider"

// privateProviders lets a server of a test use the issuers of a test.
const privateProviders = "SESAME_PRIVATE_PROVIDERS=on"

// provider runs a command on the providers of a server.
func (s *server) provider(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return command(t, "", map[string]string{
		"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey(), "SESAME_PRIVATE_PROVIDERS": "on", "SESAME_PUBLIC_URL": s.url,
	}, append([]string{"provider"}, args...)...)
}

// secretFile writes a client secret to a file.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// addProvider adds an issuer as the provider "corp".
func (s *server) addProvider(t *testing.T, i *issuer, args ...string) {
	t.Helper()
	s.addProviderNamed(t, "corp", i, args...)
}

func (s *server) addProviderNamed(t *testing.T, name string, i *issuer, args ...string) {
	t.Helper()
	args = append([]string{"add", name, "--label", "Corp " + name, "--issuer", i.URL, "--client-id", clientAtIssuer, "--client-secret-file", secretFile(t, secretAtIssuer)}, args...)
	if _, stderr, code := s.provider(t, args...); code != 0 {
		t.Fatal(stderr)
	}
}

var refreshTo = regexp.MustCompile(`^0; url=(.*)$`)

// leaves is where a page leads the browser to by itself; the page has the same link.
func (a *answer) leaves() (*url.URL, url.Values) {
	a.t.Helper()
	found := refreshTo.FindStringSubmatch(a.want(200).header.Get("Refresh"))
	if found == nil || !strings.Contains(html.UnescapeString(string(a.body)), `<a href="`+found[1]+`">`) {
		a.t.Fatalf("the page does not lead on: %q\n%s", a.header.Get("Refresh"), a.body)
	}
	address, err := url.Parse(found[1])
	if err != nil {
		a.t.Fatal(err)
	}
	return address, address.Query()
}

// asks begins a sign-in at the provider "corp" on the page that signs people in, and returns the authorization request.
func (b *browser) asks(t *testing.T) url.Values {
	t.Helper()
	page := b.send(t, get("/sign-in"))
	_, asked := b.submit(t, page.want(200).providerForm("corp")).leaves()
	return asked
}

// providerForm is the form of a page with the button of a provider.
func (a *answer) providerForm(name string) webPage {
	a.t.Helper()
	for _, found := range formElement.FindAllSubmatch(a.body, -1) {
		if action := html.UnescapeString(string(found[1])); strings.TrimPrefix(action, "../") == "sign-in/"+name {
			p := webPage{answer: a, action: "/sign-in/" + name, fields: url.Values{}}
			for _, field := range hiddenTag.FindAllSubmatch(found[2], -1) {
				p.fields.Set(string(field[1]), html.UnescapeString(string(field[2])))
			}
			return p
		}
	}
	a.t.Fatalf("%d: the page has no button for %s: %s%s", a.status, name, a.header.Get("Location"), a.body)
	return webPage{}
}

// signsIn signs a person in at the issuer, and returns the answer of the callback.
func (b *browser) signsIn(t *testing.T, i *issuer) *answer {
	t.Helper()
	return b.send(t, get(i.consents(b.asks(t)).RequestURI()))
}

// fails fails the test unless the callback has refused the person for a reason, without a session.
func (b *browser) refused(t *testing.T, a *answer, reason string) {
	t.Helper()
	if got := a.want(303).sentTo(b.s.url + "/sign-in").Get("fault"); got != reason {
		t.Fatalf("the callback says %q, not %q\n%s", got, reason, b.s.log)
	}
	if b.cookie != "" {
		t.Fatal("the browser has a session")
	}
}

// newKey makes a key that nobody knows.
func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}
