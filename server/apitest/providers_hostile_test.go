package apitest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// F16: nothing that is wrong in an ID token, or around it, signs anybody in; the right answer does.
func TestHostileAnswersOfAProvider(t *testing.T) {
	claim := func(name string, value any) func(*issuer) {
		return func(i *issuer) { i.claims = func(c jwt.MapClaims) { c[name] = value } }
	}
	hostile := map[string]func(*issuer){
		"another issuer":            claim("iss", "https://evil.example"),
		"another audience":          claim("aud", "somebody else"),
		"no audience":               claim("aud", []string{}),
		"several audiences, no azp": claim("aud", []string{clientAtIssuer, "somebody else"}),
		"another azp":               claim("azp", "somebody else"),
		"another nonce":             claim("nonce", "guessed"),
		"no nonce":                  func(i *issuer) { i.claims = func(c jwt.MapClaims) { delete(c, "nonce") } },
		"expired":                   func(i *issuer) { i.claims = func(c jwt.MapClaims) { c["exp"] = i.now().Add(-time.Second).Unix() } },
		"no expiry":                 func(i *issuer) { i.claims = func(c jwt.MapClaims) { delete(c, "exp") } },
		"not yet valid":             func(i *issuer) { i.claims = func(c jwt.MapClaims) { c["nbf"] = i.now().Add(time.Hour).Unix() } },
		"another access token":      claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
		"no subject":                claim("sub", ""),
		"a number for a subject":    claim("sub", 7),
		"a long subject":            claim("sub", strings.Repeat("x", 256)),
		"a subject with a NUL":      claim("sub", "a\x00b"),
		"alg none": func(i *issuer) {
			i.sign = func(c jwt.MapClaims) string {
				text, _ := jwt.NewWithClaims(jwt.SigningMethodNone, c).SignedString(jwt.UnsafeAllowNoneSignatureType)
				return text
			}
		},
		"signed with the client secret": func(i *issuer) {
			i.sign = func(c jwt.MapClaims) string {
				text, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secretAtIssuer))
				return text
			}
		},
		"signed by a stranger": func(i *issuer) {
			stranger, kid := newKey(), i.kid
			i.sign = func(c jwt.MapClaims) string {
				unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, c)
				unsigned.Header["kid"] = kid
				text, _ := unsigned.SignedString(stranger)
				return text
			}
		},
		"changed after signing": func(i *issuer) {
			i.sign = func(c jwt.MapClaims) string {
				unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, c)
				unsigned.Header["kid"] = i.kid
				text, _ := unsigned.SignedString(i.key)
				parts := strings.Split(text, ".")
				c["sub"] = "somebody else"
				payload, _ := json.Marshal(c)
				return parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]
			}
		},
		"no ID token":     func(i *issuer) { i.sign = func(jwt.MapClaims) string { return "" } },
		"a huge ID token": func(i *issuer) { i.claims = func(c jwt.MapClaims) { c["x"] = strings.Repeat("x", 1<<20) } },
		"userinfo about somebody else": func(i *issuer) {
			delete(i.person, "email")
			i.userInfo = map[string]any{"sub": "somebody else", "email": "ann@example.com", "email_verified": true}
		},
		"huge keys":          answering("/keys", `{"keys":[],"x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"keys that are none": answering("/keys", `{"keys":[{"kty":"EC"}]}`),
		"a token endpoint that redirects": func(i *issuer) {
			i.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			}
		},
		"a token endpoint that is HTML": answering("/token", "<html>"),
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		person := maps.Clone(i.person)
		for name, change := range hostile {
			i.set(func() {
				i.claims, i.sign, i.userInfo, i.redirect, i.person = nil, nil, nil, "", maps.Clone(person)
				clear(i.answers)
				change(i)
			})
			s.clock.advance(2 * time.Hour) // which makes the server forget the discovery document and the keys
			b := s.newBrowser()
			t.Log(name)
			b.refused(t, b.signsIn(t, i), "failed")
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`) + s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM identities`); n != "00" {
			t.Errorf("%s accounts and identities were made", n)
		}
		i.set(func() { i.claims, i.sign, i.redirect = nil, nil, ""; clear(i.answers); i.person = person })
		b := s.newBrowser()
		b.lands(t, b.signsIn(t, i), "/account").want(200).shows("You are signed in as <bdi>ann</bdi>")
		if log := s.wholeLog(); strings.Contains(log, secretAtIssuer) || strings.Contains(log, accessAtIssuer) {
			t.Error("the log has a secret")
		}
	}, privateProviders)
}

// answering answers with a document at a path.
func answering(path, document string) func(*issuer) {
	return func(i *issuer) {
		i.answers[path] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(document))
		}
	}
}

// A discovery document that is not what the issuer must have signs nobody in, and sends nobody anywhere.
func TestHostileDiscovery(t *testing.T) {
	field := func(name string, value any) func(*issuer) {
		return func(i *issuer) { i.document = func(d map[string]any) { d[name] = value } }
	}
	hostile := map[string]func(*issuer){
		"another issuer":        field("issuer", "https://evil.example"),
		"the issuer with slash": func(i *issuer) { i.document = func(d map[string]any) { d["issuer"] = i.URL + "/" } },
		"a script to sign in":   field("authorization_endpoint", "javascript:alert(1)"),
		"nowhere to sign in":    field("authorization_endpoint", ""),
		"a user in an address":  field("authorization_endpoint", "https://accounts.example@evil.example/"),
		"a line break":          field("authorization_endpoint", "https://accounts.example/\r\nSet-Cookie: a=b"),
		"a file for the keys":   field("jwks_uri", "file:///etc/passwd"),
		"a number":              field("token_endpoint", 7),
		"a huge document":       field("x", strings.Repeat("x", 1<<20)),
		"no JSON":               answering("/.well-known/openid-configuration", "<html>"),
		"a redirect":            func(i *issuer) { i.redirect = "/.well-known/openid-configuration" },
		"an error": func(i *issuer) {
			i.answers["/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
		},
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		for name, change := range hostile {
			i.set(func() { i.document, i.redirect = nil, ""; clear(i.answers); change(i) })
			b := s.newBrowser()
			t.Log(name)
			b.refused(t, b.submit(t, b.send(t, get("/sign-in")).providerForm("corp")), "failed")
			if b.others[flowCookie] != "" {
				t.Error("the browser has a cookie of a sign-in that has not begun")
			}
		}
		i.Close() // and nothing answers
		b := s.newBrowser()
		b.refused(t, b.submit(t, b.send(t, get("/sign-in")).providerForm("corp")), "failed")
	}, privateProviders)
}

// F16: an answer is good for the browser that has begun the sign-in alone, once, in time, at the provider that it began with, and as it was sent.
func TestForgedCallbacks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i, other := newIssuer(t, s.clock.now), newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		s.addProviderNamed(t, "other", other)
		change := func(back *url.URL, change func(url.Values)) string {
			query := back.Query()
			change(query)
			return back.Path + "?" + query.Encode()
		}
		for name, forge := range map[string]func(b *browser, back *url.URL) (path, want string){
			"another browser": func(b *browser, back *url.URL) (string, string) {
				delete(b.others, flowCookie)
				return back.RequestURI(), "late"
			},
			"another's cookie": func(b *browser, back *url.URL) (string, string) {
				o := s.newBrowser()
				o.asks(t)
				b.others[flowCookie] = o.others[flowCookie]
				return back.RequestURI(), "late"
			},
			"a changed cookie": func(b *browser, back *url.URL) (string, string) {
				b.others[flowCookie] += "x"
				return back.RequestURI(), "late"
			},
			"two cookies": func(b *browser, back *url.URL) (string, string) {
				b.others[flowCookie] += "; " + flowCookie + "=" + b.others[flowCookie]
				return back.RequestURI(), "late"
			},
			"no state": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Del("state") }), "late"
			},
			"another state": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Set("state", "x") }), "late"
			},
			"a repeated state": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Add("state", "x") }), "late"
			},
			"two codes": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Add("code", "x") }), "late"
			},
			"no code": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Del("code") }), "failed"
			},
			"another code": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Set("code", "x") }), "failed"
			},
			"no iss": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Del("iss") }), "failed"
			},
			"another iss": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Set("iss", other.URL) }), "failed"
			},
			"another provider": func(_ *browser, back *url.URL) (string, string) {
				return strings.Replace(back.RequestURI(), "/corp/", "/other/", 1), "late"
			},
			"an unknown one": func(_ *browser, back *url.URL) (string, string) {
				return strings.Replace(back.RequestURI(), "/corp/", "/none/", 1), "failed"
			},
			"the person says no": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }), "cancelled"
			},
			"an error": func(_ *browser, back *url.URL) (string, string) {
				return change(back, func(q url.Values) { q.Del("code"); q.Set("error", "server_error") }), "failed"
			},
			"a late answer": func(_ *browser, back *url.URL) (string, string) {
				s.clock.advance(10*time.Minute + time.Second)
				return back.RequestURI(), "late"
			},
		} {
			b := s.newBrowser()
			path, want := forge(b, i.consents(b.asks(t)))
			t.Log(name)
			b.refused(t, b.send(t, get(path)), want)
			if b.others[flowCookie] != "" {
				t.Error("the cookie stays")
			}
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "0" {
			t.Errorf("%s accounts were made", n)
		}

		b := s.newBrowser()
		back := i.consents(b.asks(t))
		thief := &browser{s: s, others: maps.Clone(b.others)} // who has even the cookie
		b.lands(t, b.send(t, get(back.RequestURI())), "/account").want(200)
		thief.refused(t, thief.send(t, get(back.RequestURI())), "late")
	}, privateProviders)
}

// Discovery and keys are kept for an hour; a new key is found at once, and one that was withdrawn is valid no longer than that.
func TestKeysOfAProvider(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		sign := func(want string) {
			t.Helper()
			b := s.newBrowser()
			if a := b.signsIn(t, i); want == "" {
				b.lands(t, a, "/account").want(200)
			} else {
				b.refused(t, a, want)
			}
		}
		sign("")
		sign("")
		if n := i.requests["/.well-known/openid-configuration"]; n != 2 { // one by the command line
			t.Errorf("the document was read %d times", n)
		}
		i.rotate(t)
		sign("")
		if n := i.requests["/keys"]; n != 2 {
			t.Errorf("the keys were read %d times", n)
		}
		withdrawn, kid := i.key, i.kid
		i.rotate(t)
		i.set(func() {
			i.sign = func(c jwt.MapClaims) string {
				unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, c)
				unsigned.Header["kid"] = kid
				text, _ := unsigned.SignedString(withdrawn)
				return text
			}
		})
		s.clock.advance(time.Hour)
		sign("failed")
	}, privateProviders)
}

// F20: without the setting no provider at a private address can be added, and none is asked, whatever its name resolves to.
func TestPrivateProvidersAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		for _, address := range []string{
			i.URL, "https://127.0.0.1", "https://localhost", "https://a.localhost.", "https://[::1]:8443", "https://10.0.0.1", "https://192.168.1.1/realms/a", "https://169.254.169.254",
			"https://[fd00::1]", "https://[::ffff:127.0.0.1]", "https://[64:ff9b::7f00:1]", "https://100.64.0.1", "https://0.0.0.0", "http://accounts.example.com", "ftp://accounts.example.com",
			"https://user:password@accounts.example.com", "https://accounts.example.com?a=b", "https://accounts.example.com#a", "accounts.example.com", "https://",
		} {
			stdout, stderr, code := s.sesame(t, "", "provider", "add", "corp", "--issuer", address, "--client-id", "x")
			if code == 0 || !strings.Contains(stderr, "--issuer") {
				t.Errorf("%s: code %d, %s%s", address, code, stdout, stderr)
			}
		}
		s.addProvider(t, i) // by a command that allows it
		i.set(func() { clear(i.requests) })
		b := s.newBrowser()
		b.refused(t, b.submit(t, b.send(t, get("/sign-in")).providerForm("corp")), "failed")
		if log := s.wholeLog(); len(i.requests) > 0 || !strings.Contains(log, "SESAME_PRIVATE_PROVIDERS") {
			t.Errorf("the provider was asked: %v\n%s", i.requests, log)
		}
	})
}
