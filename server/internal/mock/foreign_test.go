package mock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
)

// start loads a document and returns a function that sends a request to its mock.
func start(t *testing.T, file string) (*Mock, func(method, target, contentType, body string) *httptest.ResponseRecorder) {
	t.Helper()
	document, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	m, err := Register(e, Options{
		Document: document, PublicURL: "http://127.0.0.1", Audience: "x", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, func(method, target, contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, document.Base()+target, strings.NewReader(body))
		if contentType != "" {
			r.Header.Set(echo.HeaderContentType, contentType)
		}
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, r)
		return recorder
	}
}

func startText(t *testing.T, name, text string) (*Mock, func(method, target, contentType, body string) *httptest.ResponseRecorder) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, file)
}

// Each file shows kinds of documents that people publish. The mock answers every operation with what its own contract
// allows, and names what it cannot use.
func TestDocumentsOfOthersAreServed(t *testing.T) {
	t.Parallel()
	for file, faults := range map[string][]string{
		"unicode.json": nil,
		"merge.yaml":   nil,
		"media.yaml":   nil,
		"samples.yaml": {
			"an example at /at is not used: / breaks format",
		},
		"headers.yaml": {"no success is documented; the mock answers 200 without a body"},
		"newer.yaml": {
			"an example at /kind is not used: / breaks type", "keywords of OpenAPI 3.1 are not enforced: prefixItems",
		},
		"bundle/api.yaml": nil,
		"swagger.json": {
			"swagger.json is Swagger 2.0; it is read as OpenAPI 3.0", "swagger.json, line 37, #/definitions/Row/properties/pair/items: must be a mapping, but is a list; it is ignored",
		},
		"loose.yaml": {
			"line 6, #/paths/~1orders~1{id}/parameters/0/required: must be true or false, but is true",
			"line 7, #/paths/~1orders~1{id}/parameters/1: $ref #/components/parameters/Missing refers to nothing; correct it, or add what is missing",
			"/properties/id/required: must be a list, but is true",
			"/properties/total/type: must be array, boolean, integer, null, number, object or string, but is any",
			"/properties/total/minimum: must be a number, but is 0",
			"/properties/note: $ref #/components/schemas/Missing refers to nothing",
			"/properties/itself: $ref #/components/schemas/Itself leads back to itself",
			"/properties/rows/items: $ref #/components/responses/Rows refers to one of the responses, but one of the schemas belongs here",
			"line 25, #/paths/~1orders~1{id}/get/responses/404: $ref #/components/responses/Missing refers to nothing",
			"the pattern ^(?!0)\\d+$ is not a regular expression that Go supports",
			"the security scheme Undeclared is not declared",
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			m, call := start(t, filepath.Join("testdata/foreign", file))
			got := fmt.Sprint(m.Faults())
			for _, fault := range faults {
				if !strings.Contains(got, fault) {
					t.Errorf("no fault says %q:\n%s", fault, strings.ReplaceAll(got, ": ", ":\n\t"))
				}
			}
			if faults == nil && got != "[]" {
				t.Errorf("got the faults %s", got)
			}
			for _, op := range m.Contract.Operations() {
				if op.Document.Responses.Value("101") != nil || op.Method == http.MethodPost || op.Method == http.MethodPut || len(op.Scopes()) > 0 {
					continue // called below
				}
				answer := call(op.Method, strings.NewReplacer("{id}", "1").Replace(op.Path), "", "")
				if err := op.CheckResponse(answer.Code, answer.Header(), answer.Body.Bytes()); err != nil || answer.Code >= 300 {
					t.Errorf("%s: got %d %s, %v", op.ID, answer.Code, answer.Body, err)
				}
			}
		})
	}
}

// JSON is read as JSON: YAML has no surrogate pairs, forbids tabs, and gives << a meaning. Numbers keep their digits.
func TestJSONIsReadAsJSON(t *testing.T) {
	t.Parallel()
	m, call := start(t, "testdata/foreign/unicode.json")
	if m.Document.Title() != "Café 🎉 – Größe" {
		t.Errorf("the title is %q", m.Document.Title())
	}
	want := `{"gift":"🎉 für dich","id":9007199254740993,"large":123456789012345678901234567890,"merge":{"\u003c\u003c":"a key"}}`
	if got := strings.TrimSpace(call("GET", "/feiern", "", "").Body.String()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	again := filepath.Join(t.TempDir(), "again.yaml") // what the pages show is the same document
	if err := os.WriteFile(again, m.Document.OpenAPI, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, call = start(t, again); strings.TrimSpace(call("GET", "/feiern", "", "").Body.String()) != want {
		t.Errorf("the YAML for the pages is another document:\n%s", m.Document.OpenAPI)
	}
}

func TestMergeKeysCount(t *testing.T) {
	t.Parallel()
	m, call := start(t, "testdata/foreign/merge.yaml")
	op := m.Contract.Operations()[0]
	keys := slices.Sorted(maps.Keys(op.Document.Responses.Map()))
	schema := op.Document.Responses.Value("200").Value.Content["application/json"].Schema.Value
	if fmt.Sprint(keys) != "[200 400 404]" || *op.Document.Responses.Value("400").Value.Description != "wrong" || schema.Description != "The first mapping of a list wins" || len(schema.Required) != 1 {
		t.Errorf("got %v, %q, %v", keys, schema.Description, schema.Required)
	}
	if got := call("GET", "/things", "", "").Body.String(); got != `{"id":7}` {
		t.Errorf("got %s", got)
	}
}

// Media types have no case, and their parameters do not tell them apart (RFC 9110 §8.3.1). A range holds those in it.
func TestMediaTypesOfOthers(t *testing.T) {
	t.Parallel()
	_, call := start(t, "testdata/foreign/media.yaml")
	for target, types := range map[string][3]string{
		"/case":   {"application/json", "APPLICATION/json;charset=UTF-8", ""},
		"/suffix": {"application/json", "application/vnd.shop+json; v=2", "text/plain"},
		"/any":    {"application/json", "application/problem+json", ""},
	} {
		for _, contentType := range types[:2] {
			if answer := call("POST", target, contentType, `{"n":1}`); answer.Code != 200 || !contract.IsJSON(answer.Header().Get("Content-Type")) {
				t.Errorf("%s %s: got %d %s", target, contentType, answer.Code, answer.Body)
			}
			if answer := call("POST", target, contentType, `{"n":"1"}`); answer.Code != 422 {
				t.Errorf("%s %s: a body that does not fit got %d %s", target, contentType, answer.Code, answer.Body)
			}
		}
		if types[2] != "" {
			if answer := call("POST", target, types[2], `{"n":1}`); answer.Code != 415 {
				t.Errorf("%s %s: got %d %s, want 415", target, types[2], answer.Code, answer.Body)
			}
		}
	}
	for target, want := range map[string]string{
		"/application": "application/json 1", "/vendor": "application/vnd.shop.v2+JSON 1", "/image": "image/octet-stream string", "/nothing": "application/json {}",
	} {
		answer := call("GET", target, "", "")
		if got := answer.Header().Get("Content-Type") + " " + answer.Body.String(); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

func TestSamplesOfOthers(t *testing.T) {
	t.Parallel()
	_, call := start(t, "testdata/foreign/samples.yaml")
	for target, want := range map[string]string{
		"/parts":    `{"kind":"parcel","name":"Ann","state":"open"}`,
		"/parcel":   `{"shape":"box","width":1}`,
		"/overlap":  `1`,
		"/map":      `{"key1":1,"key2":1}`,
		"/set":      `["a","b","c"]`,
		"/numbers":  `{"above":12,"below":-4,"between":0.7,"most":1}`,
		"/examples": `{"at":"2026-01-02T03:04:05Z","id":"019ad827-9c2f-713a-a564-7e27e6b20354","n":1}`,
		"/text": `{"country":"AA","größe":"019ad827-9c2f-713a-a564-7e27e6b20354","long":"stringxxxxxxxxxxxxxx","short":"str",` +
			`"sid":"ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","slug":"a-111","year":"2111-01"}`,
	} {
		if got := call("GET", target, "", "").Body.String(); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
	if tree := call("GET", "/tree", "", "").Body.Bytes(); len(tree) > 10_000 || bytes.Contains(tree, []byte("null")) {
		t.Errorf("a recursive schema has a sample of %d bytes: %.200s", len(tree), tree)
	}
}

// No bounds of a document make a sample endless.
func TestSamplesAreBounded(t *testing.T) {
	t.Parallel()
	schema := `{ type: string, minLength: 4000000000 }`
	for range 5 {
		schema = `{ type: array, minItems: 4000000000, items: ` + schema + ` }`
	}
	m, call := startText(t, "api.yaml", "openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths: { /a: { get: { responses: { '200': { description: d, content: { application/json: { schema: "+schema+" } } } } } } }\n")
	if answer := call("GET", "/a", "", ""); answer.Code != 200 || answer.Body.Len() > 1_000_000 {
		t.Errorf("got %d, %d bytes", answer.Code, answer.Body.Len())
	}
	if got := fmt.Sprint(m.Faults()); !strings.Contains(got, "breaks minItems") && !strings.Contains(got, "needs a sample of more than") {
		t.Errorf("got the faults %s", got)
	}
}

func TestServersOfOthers(t *testing.T) {
	t.Parallel()
	for servers, base := range map[string]string{
		"": "", "[]": "", "[{ url: '' }]": "", "[{ url: / }]": "", "[{ url: /v1 }]": "/v1", "[{ url: /v1/ }]": "/v1", "[{ url: v1 }]": "/v1", "[{ url: ./v1 }]": "/v1", "[{ url: ../v1 }]": "/v1",
		"[{ url: //api.example.com/v1 }]": "/v1", "[{ url: 'https://api.example.com' }]": "", "[{ url: 'https://api.example.com/v1?a=b#c' }]": "/v1",
		"[{ url: 'https://{host}/{v}', variables: { host: { default: a.example }, v: { default: v2 } } }]": "/v2",
		"[{ url: 'https://{host}/v1' }]":                               "/v1",
		"[{ url: '{scheme}://a.example/v1' }]":                         "/v1",
		"[{ url: 'https://a.example/{tenant}/v1' }]":                   "/tenant/v1",
		"[{ url: '{base}/v1', variables: { base: { default: '' } } }]": "/v1",
	} {
		text := "openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths: { /a: { get: { responses: { '204': { description: d } } } } }\n"
		if servers != "" {
			text += "servers: " + servers + "\n"
		}
		m, call := startText(t, "api.yaml", text)
		if m.Document.Base() != base || call("GET", "/a", "", "").Code != 204 {
			t.Errorf("%s: got the base %q, want %q", servers, m.Document.Base(), base)
		}
		if noted := strings.Contains(fmt.Sprint(m.Faults()), "must have a default, and these have none: tenant"); noted != strings.Contains(servers, "tenant") {
			t.Errorf("%s: got %v", servers, m.Faults())
		}
	}
}

// A Swagger 2.0 document is converted, and enforced like any other.
func TestSwaggerIsConverted(t *testing.T) {
	t.Parallel()
	m, call := start(t, "testdata/foreign/swagger.json")
	if m.Document.Base() != "/v1" || fmt.Sprint(m.TokenPaths()) != "[/v1/token]" {
		t.Errorf("got the base %q and the token paths %v", m.Document.Base(), m.TokenPaths())
	}
	for request, status := range map[[3]string]int{
		{"PUT", "/carts/1", `{"rows":[{"name":"Tea"}]}`}: 204, {"PUT", "/carts/1", `{"rows":1}`}: 422, {"PUT", "/carts/x", `{"rows":[]}`}: 422, {"GET", "/carts/1", ""}: 401,
	} {
		if answer := call(request[0], request[1], "application/json", request[2]); answer.Code != status {
			t.Errorf("%v: got %d %s, want %d", request, answer.Code, answer.Body, status)
		}
	}
	if answer := call("POST", "/images", "multipart/form-data; boundary=b", "--b--"); answer.Code != 201 || answer.Body.String() != `{"size":1}` {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	login := call("POST", "/token", "application/x-www-form-urlencoded", "grant_type=password&username=a&password=b")
	if err := json.Unmarshal(login.Body.Bytes(), &token); err != nil || token.AccessToken == "" {
		t.Errorf("got %d %s", login.Code, login.Body)
	}
}

// Parts of other files become components. Other parts, such as a description, are written in their place.
func TestSeveralFilesBecomeOneDocument(t *testing.T) {
	t.Parallel()
	m, call := start(t, "testdata/foreign/bundle/api.yaml")
	if got := call("GET", "/plants", "", "").Body.String(); got != `[{"height":1,"kind":"wood"}]` {
		t.Errorf("got %s", got)
	}
	text := string(m.Document.OpenAPI)
	for _, part := range []string{"description: Everything that grows.", "'#/components/schemas/Plant2'", "wood: '#/components/schemas/tree'", "$ref: '#/components/responses/missing'", "$ref: '#/components/schemas/Plant'"} {
		if !strings.Contains(text, part) {
			t.Errorf("the document for the pages has no %s:\n%s", part, text)
		}
	}
	if strings.Contains(text, ".yaml") || strings.Contains(text, ".json") {
		t.Errorf("the document for the pages refers to files:\n%s", text)
	}
}

// A preflight is the browser's; other OPTIONS requests belong to the document.
func TestOptionsOfOthers(t *testing.T) {
	t.Parallel()
	m, call := start(t, "testdata/foreign/headers.yaml")
	if answer := call("OPTIONS", "/rules", "", ""); answer.Code != 200 || answer.Body.String() != `["string"]` {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
	header := call("GET", "/limits", "", "").Header()
	if header.Get("X-Rate-Limit") != "2000000" || header.Get("X-Cached") != "true" || header.Get("X-Tags") != "new" {
		t.Errorf("got %v", header)
	}
	_ = m
}

// A token endpoint that the document describes with JSON takes JSON.
func TestTokenEndpointsOfOthersTakeJSON(t *testing.T) {
	t.Parallel()
	const text = `
openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /login:
    post:
      security: []
      requestBody: { content: { %s: { schema: { type: object } } } }
      responses: { '200': { description: d, content: { application/json: { schema: { type: object } } } } }
components: { securitySchemes: { s: { type: oauth2, flows: { password: { tokenUrl: /login, scopes: {} } } } } }
`
	for declared, status := range map[string]int{"application/json": 200, "application/x-www-form-urlencoded": 415} {
		_, call := startText(t, "api.yaml", fmt.Sprintf(text, declared))
		if answer := call("POST", "/login", "application/json", `{"grant_type":"password"}`); answer.Code != status {
			t.Errorf("%s: got %d %s, want %d", declared, answer.Code, answer.Body, status)
		}
	}
}

// Errors of a document in application/json are not OAuth's by that alone.
func TestErrorsOfOthersAreTheirOwn(t *testing.T) {
	t.Parallel()
	_, call := startText(t, "api.yaml", `
openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /a:
    get:
      security: [{ s: [] }]
      responses:
        '200': { description: d }
        '400': { description: d, content: { application/json: { schema: { type: object, properties: { message: { type: string } } }, example: { message: wrong } } } }
        '401': { description: d, content: { application/json: { schema: { type: object, required: [message], properties: { message: { type: string } } }, example: { message: log in } } } }
components: { securitySchemes: { s: { type: oauth2, flows: { password: { tokenUrl: /t, scopes: {} } } } } }
`)
	if answer := call("GET", "/a", "", ""); answer.Code != 401 || answer.Body.String() != `{"message":"log in"}` {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
}
