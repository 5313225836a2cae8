package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/server/guard"
)

// A colon is text in a path of the document, and begins a parameter in a path of Echo unless it is escaped.
func TestAColonInAPathIsText(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, func(o *guard.Options) {
		replace("  /about:\n", "  /notes:purge:\n    post:\n      security: [{ Login: ['notes:write'] }]\n      responses: { '200': { description: ok } }\n"+
			"  /notes:z:\n    post:\n      security: []\n      responses: { '200': { description: ok } }\n  /about:\n")(o)
	})
	reader, writer := i.token(t, "first", nil, nil), i.token(t, "first", nil, object{"scope": "notes:write"})
	serve := func(c echo.Context) error { whoCalls(c.Response(), c.Request()); return nil }
	escaped, careless := echo.New(), echo.New()
	escaped.Use(g.Echo())
	escaped.POST(`/v1/notes\:purge`, serve)
	careless.Use(g.Echo())
	careless.POST("/v1/notes:purge", serve)
	want(t, call(g.Handler(http.HandlerFunc(whoCalls)), "POST /v1/notes:purge", reader, ""), 403, "insufficient_scope", lacks("notes:write"))
	want(t, call(escaped, "POST /v1/notes:purge", reader, ""), 403, "insufficient_scope", lacks("notes:write"))
	want(t, call(escaped, "POST /v1/notes:purge", writer, ""), 200, "", "")
	want(t, call(careless, "POST /v1/notes:purge", "", ""), 404, "not_found", "")
}

// RFC 6750 §3: the challenge names every scope that the operation requires. A client that requested only the missing one
// would get a token without the others.
func TestAChallengeNamesAllScopes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := served(t, i, replace("Login: ['notes:write']", "Login: ['notes:read', 'notes:write']"))
	for lacking, has := range map[string]string{"notes:write": "notes:read", "notes:read": "notes:write"} {
		challenge := strings.Replace(lacks(lacking), `scope="`+lacking, `scope="notes:read notes:write`, 1)
		want(t, call(h, "POST /v1/notes", i.token(t, "first", nil, object{"scope": has}), "{}"), 403, "insufficient_scope", challenge)
	}
}

// With ValidateRequests, requests are compared with the document, after the caller has been authorized.
func TestRequestsAreValidated(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := served(t, i, func(o *guard.Options) { o.ValidateRequests = true })
	token := i.token(t, "first", nil, object{"scope": "notes:read notes:write"})
	want(t, call(h, "POST /v1/notes", token, `{"text":"short"}`), 200, "", "")
	want(t, call(h, "POST /v1/notes", token, `{"text":"too long"}`), 422, "validation_failed", "")
	want(t, call(h, "POST /v1/notes", token, `{"text":"a","text":"b"}`), 400, "bad_request", "")
	want(t, call(h, "POST /v1/notes", "", `{"text":"too long"}`), 401, "unauthenticated", missing)
	want(t, call(h, "GET /v1/notes/1", token, ""), 422, "validation_failed", "")
	want(t, call(h, "GET /v1/notes/019ad827-9c2f-713a-a564-7e27e6b20354", token, ""), 200, "", "")
	r := httptest.NewRequest("POST", "/v1/notes", strings.NewReader("text=a"))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	want(t, w, 415, "unsupported_media_type", "")
}

// The service receives a validated body unchanged, as a form or as bytes.
func TestAFormReachesTheService(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, func(o *guard.Options) {
		o.ValidateRequests = true
		replace("application/json", "application/x-www-form-urlencoded")(o)
		o.OpenAPI = bytes.Replace(o.OpenAPI, []byte("operationId: createNote"), []byte(
			"operationId: createNote\n      parameters: [{ name: draft, in: query, schema: { type: boolean } }]"), 1)
	})
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.PostFormValue("text"), " ", string(body), " ", r.URL.Query().Get("draft"), " ", err)
	}))
	post := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader("text=a"))
		r.Header.Set("Authorization", "Bearer "+i.token(t, "first", nil, object{"scope": "notes:write"}))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := post("/v1/notes?draft=true"); w.Code != 200 || w.Body.String() != "a text=a true <nil>" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	want(t, post("/v1/notes?draft=maybe"), 422, "validation_failed", "")
	want(t, post("/v1/notes?text=b"), 400, "bad_request", "")

	// A boundary makes no multipart form of it: the service, which ignores the boundary, would read another text.
	r := httptest.NewRequest("POST", "/v1/notes", strings.NewReader(
		"text=too+long&x=\r\n--b\r\nContent-Disposition: form-data; name=text\r\n\r\nshort\r\n--b--"))
	r.Header.Set("Authorization", "Bearer "+i.token(t, "first", nil, object{"scope": "notes:write"}))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; boundary=b")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	want(t, w, 400, "bad_request", "")

	// A form has texts alone: how it writes a number or a list is not looked into.
	h = served(t, i, func(o *guard.Options) {
		o.ValidateRequests = true
		replace("application/json", "application/x-www-form-urlencoded")(o)
		o.OpenAPI = bytes.Replace(o.OpenAPI, []byte("type: string, maxLength: 5"), []byte("type: array, items: { type: integer }"), 1)
	})
	want(t, post("/v1/notes"), 200, "", "")
}

type machine struct{ name string }

func (machine) HasScope(string) bool { return true }

// Where the document requires a token and a key, CallerFrom returns the owner of the token, whatever the names of the
// schemes are, and OwnerFrom that of the key.
func TestATokenAndAKeyTogether(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, name := range []string{"Alpha", "Zeta"} { // before and after Login
		h := served(t, i, func(o *guard.Options) {
			replace("Login: ['notes:write']", "Login: ['notes:write'], "+name+": []")(o)
			o.OpenAPI = append(o.OpenAPI, "    "+name+": { type: apiKey, in: header, name: X-Key }\n"...)
			o.Schemes = map[string]guard.Scheme{name: func(_ context.Context, r *http.Request) (guard.Owner, error) {
				if r.Header.Get("X-Key") == "" {
					return nil, nil
				}
				return machine{}, nil
			}}
		})
		writer := i.token(t, "first", nil, object{"scope": "notes:write"})
		want(t, call(h, "POST /v1/notes", writer, "{}"), 401, "unauthenticated", missing)
		r := httptest.NewRequest("POST", "/v1/notes", nil)
		r.Header.Set("X-Key", "k")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		want(t, w, 401, "unauthenticated", missing)
		r.Header.Set("Authorization", "Bearer "+writer)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || w.Body.String() != "ann first-party [notes:write] 1" {
			t.Errorf("with %s: %d %s", name, w.Code, w.Body)
		}
	}
}

// A scheme of the service's own refuses with ErrInvalidCredentials; any other error of it is a fault.
func TestASchemeOfTheServiceRefuses(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, func(o *guard.Options) {
		replace("Login: ['notes:write']", "Key: []")(o)
		o.OpenAPI = append(o.OpenAPI, "    Key: { type: apiKey, in: header, name: X-Key }\n"...)
		o.Schemes = map[string]guard.Scheme{"Key": func(_ context.Context, r *http.Request) (guard.Owner, error) {
			switch r.Header.Get("X-Key") {
			case "":
				return nil, nil
			case "good":
				return machine{"robot"}, nil
			case "bad":
				return nil, fmt.Errorf("%w: revoked", guard.ErrInvalidCredentials)
			}
			return nil, errors.New("the database is down")
		}}
	})
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if owner := guard.OwnerFrom[machine](r.Context()); owner.name != "robot" || guard.CallerFrom(r.Context()) != nil {
			t.Errorf("the owner is %v", owner)
		}
	}))
	for key, status := range map[string]int{"": 401, "good": 200, "bad": 401, "other": 500} {
		r := httptest.NewRequest("POST", "/v1/notes", nil)
		r.Header.Set("X-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status || strings.Contains(w.Body.String(), "revoked") || strings.Contains(w.Body.String(), "database") {
			t.Errorf("the key %q: %d %s", key, w.Code, w.Body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (status == 401) {
			t.Errorf("the key %q: the challenge is %q", key, challenge)
		}
	}
}

// N12: caches do not store answers to a caller unless the service allows it. The guard does not change public answers.
func TestGuardedResponsesAreNotStored(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	g := newGuard(t, i, nil)
	reader := i.token(t, "first", nil, nil)
	own := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=60")
		whoCalls(w, r)
	}
	handlers := map[string][2]http.Handler{"net/http": {g.Handler(http.HandlerFunc(whoCalls)), g.Handler(http.HandlerFunc(own))}}
	var withEcho [2]http.Handler
	for n, handler := range []http.HandlerFunc{whoCalls, own} {
		e := echo.New()
		e.Use(g.Echo())
		for _, path := range []string{"/v1/notes", "/v1/about"} {
			e.GET(path, echo.WrapHandler(handler))
		}
		withEcho[n] = e
	}
	handlers["echo"] = withEcho
	for name, pair := range handlers {
		plain, deciding := pair[0], pair[1]
		for _, c := range []struct {
			what, token string
			h           http.Handler
			want        []string
		}{
			{"GET /v1/notes", reader, plain, []string{"no-store"}},
			{"GET /v1/notes", reader, deciding, []string{"private, max-age=60"}},
			{"GET /v1/notes", "", deciding, []string{"no-store"}}, // the guard's refusal
			{"GET /v1/about", "", plain, nil},
			{"GET /v1/about", "", deciding, []string{"private, max-age=60"}},
		} {
			if got := call(c.h, c.what, c.token, "").Header().Values("Cache-Control"); !slices.Equal(got, c.want) {
				t.Errorf("%s: %s with the token %q: Cache-Control is %q, want %q", name, c.what, c.token, got, c.want)
			}
		}
	}
}

// A document may have its media types in any case, with parameters or as ranges. The guard validates what they hold.
func TestMediaTypesOfADocument(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	token := i.token(t, "first", nil, object{"scope": "notes:read notes:write"})
	for _, declared := range []string{"'Application/JSON; charset=utf-8'", "application/*+json", "application/*", "'*/*'"} {
		h := served(t, i, func(o *guard.Options) {
			replace("application/json:", declared+":")(o)
			o.ValidateRequests = true
		})
		want(t, call(h, "POST /v1/notes", token, `{"text":"short"}`), 200, "", "")
		want(t, call(h, "POST /v1/notes", token, `{"text":"too long"}`), 422, "validation_failed", "")
	}
}

// A Swagger 2.0 document protects its operations as well, and a pattern that Go cannot check does not refuse everything.
func TestOlderDocumentsAreEnforced(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	var log bytes.Buffer
	h := served(t, i, func(o *guard.Options) {
		o.ValidateRequests, o.Log = true, slog.New(slog.NewTextHandler(&log, nil))
		o.OpenAPI = []byte(`{
	"swagger": "2.0", "info": {"title": "Caf\u00e9 \ud83c\udf89", "version": "1"}, "basePath": "/v1",
	"securityDefinitions": {"Login": {"type": "oauth2", "flow": "password", "tokenUrl": "/token", "scopes": {"notes:read": "Read", "notes:write": "Write"}}},
	"paths": {"/notes": {"post": {"security": [{"Login": ["notes:write"]}], "consumes": ["application/json"], "parameters": [
		{"name": "note", "in": "body", "required": true, "schema": {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(?!x)", "maxLength": 5}}}}
	], "responses": {"200": {"description": "Stored"}}}, "delete": {"security": [{"Login": ["notes:write"]}], "x-requires-acr": "2",
		"responses": {"204": {"description": "Deleted"}, "401": {"description": "Sign in"}}}}}
}`)
	})
	reader, writer := i.token(t, "first", nil, nil), i.token(t, "first", nil, object{"scope": "notes:write"})
	want(t, call(h, "POST /v1/notes", writer, `{"text":"short"}`), 200, "", "")
	want(t, call(h, "POST /v1/notes", writer, `{"text":"too long"}`), 422, "validation_failed", "")
	want(t, call(h, "POST /v1/notes", reader, `{"text":"short"}`), 403, "insufficient_scope", lacks("notes:write"))
	want(t, call(h, "DELETE /v1/notes", writer, ""), 401, "insufficient_user_authentication", stepUp("signed in with a second factor", `, acr_values="2"`))
	if !strings.Contains(log.String(), "the pattern ^(?!x) is not a regular expression that Go supports") {
		t.Errorf("the log does not name the pattern:\n%s", &log)
	}
}

// Faults name the line and a JSON Pointer. The guard ignores none of them: a part that is left out might protect something.
func TestTheGuardTakesNoFaultyDocument(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for change, fault := range map[[2]string]string{
		{"application/json:", "application/json: { schema: { required: true } }\n          application/xml:"}:             "must be a list, but is true",
		{"responses: { '200': { description: ok } }", "responses: { '200': { $ref: '#/components/responses/Missing' } }"}: "$ref #/components/responses/Missing refers to nothing",
	} {
		o := guard.Options{OpenAPI: []byte(notes), Issuer: i.URL, Audience: audience}
		replace(change[0], change[1])(&o)
		_, err := guard.New(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), "the OpenAPI document, line ") || !strings.Contains(err.Error(), "#/paths/~1") {
			t.Errorf("%v: got %v", change, err)
		}
	}
}

// The server of a document may be relative, without a scheme, or have variables. The guard refuses to guess a variable of
// the path, since it would protect another route.
func TestServersOfADocument(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for servers, fault := range map[string]string{
		"[{ url: /v1 }]": "", "[{ url: v1 }]": "", "[{ url: ./v1/ }]": "", "[{ url: //notes.example/v1 }]": "", "[{ url: 'https://{host}/v1' }]": "",
		"[{ url: 'https://notes.example/{v}', variables: { v: { default: v1 } } }]": "",
		"[{ url: 'https://notes.example/{v}' }]":                                    "the variables of the server's URL must have a default, and these have none: v",
		"[{ url: 'https://notes.example/v1', variables: [] }]":                      "/servers/0/variables: must be a mapping, but is a list",
	} {
		text := strings.Replace(notes, "\nservers:", "\nx-servers:", 1)
		o := guard.Options{OpenAPI: []byte(text + "\nservers: " + servers + "\n"), Issuer: i.URL, Audience: audience}
		g, err := guard.New(t.Context(), o)
		if fault != "" {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: got %v, want %q", servers, err, fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", servers, err)
			continue
		}
		want(t, call(g.Handler(http.HandlerFunc(whoCalls)), "GET /v1/about", "", ""), 200, "", "")
		want(t, call(g.Handler(http.HandlerFunc(whoCalls)), "GET /v1/notes", "", ""), 401, "unauthenticated", missing)
		g.Close()
	}
}

// A schema that contains itself in each of its alternatives takes a multiple of the time with every level of a body. A body of a
// few hundred bytes would keep a core busy for minutes.
func TestADeepBodyIsRefusedSoon(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	part := "{ type: object, required: [args], properties: { args: { type: array, items: { $ref: '#/x-expression' } } } }"
	g := newGuard(t, i, func(o *guard.Options) {
		o.ValidateRequests = true
		replace("  /about:\n", "  /search:\n    post:\n      security: []\n      requestBody: { content: { application/json: { schema: { $ref: '#/x-expression' } } } }\n"+
			"      responses: { '200': { description: ok } }\n  /about:\n")(o)
		o.OpenAPI = append(o.OpenAPI, "\nx-expression: { anyOf: ["+strings.Repeat(part+", ", 3)+part+"] }\n"...)
	})
	h := g.Handler(http.HandlerFunc(whoCalls))
	nested := func(levels int) string {
		return strings.Repeat(`{"args":[`, levels) + "1" + strings.Repeat("]}", levels)
	}
	want(t, call(h, "POST /v1/search", "", nested(3)), 422, "validation_failed", "")
	answer := call(h, "POST /v1/search", "", nested(15))
	want(t, answer, 422, "validation_failed", "")
	if text := answer.Body.String(); !strings.Contains(text, "is too complex") {
		t.Errorf("the answer does not say why: %s", text)
	}
}
