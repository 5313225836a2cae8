package mock

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame"
)

func faultsOf(t *testing.T, document string) []error {
	t.Helper()
	read, err := Read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Register(echo.New(), Options{
		Document: read, PublicURL: "http://127.0.0.1", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Faults()
}

func TestOurOwnExamplesFit(t *testing.T) {
	t.Parallel()
	for _, fault := range faultsOf(t, string(sesame.OpenAPI)) {
		t.Error(fault)
	}
}

// Samples fit their schemas; where an example does not, or a sample cannot, the mock says so.
func TestFaultsAreExamplesThatBreakTheirSchema(t *testing.T) {
	t.Parallel()
	for schema, fault := range map[string]string{
		`{ type: string, minLength: 20 }`:                                                    "",
		`{ type: string, maxLength: 2 }`:                                                     "",
		`{ type: string, format: date-time }`:                                                "",
		`{ type: string, format: uuid }`:                                                     "",
		`{ type: string, pattern: '^[0-9]+$' }`:                                              "",
		`{ type: string, pattern: '^[0-9]+$', example: '7' }`:                                "",
		`{ type: string, example: 7 }`:                                                       "breaks type",
		`{ type: integer, minimum: 5, multipleOf: 4 }`:                                       "",
		`{ type: integer, maximum: -3 }`:                                                     "",
		`{ type: integer, minimum: 5, exclusiveMinimum: true }`:                              "",
		`{ type: number, minimum: 0.5, maximum: 0.7 }`:                                       "",
		`{ type: boolean }`:                                                                  "",
		`{ type: array, minItems: 3, items: { type: string, enum: [a, b] } }`:                "",
		`{ type: array, maxItems: 0, items: { type: string } }`:                              "",
		`{ nullable: true, allOf: [{ type: string, format: email }] }`:                       "",
		`{ oneOf: [{ type: string }, { type: integer }] }`:                                   "",
		`{ anyOf: [{ type: object, required: [a], properties: { a: { type: integer } } }] }`: "",
		`{ allOf: [{ type: object, required: [a], properties: { a: { type: integer } } }, { type: object, required: [b], properties: { b: { type: boolean } } }] }`: "",
		`{ type: object, required: [a], properties: { a: { type: string, writeOnly: true } } }`:                                                                     "",
	} {
		faults := faultsOf(t, fmt.Sprintf(`
openapi: 3.0.3
info: { title: t, version: '1' }
paths: { /a: { get: { operationId: a, responses: { '200': { description: d, content: { application/json: { schema: %s } } } } } } }`, schema))
		if fault == "" && len(faults) > 0 || fault != "" && (len(faults) != 1 || !strings.Contains(faults[0].Error(), fault)) {
			t.Errorf("%s: got %v, want %q", schema, faults, fault)
		}
	}
}

// N1: the mock finds an operation by its decoded path, whatever its text is and however it is spelled. Where two
// paths match, the one with fewer parameters wins, then the one with more text, then the first by name.
func TestTheMockFindsEverySpelling(t *testing.T) {
	t.Parallel()
	text := "openapi: 3.0.3\ninfo: { title: t, version: '1' }\nservers: [{ url: 'https://x.example/größe' }]\npaths:\n"
	for _, path := range []string{
		"/größe/{id}", "/Products('1')", "/x:cancel", "/x/{id}:cancel", "/x/{id}", "/a b", "/a/{x}/comments", "/a/private/{id}", "/f/{name}.json", "/f/{name}", "/f/a.json", "/{b}/{c}", "/{d}/{e}", "/gr%C3%B6%C3%9Fe",
	} {
		text += fmt.Sprintf("  %q: { get: { responses: { '200': { description: d, content: { text/plain: { example: %q } } } } } }\n", path, path)
	}
	text += "components: { securitySchemes: { s: { type: oauth2, flows: { password: { tokenUrl: 'https://x.example/größe/t:o*k', scopes: {} } } } } }\n"
	file := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	document, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	if _, err = Register(e, Options{
		Document: document, PublicURL: "http://127.0.0.1", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(document.OpenAPI), "'/gr%C3%B6%C3%9Fe/t:o%2Ak'") {
		t.Errorf("the token endpoint in the document is another:\n%s", document.OpenAPI)
	}
	for target, body := range map[string]string{
		"gr%C3%B6%C3%9Fe/1": "/größe/{id}", "gr%c3%b6%c3%9fe/1": "/größe/{id}", "Products('1')": "/Products('1')", "Products%28%271%27%29": "/Products('1')", "x:cancel": "/x:cancel",
		"x%3acancel": "/x:cancel", "x/1:cancel": "/x/{id}:cancel", "x/1%3Acancel": "/x/{id}:cancel", "x/:cancel": "/x/{id}", "x/1": "/x/{id}", "a%20b": "/a b", "a/private/comments": "/a/{x}/comments",
		"a/private/1": "/a/private/{id}", "a/1/comments": "/a/{x}/comments", "f/a.json": "/f/a.json", "f/%61.json": "/f/a.json", "f/b.json": "/f/{name}.json", "f/b%2ejson": "/f/{name}.json",
		"f/.json": "/f/{name}", "f/b": "/f/{name}", "y/z": "/{b}/{c}", "gr%C3%B6%C3%9Fe": "/gr%C3%B6%C3%9Fe",
		"y%2fz": "", "y/..": "", "y/": "", "y//z": "", "x:": "",
	} {
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/gr%C3%B6%C3%9Fe/"+target, nil))
		if (recorder.Code == http.StatusOK) != (body != "") || body != "" && recorder.Body.String() != body {
			t.Errorf("%s: got %d %q, want %q", target, recorder.Code, recorder.Body, body)
		}
	}
	for target, status := range map[string]int{"/gr%C3%B6%C3%9Fe/t:o*k": 200, "/größe/t%3ao%2Ak": 200, "/größe/txoyk": 404, "/größe/t:o": 404, "/größe%2ft:o*k": 404} {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader("grant_type=password&username=a&password=b"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		recorder := httptest.NewRecorder()
		if e.ServeHTTP(recorder, r); recorder.Code != status {
			t.Errorf("POST %s: got %d %s, want %d", target, recorder.Code, recorder.Body, status)
		}
	}
}

// A document of others may have a path that no request can reach. The mock names it, and serves the rest.
func TestAnUnreachablePathStopsNoOther(t *testing.T) {
	t.Parallel()
	document, err := Read([]byte(`
openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /a//b: { get: { responses: { '200': { description: d } } } }
  /c: { get: { responses: { '200': { description: d } } } }`))
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	m, err := Register(e, Options{Document: document, PublicURL: "http://127.0.0.1", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if faults := fmt.Sprint(m.Faults()); !strings.Contains(faults, `/a//b: no request can reach the segment ""`) {
		t.Errorf("the faults are %s", faults)
	}
	for target, status := range map[string]int{"/c": 200, "/a//b": 404} {
		recorder := httptest.NewRecorder()
		if e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, target, nil)); recorder.Code != status {
			t.Errorf("%s: got %d, want %d", target, recorder.Code, status)
		}
	}
}
