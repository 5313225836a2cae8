package apitest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"sesame/gen/api"
)

// browser is a person's browser: it keeps the cookies of the server.
type browser struct {
	s      *server
	cookie string // of the session
	others map[string]string
	from   string // its network, if it is behind a trusted proxy
}

func (s *server) newBrowser() *browser { return &browser{s: s, others: map[string]string{}} }

// send sends a request as a browser does, and keeps the cookie.
func (b *browser) send(t *testing.T, r request) *answer {
	t.Helper()
	header := map[string]string{"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Connection": "keep-alive"}
	cookies := []string{b.cookie}
	for name, value := range b.others {
		cookies = append(cookies, name+"="+value)
	}
	if text := strings.Trim(strings.Join(cookies, "; "), "; "); text != "" {
		header["Cookie"] = text
	}
	if b.from != "" {
		header["X-Forwarded-For"] = b.from
	}
	for name, value := range r.header {
		header[name] = value
	}
	r.header = header
	a, err := b.s.try(r)
	if err != nil {
		t.Fatal(err)
	}
	a.t = t
	if findOperation(r.method, r.path) != nil { // other errors are pages
		if err = checkAnswer(r.method, r.path, a); err != nil {
			t.Errorf("%s %s: %v\n%s", r.method, r.path, err, a.body)
		}
	}
	for _, set := range a.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(set)
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.TrimPrefix(c.Name, "__Host-"); name != "sesame" && name != "sesame-session" {
			if b.others[c.Name] = c.Value; c.MaxAge < 0 {
				delete(b.others, c.Name)
			}
			continue
		}
		if b.cookie = c.Name + "=" + c.Value; c.MaxAge < 0 {
			b.cookie = ""
		}
	}
	return a
}

// page is a page with a form.
type webPage struct {
	*answer
	action string
	fields url.Values
}

var (
	formTag   = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	hiddenTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form reads the form of a page.
func (a *answer) form() webPage {
	a.t.Helper()
	found := formTag.FindSubmatch(a.body)
	if found == nil {
		a.t.Fatalf("%d: the page has no form: %s%s", a.status, a.header.Get("Location"), a.body)
	}
	p := webPage{answer: a, action: "/" + string(found[1]), fields: url.Values{}}
	for _, field := range hiddenTag.FindAllSubmatch(a.body, -1) {
		p.fields.Set(string(field[1]), html.UnescapeString(string(field[2])))
	}
	return p
}

// submit sends the form of a page with more fields.
func (b *browser) submit(t *testing.T, p webPage, fields ...string) *answer {
	t.Helper()
	for i := 0; i < len(fields); i += 2 {
		p.fields.Set(fields[i], fields[i+1])
	}
	return b.send(t, request{method: "POST", path: p.action, form: p.fields})
}

// flow is one authorization request of a client.
type flow struct {
	client   serviceClient
	redirect string
	verifier string
	query    url.Values
}

const callback = "https://app.example/callback"

// newFlow makes an authorization request with PKCE. more are further parameters, or others in place of those.
func newFlow(client serviceClient, more ...string) flow {
	f := flow{client: client, redirect: callback, verifier: rand.Text() + rand.Text()}
	sum := sha256.Sum256([]byte(f.verifier))
	f.query = url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {callback}, "scope": {"openid profile email"},
		"state": {"a state"}, "nonce": {"a nonce"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		if f.query.Set(more[i], more[i+1]); more[i+1] == "" {
			f.query.Del(more[i])
		}
	}
	return f
}

func (f flow) request() request {
	return request{method: "GET", path: "/authorize?" + f.query.Encode()}
}

// grant is the token request with a code.
func (f flow) grant(code string) request {
	r := request{method: "POST", path: "/token", form: url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.redirect}, "code_verifier": {f.verifier}, "client_id": {f.client.ID},
	}}
	if f.client.Secret != "" {
		r.form.Set("client_secret", f.client.Secret)
	}
	return r
}

// sentTo returns the parameters that the browser brings to the client.
func (a *answer) sentTo(address string) url.Values {
	a.t.Helper()
	a.want(303)
	location, err := url.Parse(a.header.Get("Location"))
	query := location.Query()
	location.RawQuery = ""
	if err != nil || location.String() != address {
		a.t.Fatalf("the browser is sent to %s, not to %s", a.header.Get("Location"), address)
	}
	return query
}

// signIn signs a person in and returns the code.
func (b *browser) signIn(t *testing.T, f flow, username string) string {
	t.Helper()
	page := b.send(t, f.request()).want(200).form()
	return codeOf(t, b.submit(t, page, "username", username, "password", horse))
}

func codeOf(t *testing.T, a *answer) string {
	t.Helper()
	location, err := url.Parse(a.want(303).header.Get("Location"))
	if err != nil || location.Query().Get("code") == "" {
		t.Fatalf("there is no code: %s", a.header.Get("Location"))
	}
	return location.Query().Get("code")
}

func (s *server) publicClient(t *testing.T, args ...string) serviceClient {
	t.Helper()
	return s.makeClient(t, "app "+rand.Text(), append([]string{"--public", "--redirect-uri", callback}, args...)...)
}

// A person signs in on the page of the server, and the client gets tokens.
func TestSignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		for _, client := range []serviceClient{s.publicClient(t), s.makeClient(t, "web", "--redirect-uri", callback)} {
			b, f := s.newBrowser(), newFlow(client)
			code := b.signIn(t, f, "ann")
			tokens := decode[api.Token](s.do(t, f.grant(code)).want(200))
			claims := s.idToken(t, tokens.IDToken)
			for name, want := range map[string]any{
				"iss": s.url, "sub": ann.ID, "nonce": "a nonce", "acr": "1", "at_hash": atHash(tokens.AccessToken),
			} {
				if claims[name] != want {
					t.Errorf("%s is %v, not %v", name, claims[name], want)
				}
			}
			if aud, _ := claims.GetAudience(); len(aud) != 1 || aud[0] != client.ID {
				t.Errorf("aud is %v", aud)
			}
			info := decode[api.UserInfo](s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200))
			if info.Sub != ann.ID || *info.PreferredUsername != "ann" || *info.Email != "ann@example.com" || *info.EmailVerified {
				t.Errorf("userinfo is %+v", info)
			}
			refresh := refreshGrant(tokens.RefreshToken)
			refresh.form.Set("client_id", client.ID)
			if client.Secret != "" {
				refresh.form.Set("client_secret", client.Secret)
			}
			again := decode[api.Token](s.do(t, refresh).want(200))
			if next := s.idToken(t, again.IDToken); next["sub"] != ann.ID || next["auth_time"] != claims["auth_time"] || next["nonce"] != nil {
				t.Errorf("the ID token of the refresh is %v", next)
			}
			// A person who is signed in sees no page.
			second := newFlow(client, "prompt", "none")
			decode[api.Token](s.do(t, second.grant(codeOf(t, b.send(t, second.request())))).want(200))
		}
	})
}

// idToken verifies an ID token with the published keys.
func (s *server) idToken(t *testing.T, text string) jwt.MapClaims {
	t.Helper()
	set := decode[api.KeySet](s.do(t, request{method: "GET", path: "/.well-known/jwks.json"}).want(200))
	var claims jwt.MapClaims
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(s.clock.now)).ParseWithClaims(text, &claims, func(token *jwt.Token) (any, error) {
		for _, published := range set.Keys {
			if published.Kid == token.Header["kid"] {
				return key(t, published), nil
			}
		}
		return nil, fmt.Errorf("there is no key %v", token.Header["kid"])
	})
	if err != nil {
		t.Fatalf("ID token %s: %v", text, err)
	}
	return claims
}

func atHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// D30: the UserInfo endpoint takes the token in the header or in the form of a POST, and not in both; no other operation takes
// one in a form.
func TestUserInfoTakesATokenInTheForm(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		client, b := s.publicClient(t), s.newBrowser()
		f := newFlow(client)
		token := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200)).AccessToken
		post := func(header string, form url.Values) *answer {
			t.Helper()
			return s.do(t, request{method: "POST", path: "/userinfo", token: header, form: form})
		}
		inForm := url.Values{"access_token": {token}}
		for _, a := range []*answer{post("", inForm), post(token, url.Values{}), post(token, url.Values{"access_token": {""}})} {
			if info := decode[api.UserInfo](a.want(200)); info.Sub != ann.ID {
				t.Errorf("%+v", info)
			}
		}
		post(token, inForm).want(400, "bad_request")
		for _, mediaType := range []string{"multipart/form-data", "multipart/form-data; boundary=x", "x", "application/json"} { // of no body
			s.do(t, request{method: "POST", path: "/userinfo", token: token, header: map[string]string{"Content-Type": mediaType}}).want(200)
		}
		post("", url.Values{"access_token": {"wrong"}}).want(401, "invalid_token")
		post("", url.Values{}).want(401, "unauthenticated")
		post("", url.Values{"access_token": {token, token}}).want(401)
		s.do(t, request{method: "GET", path: "/userinfo?" + inForm.Encode()}).want(400, "bad_request")
		s.do(t, request{method: "POST", path: "/users/me/email/verification", form: inForm}).want(401)
	})
}
