package apitest

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// library is a document of somebody else: another base path and token endpoint, other security
// schemes, errors of its own, a default answer, few examples, and a file that it refers to.
const library = `
openapi: 3.0.1
info: { title: Library, version: '2' }
servers: [{ url: 'https://api.example.com/{version}', variables: { version: { default: v2 } } }]
security: [{ login: ['books:read'] }]
paths:
  /books:
    servers: [{ url: https://elsewhere.example.com }]
    get:
      parameters: [{ name: limit, in: query, schema: { type: integer, maximum: 50 } }]
      responses:
        '200':
          description: Books.
          headers: { X-Total: { schema: { type: integer, minimum: 3 } } }
          content:
            application/xml: { schema: { type: string } }
            application/json: { schema: { type: array, items: { $ref: 'book.yaml' } } }
        '4XX':
          description: No.
          content: { application/json: { schema: { $ref: '#/components/schemas/Fault' }, example: { fault: refused } } }
    post:
      security: [{ login: ['books:write'] }, { key: [] }]
      requestBody:
        content:
          application/json: { schema: { $ref: 'book.yaml' } }
          text/csv: {}
          image/*: { schema: { type: string, format: binary } }
      responses: { '201': { description: Made. }, default: { description: No., content: { text/plain: { example: 'no luck' } } } }
  /books/{isbn}.json:
    parameters: [{ name: isbn, in: path, required: true, schema: { type: string, minLength: 99 } }]
    get:
      security: []
      parameters: [{ name: isbn, in: path, required: true, schema: { type: string, format: isbn, minLength: 3 } }]
      responses: { default: { description: A book., content: { application/json: { schema: { $ref: 'book.yaml' } } } } }
  /books/new.json:
    get: { security: [{}], responses: { '204': { description: Nothing new. } } }
  /cover:
    get: { security: [{ browser: [] }], responses: { '200': { description: A picture., content: { image/svg+xml: { example: '<svg/>' } } } } }
  /staff:
    get: { security: [{ staff: [] }, { portal: [] }], responses: { '200': { description: Staff. } } }
components:
  schemas:
    Fault: { type: object, additionalProperties: false, required: [fault], properties: { fault: { type: string } } }
  securitySchemes:
    login: { type: oauth2, flows: { clientCredentials: { tokenUrl: 'https://sso.example.com/oauth/token', scopes: { 'books:read': r, 'books:write': w } } } }
    key: { type: apiKey, in: header, name: X-Key }
    browser: { type: apiKey, in: cookie, name: sid }
    staff: { type: http, scheme: basic }
    portal: { type: http, scheme: bearer }
`

const book = `
type: object
required: [isbn, title]
properties:
  isbn: { type: string, minLength: 10, maxLength: 13 }
  title: { type: string, example: Sesame and Lilies }
  year: { type: integer, minimum: 1400, nullable: true }
  parts: { type: array, items: { $ref: 'book.yaml' } }
  secret: { type: string, writeOnly: true }
`

func startLibrary(t *testing.T) *server {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{"library.yaml": library, "book.yaml": book} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return startMock(t, "--spec", filepath.Join(folder, "library.yaml"))
}

func (s *server) libraryToken(t *testing.T, scope string) string {
	t.Helper()
	a, err := s.try(request{method: "POST", path: "/oauth/token", form: url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"x"}, "client_secret": {"y"}, "scope": {scope},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var token struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	if a.status != 200 || json.Unmarshal(a.body, &token) != nil || token.AccessToken == "" || token.RefreshToken != "" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	return token.AccessToken
}

func TestTheMockStandsInForAnyOther(t *testing.T) {
	t.Parallel()
	s := startLibrary(t)
	reader, writer := s.libraryToken(t, "books:read"), s.libraryToken(t, "books:write")
	sample := `{"isbn":"stringxxxx","parts":[`
	for _, c := range []struct {
		name    string
		request request
		status  int
		body    string // that it begins with
	}{
		{"a sample", request{method: "GET", path: "/v2/books", token: reader}, 200, "[{"},
		{"without the base path", request{method: "GET", path: "/books", token: reader}, 404, `{"code":"not_found"`},
		{"no token, in its own words", request{method: "GET", path: "/v2/books"}, 401, `{"fault":"refused"}`},
		{"too little scope", request{method: "GET", path: "/v2/books", token: writer}, 403, `{"fault":"refused"}`},
		{"a bad parameter", request{method: "GET", path: "/v2/books?limit=51", token: reader}, 422, `{"fault":"refused"}`},
		{"another method", request{method: "PUT", path: "/v2/books"}, 405, `{"code":"method_not_allowed"`},
		{"nothing documented to send", request{method: "POST", path: "/v2/books", token: writer}, 201, ""},
		{"an open object", request{method: "POST", path: "/v2/books", token: writer, json: map[string]any{"isbn": "0140449337", "title": "x", "more": 1}}, 201, ""},
		{"a bad body", request{method: "POST", path: "/v2/books", token: writer, json: map[string]any{"isbn": "1"}}, 422, "no luck"},
		{"a body that is not looked into", request{method: "POST", path: "/v2/books", token: writer, raw: strings.NewReader("a,b"), header: map[string]string{"Content-Type": "text/csv"}}, 201, ""},
		{"a range of media types", request{method: "POST", path: "/v2/books", token: writer, raw: strings.NewReader("x"), header: map[string]string{"Content-Type": "image/png"}}, 201, ""},
		{"no such media type", request{method: "POST", path: "/v2/books", token: writer, raw: strings.NewReader("x"), header: map[string]string{"Content-Type": "text/plain"}}, 415, "no luck"},
		{"a key instead", request{method: "POST", path: "/v2/books", header: map[string]string{"X-Key": "k"}}, 201, ""},
		{"neither", request{method: "POST", path: "/v2/books"}, 401, "no luck"},
		{"text beside a parameter", request{method: "GET", path: "/v2/books/014.json"}, 200, sample},
		{"its parameter is bad", request{method: "GET", path: "/v2/books/1.json"}, 422, sample}, // the default answer is all there is
		{"the fixed path first", request{method: "GET", path: "/v2/books/new.json"}, 204, ""},
		{"not JSON", request{method: "GET", path: "/v2/cover", header: map[string]string{"Cookie": "sid=1"}}, 200, "<svg/>"},
		{"no cookie, nothing documented", request{method: "GET", path: "/v2/cover"}, 401, `{"code":"unauthenticated"`},
		{"any password", request{method: "GET", path: "/v2/staff", header: map[string]string{"Authorization": "Basic eDp5"}}, 200, ""},
		{"any bearer token", request{method: "GET", path: "/v2/staff", token: "anything"}, 200, ""},
		{"preferred", request{method: "GET", path: "/v2/books", header: map[string]string{"Prefer": "code=418"}}, 418, `{"fault":"refused"}`},
	} {
		a, err := s.try(c.request)
		if err != nil || a.status != c.status || !strings.HasPrefix(string(a.body), c.body) || c.body == "" && len(a.body) > 0 {
			t.Errorf("%s: got %d %s, want %d %s (%v)", c.name, a.status, a.body, c.status, c.body, err)
		}
	}
}

// The documents that it serves lead to the mock, and hold all that the file referred to.
func TestTheMockServesTheDocumentOfAnother(t *testing.T) {
	t.Parallel()
	s := startLibrary(t)
	served := decode[map[string]any](s.do(t, request{method: "GET", path: "/openapi.json"}).want(200))
	text, err := json.Marshal(served)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "example.com") || strings.Contains(string(text), "book.yaml") {
		t.Errorf("it leads elsewhere: %s", text)
	}
	if servers := served["servers"].([]any); servers[0].(map[string]any)["url"] != s.url+"/v2" {
		t.Errorf("the servers are %v", servers)
	}
	flows := served["components"].(map[string]any)["securitySchemes"].(map[string]any)["login"].(map[string]any)["flows"]
	if flow := flows.(map[string]any)["clientCredentials"].(map[string]any); flow["tokenUrl"] != s.url+"/oauth/token" {
		t.Errorf("the token endpoint is %v", flow["tokenUrl"])
	}
	s.do(t, request{method: "GET", path: "/docs/"}).want(200)
}

// A document is served in the order and with the comments in which it is written.
func TestTheMockKeepsTheLookOfADocument(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "api.json")
	text := `{"openapi":"3.1.0","info":{"title":"T","version":"1"},"paths":{"/z":{"get":{"responses":{"200":{"description":"z","content":{"application/json":{"schema":{"type":["string","null"]}}}}}}},"/a":{"get":{"responses":{"200":{"description":"a"}}}}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startMock(t, "--spec", file)
	served := string(s.do(t, request{method: "GET", path: "/openapi.json"}).want(200).body)
	if z, a := strings.Index(served, `"/z"`), strings.Index(served, `"/a"`); z < 0 || a < z {
		t.Errorf("the paths are in another order: %s", served)
	}
	if a, err := s.try(request{method: "GET", path: "/z"}); err != nil || string(a.body) != `"string"` {
		t.Errorf("OpenAPI 3.1: got %s (%v)", a.body, err)
	}
	// There is no token endpoint in the document, but there is one.
	if a, err := s.try(passwordGrant("x", "y")); err != nil || a.status != 200 {
		t.Errorf("the token endpoint: got %d (%v)", a.status, err)
	}
}

// N18: scripts of other origins may call operations. They may not read the document, which may be private.
func TestOtherOriginsMayCallOperationsAlone(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*server{"another's": startLibrary(t), "our own": startMock(t)} {
		for path, allowed := range map[string]string{
			"/v2/books": "*", "/users/me": "*", "/token": "*", "/oauth/token": "*", "/.well-known/jwks.json": "*", "/.well-known/oauth-authorization-server": "*",
			"/openapi.yaml": "", "/openapi.json": "", "/docs/": "", "/docs/openapi.yaml": "", "/docs/postman.json": "", "/redoc": "", "/": "", "/nowhere": "",
		} {
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT"} {
				a, err := s.try(request{method: method, path: path, header: map[string]string{"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}})
				if err != nil {
					t.Fatal(err)
				}
				got := a.header.Get("Access-Control-Allow-Origin")
				if a.status == 404 && got == "" { // it belongs to the other document
					continue
				}
				if got != allowed {
					t.Errorf("%s: %s %s allows the origin %q, want %q", name, method, path, got, allowed)
				}
			}
		}
	}
}

func TestTheMockSaysWhatIsWrongWithADocument(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, stderr string }{
		"not YAML":         {"]", "bad.yaml"},
		"Swagger 1":        {"swagger: '1.2'\ninfo: {}\npaths: {}", `bad.yaml, line 1, #/swagger: the document is Swagger "1.2"; convert it`},
		"OpenAPI 4":        {"openapi: 4.0.0\ninfo: {}\npaths: {}", `bad.yaml, line 1, #/openapi: the document is OpenAPI "4.0.0"; this program reads`},
		"a $ref outside":   {strings.Replace(library, "book.yaml", "../nowhere.yaml", 1), "$ref ../nowhere.yaml: "},
		"a $ref elsewhere": {strings.Replace(library, "book.yaml", "http://127.0.0.1:9/x.yaml", 1), "only files in the folder of the document are read"},
		"a dangling $ref":  {strings.Replace(library, "book.yaml", "nowhere.yaml", 1), "nowhere.yaml"},
		"nothing at all":   {"", "bad.yaml is not an OpenAPI document: it is empty"},
	} {
		file := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := command(t, "", map[string]string{"SESAME_LISTEN": "127.0.0.1:0"}, "mock", "--spec", file)
		if code != 1 || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: code %d\n%s", name, code, stderr)
		}
	}
	_, stderr, code := command(t, "", nil, "mock", "--spec", "/nowhere.yaml")
	if code != 2 || !strings.Contains(stderr, "/nowhere.yaml") {
		t.Errorf("a file that is not there: code %d\n%s", code, stderr)
	}
}
