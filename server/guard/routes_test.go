package guard_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/server/guard"
)

// onPaths makes the document one of these operations, each "METHOD /path" with the scope that it needs, or
// with none. Its base path is /v1.
func onPaths(operations map[string]string) func(*guard.Options) {
	return func(o *guard.Options) {
		head, rest, _ := strings.Cut(notes, "paths:\n")
		_, tail, _ := strings.Cut(rest, "components:\n")
		o.OpenAPI = []byte(head + "paths:\n")
		for operation, scope := range operations {
			verb, path, _ := strings.Cut(operation, " ")
			security := "[]"
			if scope != "" {
				security = "[{ Login: ['" + scope + "'] }]"
			}
			o.OpenAPI = fmt.Appendf(o.OpenAPI, "  %q:\n    %s:\n      security: %s\n      responses: { '200': { description: ok } }\n", path, strings.ToLower(verb), security)
		}
		o.OpenAPI = append(o.OpenAPI, "components:\n"+tail...)
	}
}

// says answers with a text, so that a test sees which handler has run.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text, r.PathValue("slug")) }
}

// N1: a public operation does not make a protected one accessible, in any spelling of the path.
func TestAnotherSpellingIsTheSameOperation(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, onPaths(map[string]string{
		"GET /pages/{slug}": "", "GET /pages/drafts": "notes:write", "GET /größe/{slug}": "", "GET /Products('1')": "", "GET /x:cancel": "", "GET /b/{slug}": "",
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/pages/{slug}", says("page "))
	mux.HandleFunc("GET /v1/pages/drafts", says("drafts"))
	mux.HandleFunc("GET /v1/größe/{slug}", says("größe "))
	mux.HandleFunc("GET /v1/Products('1')", says("product"))
	mux.HandleFunc("GET /v1/x:cancel", says("cancel"))
	mux.HandleFunc("GET /v1/b/{slug}", says("b "))
	e, plain := echo.New(), echo.New()
	e.Use(g.Echo())
	plain.Pre(guard.PlainPaths)
	plain.Use(g.Echo())
	for path, text := range map[string]string{
		"/v1/pages/:slug": "page ", "/v1/pages/drafts": "drafts", "/v1/größe/:slug": "größe ", "/v1/Products('1')": "product", `/v1/x\:cancel`: "cancel", "/v1/b/:slug": "b ",
	} {
		serve := func(c echo.Context) error { return c.String(200, text+c.Param("slug")) }
		e.GET(path, serve)
		plain.GET(path, serve)
	}
	writer := i.token(t, "first", nil, object{"scope": "notes:write"})
	for name, h := range map[string]http.Handler{"net/http": g.Handler(mux), "echo": e, "echo, plain paths": plain} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"drafts", "%64rafts", "draft%73", "%64%72%61%66%74%73"} {
				if w := call(h, "GET /v1/pages/"+path, "", ""); w.Code != 401 && (name != "echo" || w.Code != 404) {
					t.Errorf("without a token, %s gets %d %s", path, w.Code, w.Body)
				}
			}
			for path, body := range map[string]string{
				"pages/drafts": "drafts", "pages/a": "page a", "pages/%2564rafts": "page %64rafts", "pages/a%3Fb": "page a?b", "gr%C3%B6%C3%9Fe/1": "größe 1", "Products('1')": "product", "x:cancel": "cancel",
			} {
				if w := call(h, "GET /v1/"+path, writer, ""); w.Code != 200 || w.Body.String() != body {
					t.Errorf("%s gets %d %s, want %s", path, w.Code, w.Body, body)
				}
			}
			for path, body := range map[string]string{"pages/%64rafts": "drafts", "gr%c3%b6%C3%9fe/1": "größe 1", "Products(%271%27)": "product", "x%3acancel": "cancel"} {
				if w := call(h, "GET /v1/"+path, writer, ""); (w.Code != 200 || w.Body.String() != body) && (name != "echo" || w.Code != 404) {
					t.Errorf("%s gets %d %s, want %s", path, w.Code, w.Body, body)
				}
			}
			for _, path := range []string{"b/one/two", "b/..%2f..%2fx", "b/one%2ftwo", "b/", "b", "pages/drafts/", "pages//drafts", "pages/./drafts", "pages/x/../drafts", "PAGES/drafts"} {
				want(t, call(h, "GET /v1/"+path, writer, ""), 404, "not_found", "")
			}
		})
	}
}

// N1: a handler runs for its own operation alone, not for another operation without a handler, and not for a route that is
// missing from the document. A handler for several operations, such as a router, runs for each of them.
func TestAHandlerRunsForItsOwnOperation(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, onPaths(map[string]string{"GET /pages/{slug}": "", "GET /pages/drafts": "notes:write", "GET /pages/{slug}/parts": "", "GET /files/": ""}))
	writer := i.token(t, "first", nil, object{"scope": "notes:write"})
	for pattern, reached := range map[string]string{
		"GET /v1/pages/{slug}":        "pages/a pages/secret", // and not drafts, whose handler is missing
		"/v1/pages/{any}":             "pages/a pages/secret",
		"GET api.test/v1/pages/{any}": "pages/a pages/secret",
		"GET /v1/pages/drafts":        "pages/drafts",
		"GET /v1/pages/secret":        "", // of which the document does not know
		"GET /v1/{pages}/drafts":      "pages/drafts",
		"GET /v1/pages/":              "pages/a pages/secret pages/drafts pages/a/parts",
		"GET /v1/pages/{all...}":      "pages/a pages/secret pages/drafts pages/a/parts",
		"GET /v1/pages/{any}/{$}":     "",
		"GET /v1/pages/{any}/":        "pages/a/parts",
		"GET /v1/pages/secret/parts":  "",
		"GET /v1/pages/{any}/{parts}": "pages/a/parts",
		"GET /":                       "pages/a pages/secret pages/drafts pages/a/parts files/",
		"GET /v1/files/{$}":           "files/",
		"GET /v1/files/":              "files/",
	} {
		mux := http.NewServeMux()
		mux.Handle(pattern, says("ran"))
		h := g.Handler(mux)
		for _, path := range strings.Fields("pages/a pages/secret pages/drafts pages/a/parts files/ pages/secret/parts/x") {
			ran := strings.HasPrefix(call(h, "GET http://api.test/v1/"+path, writer, "").Body.String(), "ran")
			if ran != slices.Contains(strings.Fields(reached), path) {
				t.Errorf("the handler of %s: %s runs it: %v", pattern, path, ran)
			}
		}
	}
	e := echo.New()
	e.Use(g.Echo())
	for _, path := range []string{"/v1/pages/:slug", "/v1/pages/secret", "/*"} {
		e.GET(path, func(c echo.Context) error { return c.String(200, "ran") })
	}
	for path, ran := range map[string]bool{"pages/a": true, "pages/drafts": false, "pages/secret": false, "pages/a/parts": false, "files/": false} {
		if w := call(e, "GET /v1/"+path, writer, ""); (w.Body.String() == "ran") != ran {
			t.Errorf("Echo: %s gets %d %s", path, w.Code, w.Body)
		}
	}
}

// N1: where the handler of an operation is missing, http.ServeMux may choose that of another one with another method. A
// handler for GET takes HEAD as well, and then the caller needs what GET needs.
func TestAHandlerOfAnotherMethodDoesNotStandIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, onPaths(map[string]string{
		"HEAD /a/b": "", "GET /a/{x}": "notes:write", "POST /c/d": "", "GET /c/{x}": "notes:write", "HEAD /e": "", "GET /f/{x}": "notes:write", "HEAD /f/g": "notes:read",
	}))
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /v1/a/{x}", "/v1/c/{x}", "GET /v1/e", "GET /v1/f/{x}", "HEAD /v1/f/g"} {
		mux.Handle(pattern, says("ran"))
	}
	h := g.Handler(mux)
	writer := i.token(t, "first", nil, object{"scope": "notes:write"})
	for request, statuses := range map[string][2]int{ // without a token, and with one that may do what GET does
		"HEAD /v1/a/b": {401, 200}, "GET /v1/a/b": {401, 200}, "HEAD /v1/a/x": {401, 200}, "POST /v1/c/d": {404, 404}, "GET /v1/c/d": {401, 200},
		"HEAD /v1/e": {404, 404}, "HEAD /v1/f/g": {401, 403}, "GET /v1/f/g": {401, 200},
	} {
		for n, token := range []string{"", writer} {
			if w := call(h, request, token, ""); w.Code != statuses[n] {
				t.Errorf("%s, token %q: got %d %s, want %d", request, token, w.Code, w.Body, statuses[n])
			}
		}
	}
}

// N1: New refuses a document with paths that routers might read in different ways, and names them.
func TestPathsThatCannotBeDecided(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, c := range []struct{ first, second, refused string }{
		{"GET /a/{x}/comments", "GET /a/private/{id}", "/a/{x}/comments and /a/private/{id} both match"},
		{"GET /a/{x}/comments", "POST /a/private/{id}", ""},
		{"GET /a/{x}/comments", "HEAD /a/private/{id}", "both match"},
		{"HEAD /a/{x}", "GET /a/b", "both match"}, // to http.ServeMux, GET takes HEAD
		{"GET /a/{x}", "HEAD /a/b", ""},
		{"GET /a/{x}/c", "GET /a/b/c", ""},
		{"GET /a/{x}/{y}", "GET /a/b/c", ""},
		{"GET /a/{x}", "GET /a/{y}", "/a/{x} and /a/{y} are the same path"},
		{"GET /a/{x}", "POST /a/{y}", "are the same path"},
		{"GET /a/b", "GET /a/%62", "are the same path"},
		{"GET /größe", "GET /gr%C3%B6%C3%9Fe", "are the same path"},
		{"GET /a/{x}", "GET /a/", ""},
		{"GET /files/{name}", "GET /files/{name}.json", "/files/{name}.json: a parameter must be a whole segment"},
		{"GET /x/{id}:cancel", "GET /y", "/x/{id}:cancel: a parameter must be a whole segment"},
		{"GET /x/{a}{b}", "GET /y", "whole segment"},
		{"GET /x/{a", "GET /y", "whole segment"},
		{"GET /x/{a}/{a}", "GET /y", "/x/{a}/{a}: a parameter is named twice"},
		{"GET /a//b", "GET /y", `/a//b: no request can reach the segment ""`},
		{"GET /a/../b", "GET /y", `the segment ".."`},
		{"GET /a%2Fb", "GET /y", `the segment "a/b"`},
		{"GET /a%5Cb", "GET /y", `the segment "a\\b"`},
		{"GET /a%00", "GET /y", "no request can reach"},
		{"GET a", "GET /y", "a: a path must begin with /"},
	} {
		o := guard.Options{Issuer: i.URL, Audience: audience}
		onPaths(map[string]string{c.first: "", c.second: ""})(&o)
		g, err := guard.New(t.Context(), o)
		if err == nil {
			g.Close()
		}
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s and %s: got %v, want %q", c.first, c.second, err, c.refused)
		}
	}
	for base, refused := range map[string]string{"/v1": "", "/v1/": "", "/": "", "/gr%C3%B6%C3%9Fe": "", "/größe": "", "v1": "the base path", "/v1?x": "the base path", "/{v}": "the base path", "/a//b": "no request can reach", "/..": "no request can reach"} {
		g, err := guard.New(t.Context(), guard.Options{OpenAPI: []byte(notes), Issuer: i.URL, Audience: audience, BasePath: base})
		if err == nil {
			g.Close()
		}
		if (err == nil) != (refused == "") || err != nil && !strings.Contains(err.Error(), refused) {
			t.Errorf("the base path %s: got %v, want %q", base, err, refused)
		}
	}
}

// N1: a path or an operation that the document has on another server is not accessible under the base path.
func TestServersOfAnOperationAreElsewhere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const document = `
openapi: 3.0.3
info: { title: t, version: '1' }
servers: [{ url: 'https://api.example/gr%%C3%%B6%%C3%%9Fe/' }]
paths:
  /a:
    %s
    get: { security: [], responses: { '200': { description: ok } }, %s }
`
	for servers, refused := range map[string]bool{
		"": false, "servers: [{ url: 'https://files.example/größe' }]": false, "servers: [{ url: /größe }]": false,
		"servers: [{ url: 'https://api.example/v2' }]": true, "servers: [{ url: 'https://api.example' }]": true, "servers: [{ url: /größe }, { url: /v2 }]": true,
	} {
		for _, text := range []string{fmt.Sprintf(document, servers, ""), fmt.Sprintf(document, "", servers)} {
			g, err := guard.New(t.Context(), guard.Options{OpenAPI: []byte(text), Issuer: i.URL, Audience: audience})
			if err == nil {
				g.Close()
			}
			if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), "/a has a server of its own") {
				t.Errorf("%s: got %v", text, err)
			}
		}
	}
}
