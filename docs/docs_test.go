package docs_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/docs"
)

const publicURL = "https://login.example.com"

// common is for tests to which the public URL does not matter. It compresses everything only once.
var common = sync.OnceValue(func() *echo.Echo {
	e := echo.New()
	if err := errors.Join(docs.Register(e, sesame.OpenAPI, publicURL), docs.RegisterCollection(e, sesame.OpenAPI, publicURL)); err != nil {
		panic(err)
	}
	return e
})

func newServer(t *testing.T, publicURL string) *echo.Echo {
	t.Helper()
	e := echo.New()
	if err := errors.Join(docs.Register(e, sesame.OpenAPI, publicURL), docs.RegisterCollection(e, sesame.OpenAPI, publicURL)); err != nil {
		t.Fatal(err)
	}
	return e
}

// do sends a request with the given header lines (name, value, name, value…).
func do(e *echo.Echo, method, target string, header ...string) *http.Response {
	req := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	return rec.Result()
}

func read(t *testing.T, res *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// get returns the body of a GET that must answer 200.
func get(t *testing.T, e *echo.Echo, target string) []byte {
	t.Helper()
	res := do(e, http.MethodGet, target)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", target, res.Status)
	}
	return read(t, res)
}

// served lists everything that answers 200, with its media type and a text that it must contain.
var served = []struct{ path, mediaType, contains string }{
	{"/docs/", "text/html; charset=UTF-8", `id="swagger-ui"`},
	{"/docs/openapi.yaml", "application/yaml", "openapi: 3.0.3"},
	{"/docs/swagger-ui.css", "text/css; charset=utf-8", ".swagger-ui"},
	{"/docs/swagger-ui-bundle.js", "application/javascript", "SwaggerUIBundle"},
	{"/docs/page.css", "text/css; charset=utf-8", ".swagger-ui"},
	{"/docs/page.js", "application/javascript", "SwaggerUIBundle("},
	{"/docs/session.js", "application/javascript", "refresh_token"},
	{"/docs/login.js", "application/javascript", "Logged in as"},
	{"/docs/code.js", "application/javascript", "code_challenge"},
	{"/docs/oauth2-redirect.html", "text/html; charset=UTF-8", `<script src="oauth2-redirect.js">`},
	{"/docs/oauth2-redirect.js", "application/javascript", "swaggerUIRedirectOauth2"},
	{"/docs/dialog.js", "application/javascript", "showModal"},
	{"/docs/reading.js", "application/javascript", "aria-expanded"},
	{"/docs/theme.js", "application/javascript", "prefers-color-scheme"},
	{"/docs/theme.css", "text/css; charset=utf-8", "--accent"},
	{"/docs/favicon.svg", "image/svg+xml", "<svg"},
	{"/favicon.ico", "image/svg+xml", "<svg"},
	{"/redoc", "text/html; charset=UTF-8", `id="redoc"`},
	{"/redoc/page.js", "application/javascript", "Redoc.init"},
	{"/redoc/page.css", "text/css; charset=utf-8", ".menu-content"},
	{"/redoc/redoc.standalone.js", "application/javascript", `"2.5.4"`},
	{"/openapi.yaml", "application/yaml", "openapi: 3.0.3"},
	{"/openapi.json", "application/json", `"openapi": "3.0.3"`},
	{"/docs/postman.json", "application/json", "/json/collection/v2.1.0/collection.json"},
}

func TestEverythingIsServedOnceInEitherEncoding(t *testing.T) {
	e := common()
	for _, want := range served {
		t.Run(want.path, func(t *testing.T) {
			plain := do(e, http.MethodGet, want.path)
			body := read(t, plain)
			if plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Encoding") != "" {
				t.Fatalf("plain: %s, Content-Encoding %q", plain.Status, plain.Header.Get("Content-Encoding"))
			}
			if got := plain.Header.Get("Content-Type"); got != want.mediaType {
				t.Errorf("Content-Type is %q, want %q", got, want.mediaType)
			}
			if !strings.Contains(string(body), want.contains) {
				t.Errorf("%q is not in it", want.contains)
			}

			packed := do(e, http.MethodGet, want.path, "Accept-Encoding", "br, gzip;q=0.8")
			if packed.Header.Get("Content-Encoding") != "gzip" {
				t.Fatal("not compressed for a client that takes gzip")
			}
			content := read(t, packed)
			if packed.ContentLength != int64(len(content)) {
				t.Errorf("Content-Length is %d, want %d", packed.ContentLength, len(content))
			}
			r, err := gzip.NewReader(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			unpacked, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(unpacked, body) {
				t.Errorf("unpacks to something else (%v)", err)
			}
			for _, res := range []*http.Response{plain, packed} {
				if res.Header.Get("Vary") != "Accept-Encoding" || res.Header.Get("Cache-Control") != "no-cache" {
					t.Errorf("Vary %q, Cache-Control %q", res.Header.Get("Vary"), res.Header.Get("Cache-Control"))
				}
			}
			if plain.Header.Get("ETag") == packed.Header.Get("ETag") {
				t.Error("two encodings share one strong ETag")
			}
		})
	}
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	e := common()
	for _, want := range served {
		head := do(e, http.MethodHead, want.path)
		body := get(t, e, want.path)
		if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(body)) || len(read(t, head)) != 0 {
			t.Errorf("HEAD %s: %s, Content-Length %d, want 200, %d", want.path, head.Status, head.ContentLength, len(body))
		}
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	e := common()
	for _, want := range served {
		for _, encoding := range []string{"identity", "gzip"} {
			tag := do(e, http.MethodGet, want.path, "Accept-Encoding", encoding).Header.Get("ETag")
			if !strings.HasPrefix(tag, `"`) {
				t.Fatalf("%s: ETag %s is not strong", want.path, tag)
			}
			res := do(e, http.MethodGet, want.path, "Accept-Encoding", encoding, "If-None-Match", tag)
			if res.StatusCode != http.StatusNotModified || len(read(t, res)) != 0 {
				t.Errorf("%s with its own ETag: %s, want 304", want.path, res.Status)
			}
			res = do(e, http.MethodGet, want.path, "Accept-Encoding", encoding, "If-None-Match", `"other"`)
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s with another ETag: %s, want 200", want.path, res.Status)
			}
		}
	}
}

// net/http would answer an invalid range or precondition in its own format.
func TestRangesAndPreconditionsAreIgnored(t *testing.T) {
	for _, header := range [][]string{{"Range", "bytes=0-1,3-4"}, {"Range", "bytes=99999999-"}, {"Range", "nonsense"}, {"If-Match", `"x"`}} {
		for _, encoding := range []string{"identity", "gzip"} {
			plain := do(common(), http.MethodGet, "/docs/page.css", "Accept-Encoding", encoding)
			res := do(common(), http.MethodGet, "/docs/page.css", append(header, "Accept-Encoding", encoding)...)
			if res.StatusCode != http.StatusOK || !bytes.Equal(read(t, res), read(t, plain)) {
				t.Errorf("%v, %s: %s", header, encoding, res.Status)
			}
		}
	}
}

func TestCompressionIsNegotiated(t *testing.T) {
	e := common()
	for accept, want := range map[string]string{
		"":                    "",
		"br":                  "",
		"gzip":                "gzip",
		"GZIP; q=1":           "gzip",
		"*":                   "gzip",
		"gzip;q=0":            "",
		"gzip;q=0.000, *;q=1": "",
		"*;q=0, gzip":         "gzip",
		"gzip;q=rubbish":      "",
	} {
		got := do(e, http.MethodGet, "/openapi.yaml", "Accept-Encoding", accept).Header.Get("Content-Encoding")
		if got != want {
			t.Errorf("Accept-Encoding %q gets %q, want %q", accept, got, want)
		}
	}
}

func TestRedirectsLeadToTheDocs(t *testing.T) {
	for base, want := range map[string]string{
		publicURL:                 "/docs/",
		publicURL + "/":           "/docs/",
		publicURL + "/auth":       "/auth/docs/",
		publicURL + "/auth%20x/":  "/auth%20x/docs/",
		"http://[::1]:8080/a/b/c": "/a/b/c/docs/",
	} {
		e := newServer(t, base)
		for _, path := range []string{"/", "/docs", "/?url=https://evil.example"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				res := do(e, method, path)
				if res.StatusCode != http.StatusFound || res.Header.Get("Location") != want {
					t.Errorf("%s %s at %s: %s to %q, want 302 to %q",
						method, path, base, res.Status, res.Header.Get("Location"), want)
				}
			}
		}
	}
}

// H4: no address makes a page show another contract.
func TestAQueryChangesNothing(t *testing.T) {
	e := common()
	for _, want := range served {
		query := "?url=https://evil.example/x.yaml&configUrl=https://evil.example/c.json"
		if !bytes.Equal(get(t, e, want.path), get(t, e, want.path+query)) {
			t.Errorf("%s changes with a query", want.path)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	e := common()
	for _, path := range []string{
		"/docs/index.html", "/docs/doc.json", "/docs/swagger-ui.css.map", "/docs/swagger-initializer.js",
		"/docs/swagger-ui-standalone-preset.js", "/docs/swagger.html", "/docs/swagger-ui.css.gz", "/docs/ui/README.md", "/docs/favicon-32x32.png", "/docs/../docs.go", "/docs/x/swagger-ui.css", "/redoc/", "/redoc/index.html",
	} {
		if res := do(e, http.MethodGet, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s, want 404", path, res.Status)
		}
	}
	if res := do(e, http.MethodPost, "/docs/"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /docs/: %s, want 405", res.Status)
	}
}

// H4.
func TestPagesForbidEverythingForeign(t *testing.T) {
	e := common()
	for _, path := range []string{"/docs/", "/docs/oauth2-redirect.html", "/redoc"} {
		csp := do(e, http.MethodGet, path).Header.Get("Content-Security-Policy")
		directives := strings.Split(csp, "; ")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self'", "connect-src 'self'", "img-src 'self' data:", "base-uri 'none'",
			"form-action 'none'", "frame-ancestors 'none'",
		} {
			if !slices.Contains(directives, want) {
				t.Errorf("%s: %q is not in %s", path, want, csp)
			}
		}
		if page := get(t, e, path); bytes.Count(page, []byte("<script ")) == 0 || bytes.Contains(page, []byte("<script>")) || bytes.Contains(page, []byte("<style")) {
			t.Errorf("%s has an inline script or style, or no script:\n%s", path, page)
		}
	}
}

// H4.
func TestPagesNameNoOtherOrigin(t *testing.T) {
	e := common()
	reference := regexp.MustCompile(`(?:src|href|url)(?:=|: )"([^"]*)"`)
	for _, page := range []string{"/docs/", "/docs/oauth2-redirect.html", "/redoc"} {
		references := reference.FindAllSubmatch(get(t, e, page), -1)
		if len(references) < 2 {
			t.Fatalf("%s: found %d references", page, len(references))
		}
		at, _ := url.Parse(page)
		for _, r := range references {
			target, err := at.Parse(string(r[1]))
			if err != nil || target.Host != "" {
				t.Errorf("%s refers to %s", page, r[1])
				continue
			}
			get(t, e, target.Path)
		}
	}
	if bytes.Contains(get(t, e, "/redoc/redoc.standalone.js"), []byte("cdn.redoc.ly")) {
		t.Error("ReDoc fetches its logo from elsewhere; see redoc/README.md")
	}
}

func TestSwaggerUIKeepsNoPasswordAndKnowsOneContract(t *testing.T) {
	script := string(get(t, common(), "/docs/page.js"))
	for _, part := range []string{"persistAuthorization: false", "deepLinking: true", "url: 'openapi.yaml'", "plugins: [session, login, dialog, reading]", "credentials: 'omit'"} {
		if strings.Count(script, part) != 1 {
			t.Errorf("page.js does not have %s once", part)
		}
	}
}

// The README of each vendored bundle has its version and its checksums.
func TestVendoredBundlesMatchTheirREADME(t *testing.T) {
	e := common()
	row := regexp.MustCompile("\\| `([0-9a-f]{64})` \\| what is in `(.*)\\.gz`")
	for _, bundle := range []struct{ readme, prefix, script, version string }{
		{"swagger/ui/README.md", "/docs/", "swagger-ui-bundle.js", "npm pack swagger-ui-dist@"},
		{"redoc/README.md", "/redoc/", "redoc.standalone.js", "npm pack redoc@"},
	} {
		text, err := os.ReadFile(bundle.readme)
		if err != nil {
			t.Fatal(err)
		}
		rows := row.FindAllSubmatch(text, -1)
		if len(rows) == 0 {
			t.Errorf("%s has no checksum", bundle.readme)
		}
		for _, r := range rows {
			if sum := fmt.Sprintf("%x", sha256.Sum256(get(t, e, bundle.prefix+string(r[2])))); sum != string(r[1]) {
				t.Errorf("%s has %s for %s, which has %s", bundle.readme, r[1], r[2], sum)
			}
		}
		_, version, _ := strings.Cut(string(text), bundle.version)
		version, _, _ = strings.Cut(version, "\n")
		if version == "" || !bytes.Contains(get(t, e, bundle.prefix+bundle.script), []byte(`"`+version+`"`)) {
			t.Errorf("%s is not of version %q", bundle.script, version)
		}
	}
}

// The icon and the redirect are for a server that has none of its own.
func TestTheServersOwnRoutesAreKept(t *testing.T) {
	e := echo.New()
	for _, path := range []string{"/", "/favicon.ico"} {
		e.GET(path, func(c echo.Context) error { return c.String(http.StatusOK, "its own") })
	}
	if err := docs.Register(e, sesame.OpenAPI, publicURL); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/favicon.ico"} {
		if got := get(t, e, path); string(got) != "its own" {
			t.Errorf("%s is %q", path, got)
		}
	}
}

func TestThePagesHaveTheTitleOfTheContract(t *testing.T) {
	for title, want := range map[string]string{"Sesame": "Sesame API", "Notes API": "Notes API", "<script>": "&lt;script&gt; API"} {
		e := echo.New()
		if err := docs.Register(e, bytes.Replace(sesame.OpenAPI, []byte("title: Sesame"), []byte("title: "+title), 1), publicURL); err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{"/docs/", "/redoc"} {
			if !bytes.Contains(get(t, e, page), []byte("<title>"+want+"</title>")) {
				t.Errorf("%s of %s has another title", page, title)
			}
		}
	}
}

func TestScriptsOfOtherOriginsMayReadTheContractAlone(t *testing.T) {
	e := common()
	for _, want := range served {
		allowed := ""
		if strings.HasPrefix(want.path, "/openapi.") || want.path == "/docs/postman.json" {
			allowed = "*"
		}
		got := do(e, http.MethodGet, want.path, "Origin", "https://other.example").Header.Get("Access-Control-Allow-Origin")
		if got != allowed {
			t.Errorf("%s allows the origin %q, want %q", want.path, got, allowed)
		}
	}
}

func TestAPublicURLMustBeAbsolute(t *testing.T) {
	for _, bad := range []string{"", "/auth", "login.example.com", "http://", "://x", "http://a b/"} {
		if err := docs.Register(echo.New(), sesame.OpenAPI, bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
