package openapi_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/docs"
	"sesame/server/internal/contract"
	"sesame/server/internal/mock"
	"sesame/server/internal/openapi"
)

func document(text string) openapi.Document {
	return openapi.Document{Name: "openapi.yaml", Text: []byte(text)}
}

var login = openapi.Document{Name: "Sesame's openapi.yaml", Text: sesame.OpenAPI}

// notes is the document of a small service, merged with Sesame's.
func notes(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/notes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	merged, err := openapi.Merge(document(string(text)), login)
	if err != nil {
		t.Fatal(err)
	}
	return merged
}

// get returns the body of a page, which must be served.
func get(t *testing.T, e *echo.Echo, path string) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, recorder.Code, recorder.Body)
	}
	return recorder.Body.String()
}

// The contract compiles: scopes of both, and the default for security of each for its own operations.
func TestAMergedDocumentIsEnforced(t *testing.T) {
	nobody := func(context.Context, *http.Request) (contract.Caller, error) { return nil, nil }
	merged := notes(t)
	c, err := contract.CompileShared(merged, map[string]contract.Scheme{"OAuth2Password": nobody, "ClientBasic": nobody}, func(_, route string) bool {
		return !strings.HasPrefix(route, "/notes")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Enforce(); err != nil {
		t.Error(err)
	}
	scopes := c.Scopes()
	if !slices.Contains(scopes.Declared, "notes:write") || !slices.Contains(scopes.Declared, "me:read") ||
		scopes.Default[0] != "notes:read" || len(scopes.Default) < 2 || slices.Contains(scopes.PeopleOnly, "notes:read") {
		t.Errorf("the scopes are %+v", scopes)
	}
	for id, want := range map[string]string{"listNotes": "notes:read", "getNote": "notes:read", "createNote": "notes:write"} {
		if got := c.Operation(id).Scopes(); !slices.Equal(got, []string{want}) {
			t.Errorf("%s needs %v", id, got)
		}
	}
	own, err := contract.Compile(sesame.OpenAPI, map[string]contract.Scheme{"OAuth2Password": nobody, "ClientBasic": nobody})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range own.Operations() {
		if got := c.Operation(op.ID); !slices.Equal(got.Scopes(), op.Scopes()) || got.Public() != op.Public() || got.Anonymous() != op.Anonymous() {
			t.Errorf("%s needs %v, and %v when it is merged", op.ID, op.Scopes(), got.Scopes())
		}
	}
}

// The document, both pages and the collection hold the operations of both, with one login.
func TestAMergedDocumentIsShown(t *testing.T) {
	e, merged := echo.New(), notes(t)
	for _, register := range []func(*echo.Echo, []byte, string) error{docs.Register, docs.RegisterCollection} {
		if err := register(e, merged, "https://notes.example.com/v1"); err != nil {
			t.Fatal(err)
		}
	}
	for path, parts := range map[string][]string{
		"/openapi.yaml": {
			"# A small service beside Sesame", "# the newest first", "# unless an operation says otherwise", "url: https://notes.example.com/v1\n",
			"tokenUrl: https://notes.example.com/v1/token\n", "[the page](https://notes.example.com/v1/docs/)", "operationId: createNote", "operationId: createToken",
		},
		"/docs/openapi.yaml": {"tokenUrl: /v1/token\n", "operationId: createNote"},
		"/openapi.json":      {`"listNotes"`, `"getMe"`},
		"/docs/":             {"swagger-ui"}, "/redoc": {"redoc"},
	} {
		text := get(t, e, path)
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s does not hold %q", path, part)
			}
		}
		if n := strings.Count(text, "type: oauth2"); strings.HasSuffix(path, ".yaml") && n != 1 {
			t.Errorf("%s has %d schemes with which one logs in", path, n)
		}
	}
	var collection struct {
		Auth     struct{ Bearer []struct{ Value string } }
		Event    []struct{ Listen string }
		Variable []struct{ Key, Value string }
		Item     []struct {
			Name string
			Item []struct {
				Request struct {
					Auth *struct{ Type string }
					URL  struct{ Raw string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(get(t, e, "/docs/postman.json")), &collection); err != nil {
		t.Fatal(err)
	}
	if collection.Item[0].Name != "Notes" || len(collection.Item[0].Item) != 3 || len(collection.Item) < 5 {
		t.Fatalf("the folders are %+v", collection.Item)
	}
	for _, item := range collection.Item[0].Item {
		if !strings.HasPrefix(item.Request.URL.Raw, "{{baseUrl}}/notes") || item.Request.Auth != nil {
			t.Errorf("a request for %s has authorization of its own: %v", item.Request.URL.Raw, item.Request.Auth)
		}
	}
	// All requests share the token that the script before each request gets.
	if collection.Auth.Bearer[0].Value != "{{accessToken}}" || collection.Event[0].Listen != "prerequest" || !strings.Contains(collection.Variable[1].Value, "notes:write") {
		t.Errorf("it logs in with %+v, %+v and %+v", collection.Auth, collection.Event, collection.Variable)
	}
}

// The mock answers for the operations of the service, with tokens for its scopes.
func TestAMergedDocumentIsMocked(t *testing.T) {
	read, err := mock.Read(notes(t))
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	m, err := mock.Register(e, mock.Options{
		Document: read, PublicURL: "http://127.0.0.1", Audience: "notes", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if faults := m.Faults(); len(faults) > 0 {
		t.Errorf("examples break their schemas: %v", faults)
	}
	do := func(method, path, token, mediaType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", mediaType)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, r)
		return recorder
	}
	token := func(scope string) string {
		form := url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {"any"}, "scope": {scope}}
		answer := do("POST", "/token", "", "application/x-www-form-urlencoded", form.Encode())
		var tokens struct {
			AccessToken string `json:"access_token"`
		}
		if text, _ := io.ReadAll(answer.Body); answer.Code != http.StatusOK || json.Unmarshal(text, &tokens) != nil {
			t.Fatalf("POST /token: %d %s", answer.Code, text)
		}
		return tokens.AccessToken
	}
	reader, writer := token(""), token("notes:write")
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		answer                    string
	}{
		{"GET", "/notes", "", "", 401, ""},
		{"GET", "/notes", reader, "", 200, `[{"text":"Buy bread."}]`},
		{"GET", "/notes?limit=0", reader, "", 422, ""},
		{"GET", "/notes", writer, "", 403, "notes:read"},
		{"POST", "/notes", reader, `{"text":"a"}`, 403, "notes:write"},
		{"POST", "/notes", writer, `{"text":"a"}`, 201, `{"text":"Buy bread."}`},
		{"POST", "/notes", writer, `{"text":""}`, 422, ""},
		{"GET", "/notes/x", reader, "", 422, ""},
		{"GET", "/users/me", reader, "", 200, "ann"},
	} {
		if got := do(c.method, c.path, c.token, "application/json", c.body); got.Code != c.status || !strings.Contains(got.Body.String(), c.answer) {
			t.Errorf("%s %s %s: got %d %s", c.method, c.path, c.body, got.Code, got.Body)
		}
	}
}
