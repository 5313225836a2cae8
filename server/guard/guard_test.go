package guard_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/guard"
)

const (
	missing = `Bearer realm="sesame"`
	invalid = `Bearer realm="sesame", error="invalid_token", error_description="The access token is expired or not valid here."`
)

func lacks(scope string) string {
	return `Bearer realm="sesame", error="insufficient_scope", error_description="The access token lacks the scope ` + scope + `.", scope="` + scope + `"`
}

// O4: the guard enforces the security requirements of the document, with the challenges of RFC 6750 §3, for net/http and
// for Echo.
func TestTheDocumentIsEnforced(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, nil)
	e := echo.New()
	e.Use(g.Echo())
	for _, route := range []string{"GET /v1/notes", "POST /v1/notes", "GET /v1/notes/:id", "GET /v1/about", "GET /v1/forgotten", "PUT /v1/notes"} {
		verb, path, _ := strings.Cut(route, " ")
		e.Add(verb, path, func(c echo.Context) error { whoCalls(c.Response(), c.Request()); return nil })
	}
	reader, writer := i.token(t, "first", nil, nil), i.token(t, "first", nil, object{"scope": "notes:write"})
	for name, h := range map[string]http.Handler{"net/http": g.Handler(http.HandlerFunc(whoCalls)), "echo": e} {
		t.Run(name, func(t *testing.T) {
			want(t, call(h, "GET /v1/notes", "", ""), 401, "unauthenticated", missing)
			want(t, call(h, "GET /v1/notes", "garbage", ""), 401, "invalid_token", invalid)
			want(t, call(h, "GET /v1/notes", writer, ""), 403, "insufficient_scope", lacks("notes:read"))
			want(t, call(h, "POST /v1/notes", reader, "{}"), 403, "insufficient_scope", lacks("notes:write"))
			want(t, call(h, "POST /v1/notes", writer, "{}"), 200, "", "")
			want(t, call(h, "GET /v1/notes/1", "", ""), 401, "unauthenticated", missing) // the document's security
			want(t, call(h, "GET /v1/notes/1", writer, ""), 200, "", "")
			want(t, call(h, "GET /v1/notes?access_token="+reader, "", ""), 400, "bad_request", "")
			if w := call(h, "GET /v1/notes", reader, ""); w.Code != 200 || w.Body.String() != "ann first-party [notes:read] 1" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w := call(h, "GET /v1/about", "", ""); w.Code != 200 || w.Body.String() != "a stranger" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			// Routes missing from the document get 404, even if the service defines them.
			want(t, call(h, "GET /v1/forgotten", reader, ""), 404, "not_found", "")
			want(t, call(h, "GET /notes", reader, ""), 404, "not_found", "")
			want(t, call(h, "GET /v1/notes/", reader, ""), 404, "not_found", "")
			put := call(h, "PUT /v1/notes", writer, "{}")
			want(t, put, 405, "method_not_allowed", "")
			if allow := put.Header().Get("Allow"); allow != "GET, HEAD, POST" {
				t.Errorf("Allow is %q", allow)
			}
		})
	}
	// A router or a proxy that reads %2F as a slash, or goes up where it reads .., would go elsewhere than
	// the guard thinks.
	for _, path := range []string{
		"/v1/notes/1%2fsecret", "/v1/notes/1%5Csecret", "/v1/notes/..", "/v1/notes/.", "/v1/notes/%2e%2E", "/v1/notes/.%2e", "/v1//notes", "//v1/notes",
		"/v1/notes%2f1", "/v1/notes/%00", "/v1/notes/a%0ab", "/v1/notes/a%7f", "/v1/notes/%ff", "/v1/notes/%c0%af", "/v1%2fnotes", "/v1/notes/ö%2fsecret",
	} {
		want(t, call(g.Handler(http.HandlerFunc(whoCalls)), "GET "+path, reader, ""), 404, "not_found", "")
	}
	want(t, call(g.Handler(http.HandlerFunc(whoCalls)), "GET /v1/notes/..1", reader, ""), 200, "", "")
}

// T1, T2, T3: another service refuses every token that is not a valid access token of its issuer.
func TestInvalidTokensAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	other := newIssuer(t)
	now := time.Now()
	h := served(t, i, func(o *guard.Options) { o.Now = func() time.Time { return now } })
	good := i.token(t, "first", nil, nil)
	parts := strings.Split(good, ".")
	tampered := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"` + i.URL + `","aud":"` + audience + `","sub":"root"}`))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"first"}`)) + "." + parts[1] + "."
	for name, token := range map[string]string{
		"another audience":       i.token(t, "first", nil, object{"aud": "https://api.example"}),
		"no audience":            i.token(t, "first", nil, object{"aud": nil}),
		"another issuer's key":   i.signed(t, other.keys["first"], object{"kid": "first"}, nil),
		"another issuer":         i.token(t, "first", nil, object{"iss": other.URL}),
		"the issuer and a slash": i.token(t, "first", nil, object{"iss": i.URL + "/"}),
		"an ID token":            i.token(t, "first", object{"typ": "JWT"}, nil),
		"no type":                i.signed(t, i.keys["first"], object{"kid": "first", "typ": nil}, nil),
		"crit":                   i.token(t, "first", object{"crit": []string{"exp"}}, nil),
		"no kid":                 i.token(t, "first", object{"kid": nil}, nil),
		"a kid that is a number": i.token(t, "first", object{"kid": 1}, nil),
		"expired 31 s ago":       i.token(t, "first", nil, object{"exp": now.Unix() - 31}),
		"no expiry":              i.token(t, "first", nil, object{"exp": nil}),
		"an expiry in text":      i.token(t, "first", nil, object{"exp": "never"}),
		"issued in 40 s":         i.token(t, "first", nil, object{"iat": now.Unix() + 40}),
		"not yet valid":          i.token(t, "first", nil, object{"nbf": now.Unix() + 40}),
		"no subject":             i.token(t, "first", nil, object{"sub": nil}),
		"no client":              i.token(t, "first", nil, object{"client_id": nil}),
		"no issue time":          i.token(t, "first", nil, object{"iat": nil}),
		"no token id":            i.token(t, "first", nil, object{"jti": nil}),
		"a changed payload":      parts[0] + "." + tampered + "." + parts[2],
		"alg none":               none,
		"without a signature":    parts[0] + "." + parts[1] + ".",
		"a megabyte of dots":     strings.Repeat(".", 1<<20),
	} {
		t.Run(name, func(t *testing.T) { want(t, call(h, "GET /v1/notes", token, ""), 401, "invalid_token", invalid) })
	}
	want(t, call(h, "GET /v1/notes", good, ""), 200, "", "")
	want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, object{"exp": now.Unix() - 29}), ""), 200, "", "")
	want(t, call(h, "GET /v1/notes", i.token(t, "first", object{"typ": "application/at+jwt"}, nil), ""), 200, "", "")
	want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, object{"aud": []string{"https://x.example", audience}}), ""), 200, "", "")
}

// O6: the first token with a new key causes one fetch, whatever the algorithm. A burst of such tokens shares the fetch, and
// all are accepted.
func TestANewKeyIsFetched(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rivest, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ES256": ecKey(t), "EdDSA": edwards, "RS256": rivest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			h := served(t, i, nil)
			before := i.count()
			i.change(func() { i.keys["second"] = key })
			token := i.token(t, "second", nil, nil)
			for _, status := range inParallel(50, func() int { return call(h, "GET /v1/notes", token, "").Code }) {
				if status != 200 {
					t.Errorf("a token of the new key: %d", status)
				}
			}
			if n := i.count() - before; n != 1 {
				t.Errorf("%d fetches, want 1", n)
			}
		})
	}
}

func inParallel(n int, do func() int) []int {
	results, start := make([]int, n), make(chan struct{})
	var all sync.WaitGroup
	for k := range results {
		all.Go(func() { <-start; results[k] = do() })
	}
	close(start)
	all.Wait()
	return results
}

// Invented key names do not cause requests to the issuer beyond the limit.
func TestUnknownKeysCauseOneFetch(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := served(t, i, nil)
	before := i.count()
	key := ecKey(t)
	var mu sync.Mutex
	n := 0
	for _, status := range inParallel(50, func() int {
		mu.Lock()
		n++
		token := i.signed(t, key, object{"kid": strings.Repeat("x", n)}, nil)
		mu.Unlock()
		return call(h, "GET /v1/notes", token, "").Code
	}) {
		if status != 401 {
			t.Errorf("got %d", status)
		}
	}
	want(t, call(h, "GET /v1/notes", i.signed(t, key, object{"kid": "later"}, nil), ""), 401, "invalid_token", invalid)
	if n := i.count() - before; n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
	want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, nil), ""), 200, "", "")
}

// While the issuer does not answer with keys, the last keys remain valid.
func TestTheLastKeysRemainValidWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]func(http.ResponseWriter){
		"500":        func(w http.ResponseWriter) { w.WriteHeader(500) },
		"garbage":    func(w http.ResponseWriter) { w.Write([]byte("<html>")) },
		"no keys":    func(w http.ResponseWriter) { w.Write([]byte(`{"keys":[]}`)) },
		"a redirect": func(w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(302) },
		"10 MB": func(w http.ResponseWriter) { // with a key, that of RFC 7517 A.1
			w.Write([]byte(`{"pad":"` + strings.Repeat(" ", 10<<20) + `","keys":[{"kty":"EC","crv":"P-256","kid":"1",
				"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`))
		},
		"a cut-off end": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "99"); w.Write([]byte("{")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			h := served(t, i, nil)
			before := i.count()
			i.change(func() { i.broken = broken })
			want(t, call(h, "GET /v1/notes", i.signed(t, ecKey(t), object{"kid": "new"}, nil), ""), 401, "invalid_token", invalid)
			if i.count() == before {
				t.Error("nothing was fetched")
			}
			want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, nil), ""), 200, "", "")
		})
	}
}

// A service that starts before its login server waits for it, up to StartTimeout.
func TestTheStartWaitsForTheIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	tries := 0
	i.broken = func(w http.ResponseWriter) {
		if tries++; tries == 2 {
			i.broken = nil // the third finds it up
		}
		w.WriteHeader(503)
	}
	h := served(t, i, nil)
	want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, nil), ""), 200, "", "")

	i.change(func() { i.broken = func(w http.ResponseWriter) { w.WriteHeader(503) } })
	_, err := guard.New(t.Context(), guard.Options{
		OpenAPI: []byte(notes), Issuer: i.URL, Audience: audience, StartTimeout: time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "no keys from the issuer") || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
}

// New fails for documents and options that are incomplete or ambiguous.
func TestTheGuardRefusesToStart(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, c := range map[string]struct {
		change func(*guard.Options)
		reason string
	}{
		"no security decision": {replace("security: [{ Login: [] }]\npaths", "paths"), "getNote: no security"},
		"an undeclared scope":  {replace("Login: ['notes:write']", "Login: ['notes:own']"), "createNote: the scope notes:own is not declared"},
		"an undeclared scheme": {replace("[{ Login: ['notes:write'] }]", "[{ Key: [] }]"), "createNote: the security scheme Key"},
		"a scheme that is not checked": {
			replace("  securitySchemes:\n    Login:\n      type: oauth2\n", "  securitySchemes:\n    Login:\n      type: apiKey\n      in: header\n      name: K\n"), "does not know",
		},
		"no document":           {func(o *guard.Options) { o.OpenAPI = nil }, "OpenAPI document is missing"},
		"a document of another": {func(o *guard.Options) { o.OpenAPI = []byte("openapi: 4.0.0\n") }, "line 1, #/openapi: the document is OpenAPI \"4.0.0\""},
		"no audience":           {func(o *guard.Options) { o.Audience = "" }, "Audience is missing"},
		"no issuer":             {func(o *guard.Options) { o.Issuer = "" }, "Issuer must be"},
		"an issuer that says it is another": {func(o *guard.Options) {
			o.Issuer = strings.Replace(i.URL, "127.0.0.1", "localhost", 1)
		}, "says that it is"},
	} {
		t.Run(name, func(t *testing.T) {
			o := guard.Options{
				OpenAPI: []byte(notes), Issuer: i.URL, Audience: audience, StartTimeout: time.Millisecond, Log: slog.New(slog.DiscardHandler),
			}
			c.change(&o)
			if g, err := guard.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v %v, want %q", g, err, c.reason)
			}
		})
	}
}

func replace(old, with string) func(*guard.Options) {
	return func(o *guard.Options) {
		changed := strings.Replace(notes, old, with, 1)
		if changed == notes {
			panic("the test breaks nothing: " + old)
		}
		o.OpenAPI = []byte(changed)
	}
}

// A2: neither the log nor the answers of the guard contain any part of a token.
func TestTheGuardRepeatsNothing(t *testing.T) {
	t.Parallel()
	const canary = "Canary7f3a9c"
	i := newIssuer(t)
	var log bytes.Buffer
	h := served(t, i, func(o *guard.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	for _, token := range []string{
		canary, i.token(t, "first", nil, nil) + canary, i.token(t, "first", object{"alg": canary}, nil), i.token(t, "first", object{"typ": canary}, nil),
		i.token(t, "first", object{"kid": canary}, nil), i.token(t, "first", nil, object{"aud": canary}), i.token(t, "first", nil, object{"iss": canary}),
		i.token(t, "first", nil, object{"exp": canary}), i.token(t, "first", nil, object{"exp": 4242424242.4242}),
	} {
		if w := call(h, "GET /v1/notes?q="+canary, token, ""); w.Code != 401 || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if text := log.String(); strings.Contains(text, canary) || strings.Contains(text, "4242424242") || strings.Count(text, "refused") != 9 || !strings.Contains(text, "another audience") {
		t.Errorf("the log is\n%s", text)
	}
}

// The guard imports neither a database nor generated code.
func TestTheGuardLinksNoServer(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(context.Background(), "go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, unwanted := range []string{"/server/internal/store", "/server/internal/oauth", "/server/internal/account", "/server/internal/httpapi", "/gen/", "modernc.org", "pgx", "goose", "swag/v2", "swaggo"} {
		if strings.Contains(string(output), unwanted) {
			t.Errorf("it links %s", unwanted)
		}
	}
}
