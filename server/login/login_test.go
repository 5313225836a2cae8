package login_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// things is a contract beside Sesame's.
const things = `openapi: 3.0.3
info: { title: Things, version: '1' }
paths:
  /things:
    post:
      operationId: createThing
      security: [{ OAuth2Password: ['things:write'] }]
      requestBody:
        required: true
        content: { application/json: { schema: { type: object, required: [name], properties: { name: { type: string, minLength: 1 } } } } }
      responses: &responses
        '200': { description: a text, content: { text/plain: {} } }
        '204': { description: done }
        '401': { $ref: '#/components/responses/Refused' }
        '403': { $ref: '#/components/responses/Refused' }
        '404': { $ref: '#/components/responses/Refused' }
        '418': { description: from the handler of errors, content: { text/plain: {} } }
        '422': { $ref: '#/components/responses/Refused' }
        '500': { $ref: '#/components/responses/Refused' }
  /things/{thing_id}:
    get:
      operationId: getThing
      security: [{ OAuth2Password: ['things:read'] }]
      parameters: [{ name: thing_id, in: path, required: true, schema: { type: string } }]
      responses: *responses
  /open:
    get: { operationId: getOpen, security: [], responses: *responses }
components:
  responses: { Refused: { description: refused, content: { application/problem+json: { schema: { type: object } } } } }
  securitySchemes:
    OAuth2Password:
      type: oauth2
      flows:
        password:
          tokenUrl: /token
          scopes: { 'things:read': Read things, 'things:write': Write things, 'things:admin': Administer things }
          x-default: ['things:read']
`

// handle registers a handler for each operation of things: it answers 204, or what f returns.
func handle(e *echo.Echo, f func(c echo.Context) error) {
	h := func(c echo.Context) error {
		if err := f(c); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	}
	e.POST("/things", h)
	e.GET("/things/:thing_id", h)
	e.GET("/open", h)
}

// mounted is a Mount with things and its handlers.
func mounted(f func(c echo.Context) error, more func(e *echo.Echo, app *login.App)) logintest.Mount {
	return func(_ context.Context, app *login.App) (*echo.Echo, error) {
		e := echo.New()
		err := app.Mount(e, []byte(things))
		if err == nil {
			e.HTTPErrorHandler = app.AnswerError
			handle(e, f)
			if more != nil {
				more(e, app)
			}
		}
		return e, err
	}
}

func nothing(echo.Context) error { return nil }

// grant gives an account a scope at the command line.
func grant(t *testing.T, s *logintest.Server, name, scope string) {
	t.Helper()
	document := filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(document, []byte(things), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Sesame(t, "user", "--contract", document, "grant", name, scope); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// hits counts the requests that reach the handlers, by server.
type hits struct{ byHost sync.Map }

func (h *hits) add(c echo.Context) error {
	n, _ := h.byHost.LoadOrStore(c.Request().Host, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
	return nil
}

func (h *hits) of(s *logintest.Server) int32 {
	n, _ := h.byHost.LoadOrStore(strings.TrimPrefix(s.URL, "http://"), new(atomic.Int32))
	return n.(*atomic.Int32).Load()
}

// The contract of both is enforced before any handler: who calls, with which scope, and what the request holds. The
// handlers are registered without any middleware, so none can be forgotten.
func TestTheServicesContractIsEnforced(t *testing.T) {
	reached := &hits{}
	logintest.OnEachEngine(t, mounted(reached.add, nil), func(t *testing.T, s *logintest.Server) {
		ann := s.Token(t, "ann")
		s.Do(t, "POST", "/things", ann, `{"name":"x"}`).Want(t, 403)
		grant(t, s, "ann", "things:write")
		writer := s.Token(t, "ann", "things:write")
		s.Do(t, "GET", "/things/1", "", "").Want(t, 401)
		s.Do(t, "GET", "/things/1", writer, "").Want(t, 403)
		s.Do(t, "POST", "/things", writer, `{"name":""}`).Want(t, 422)
		s.Do(t, "PUT", "/things", writer, "").Want(t, 405)
		s.Do(t, "GET", "/things/1/2", writer, "").Want(t, 404)
		if n := reached.of(s); n != 0 {
			t.Errorf("%d requests that are refused reach a handler", n)
		}
		s.Do(t, "GET", "/things/1", ann, "").Want(t, 204)
		s.Do(t, "POST", "/things", writer, `{"name":"x"}`).Want(t, 204)
		s.Do(t, "GET", "/open", "", "").Want(t, 204)
		if n := reached.of(s); n != 3 {
			t.Errorf("%d requests reach a handler", n)
		}
		s.Do(t, "GET", "/users/me", ann, "").Want(t, 200)
	})
}

// One document holds both: at /openapi.json, in the collection, and on the pages.
func TestOneContractIsServed(t *testing.T) {
	s := logintest.Start(t, mounted(nothing, nil), sqlite(t))
	var document struct {
		Info       struct{ Title string }
		Paths      map[string]any
		Components struct {
			SecuritySchemes map[string]struct {
				Flows struct {
					Password struct{ Scopes map[string]string }
				}
			}
		}
	}
	s.Do(t, "GET", "/openapi.json", "", "").Want(t, 200).JSON(t, &document)
	scopes := document.Components.SecuritySchemes["OAuth2Password"].Flows.Password.Scopes
	if document.Info.Title != "Things" || document.Paths["/things"] == nil || document.Paths["/token"] == nil ||
		scopes["things:read"] == "" || scopes["me:read"] == "" {
		t.Errorf("%+v", document)
	}
	for path, want := range map[string]string{
		"/openapi.yaml": "operationId: createThing", "/docs/openapi.yaml": "operationId: createThing",
		"/docs/postman.json": "createThing", "/docs/": "swagger", "/redoc": "redoc",
		"/.well-known/oauth-authorization-server": "things:admin",
	} {
		if text := string(s.Do(t, "GET", path, "", "").Want(t, 200).Body); !strings.Contains(text, want) {
			t.Errorf("%s does not hold %q", path, want)
		}
	}
}

// Person is a person; a service client with the same scope is none.
func TestPeopleAndClients(t *testing.T) {
	who := func(c echo.Context) error {
		person, isPerson := login.Person(c.Request().Context())
		client, isClient := login.Client(c.Request().Context())
		return c.String(http.StatusOK, fmt.Sprintf("%t %s %t %t %t", isPerson, person.Username, isPerson && person.HasScope("things:read"), isClient, client != ""))
	}
	logintest.OnEachEngine(t, mounted(who, nil), func(t *testing.T, s *logintest.Server) {
		check := func(path, token, want string) {
			t.Helper()
			if got := string(s.Do(t, "GET", path, token, "").Body); got != want {
				t.Errorf("%s: got %s, want %s", path, got, want)
			}
		}
		ann := s.Token(t, "ann")
		check("/things/1", ann, "true ann true false false")
		check("/open", ann, "false  false false false") // which looks at no credentials
		document := filepath.Join(t.TempDir(), "openapi.yaml")
		if err := os.WriteFile(document, []byte(things), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := s.Sesame(t, "client", "--contract", document, "create", "robot", "--scope", "things:read", "--json")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var made struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		if err = json.Unmarshal([]byte(out), &made); err != nil {
			t.Fatal(err)
		}
		response, err := http.PostForm(s.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {made.ID}, "client_secret": {made.Secret}})
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var token struct {
			AccessToken string `json:"access_token"`
		}
		if err = json.NewDecoder(response.Body).Decode(&token); err != nil {
			t.Fatal(err)
		}
		check("/things/1", token.AccessToken, "false  false true true")
	})
}

// A demand of theirs is enforced on their operations, and the handler sees how the person has signed in.
func TestDemandsOfTheirs(t *testing.T) {
	demanding := func(demand string) logintest.Mount {
		return func(_ context.Context, app *login.App) (*echo.Echo, error) {
			e := echo.New()
			err := app.Mount(e, []byte(strings.Replace(things, "operationId: getThing\n", "operationId: getThing\n      "+demand+"\n", 1)))
			if err == nil {
				e.HTTPErrorHandler = app.AnswerError
				handle(e, func(c echo.Context) error {
					person, _ := login.Person(c.Request().Context())
					return c.String(http.StatusOK, fmt.Sprint(person.ACR, person.AMR, time.Since(person.SignedInAt) < time.Minute))
				})
			}
			return e, err
		}
	}
	t.Run("age", func(t *testing.T) {
		logintest.OnEachEngine(t, demanding("x-requires-max-age: 300"), func(t *testing.T, s *logintest.Server) {
			if got := string(s.Do(t, "GET", "/things/1", s.Token(t, "ann"), "").Want(t, 200).Body); got != "1[pwd] true" {
				t.Errorf("got %s", got)
			}
		})
	})
	t.Run("level", func(t *testing.T) {
		logintest.OnEachEngine(t, demanding("x-requires-acr: '2'"), func(t *testing.T, s *logintest.Server) {
			answer := s.Do(t, "GET", "/things/1", s.Token(t, "ann"), "").Want(t, 401)
			if challenge := answer.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_user_authentication"`) || !strings.HasSuffix(challenge, `acr_values="2"`) {
				t.Errorf("the challenge is %s", challenge)
			}
		})
	})
	_, err := demanding("x-requires-acr: '3'")(t.Context(), open(t))
	if err == nil || !strings.Contains(err.Error(), "GET /things/{thing_id} (getThing): x-requires-acr must be") {
		t.Errorf("got %v", err)
	}
}

// Their error handler, middleware and routes stay theirs, and Sesame's operations do not use them.
func TestTheirsStaysTheirs(t *testing.T) {
	mount := func(_ context.Context, app *login.App) (*echo.Echo, error) {
		e := echo.New()
		e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "their root") })
		e.GET("/theirs", func(c echo.Context) error { return errors.New("secret of theirs") })
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { c.Response().Header().Set("X-Theirs", "yes"); return next(c) }
		})
		e.HTTPErrorHandler = func(err error, c echo.Context) { _ = c.String(http.StatusTeapot, "their answer") }
		err := app.Mount(e, []byte(things))
		e.GET("/favicon.ico", func(c echo.Context) error { return c.String(http.StatusOK, "their icon") })
		handle(e, func(c echo.Context) error {
			if c.Path() == "/open" {
				panic("theirs")
			}
			return login.NotFound("There is no such thing.")
		})
		return e, err
	}
	s := logintest.Start(t, mount, sqlite(t))
	ann := s.Token(t, "ann")
	for _, c := range []struct {
		method, path, token string
		status              int
		body                string
		observed            bool // has what Sesame adds to every answer of its own
	}{
		{"GET", "/", "", 200, "their root", false},
		{"GET", "/favicon.ico", "", 200, "their icon", true}, // added after Mount
		{"GET", "/theirs", "", 418, "their answer", false},
		{"GET", "/nowhere", "", 418, "their answer", false},
		{"GET", "/open", "", 418, "their answer", true},
		{"GET", "/things/1", ann, 404, `"code":"not_found"`, true},
		{"GET", "/things/1", "", 401, `"code":"unauthenticated"`, true},
		{"GET", "/users/me", "", 401, `"code":"unauthenticated"`, true},
		{"PUT", "/token", "", 405, `"code":"method_not_allowed"`, true},
	} {
		r := s.Do(t, c.method, c.path, c.token, "").Want(t, c.status)
		if !strings.Contains(string(r.Body), c.body) || (r.Header.Get("X-Request-ID") != "") != c.observed || r.Header.Get("X-Theirs") != "yes" {
			t.Errorf("%s %s: %v\n%s", c.method, c.path, r.Header, r.Body)
		}
	}
}

// Documents that cannot be served together stop the start, and the error says where to look.
func TestMountRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		before   func(e *echo.Echo)
		want     []string
	}{
		"a path of Sesame's":         {strings.Replace(things, "/open:", "/users/{name}:", 1), nil, []string{"the path /users/{user_id}", "openapi.yaml, line 26", "Sesame's openapi.yaml, line "}},
		"an operationId of Sesame's": {strings.Replace(things, "getOpen", "getMe", 1), nil, []string{"the operationId getMe", "line 27"}},
		"a component of Sesame's":    {strings.ReplaceAll(things, "Refused", "Forbidden"), nil, []string{"components/responses/Forbidden"}},
		"an undeclared scope":        {strings.Replace(things, "['things:write'] }]", "['things:wr'] }]", 1), nil, []string{"createThing", "things:wr"}},
		"no security":                {strings.Replace(things, "security: [], ", "", 1), nil, []string{"getOpen", "security"}},
		"a route of Sesame's":        {things, func(e *echo.Echo) { e.GET("/redoc", nothing) }, []string{"GET /redoc"}},
	} {
		t.Run(name, func(t *testing.T) {
			app := open(t)
			e := echo.New()
			if c.before != nil {
				c.before(e)
			}
			err := app.Mount(e, []byte(c.document))
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

// An operation without a handler stops the start, wherever it was meant to be.
func TestServeRefusesAnOperationWithoutAHandler(t *testing.T) {
	app := open(t)
	e := echo.New()
	if err := app.Mount(e, []byte(things)); err != nil {
		t.Fatal(err)
	}
	e.Group("/v1").POST("/things", nothing)
	if err := app.Serve(t.Context(), e); err == nil || !strings.Contains(err.Error(), "POST /things (createThing)") {
		t.Errorf("got %v", err)
	}
}

// Their tables live beside Sesame's, with migrations of their own, and transactions on both engines.
func TestTheirTables(t *testing.T) {
	first := fstest.MapFS{"00001_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id TEXT PRIMARY KEY, owner_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE);\n")}}
	second := fstest.MapFS{"00001_things.sql": first["00001_things.sql"], "00002_more.sql": {Data: []byte("-- +goose Up\nALTER TABLE things ADD COLUMN n BIGINT;\n")}}
	logintest.OnEachEngine(t, mounted(nothing, nil), func(t *testing.T, s *logintest.Server) {
		ctx, db := t.Context(), s.App.DB()
		for _, files := range []fstest.MapFS{first, first, second} {
			if err := db.Migrate(ctx, files); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Migrate(ctx, first); err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("an older program: %v", err)
		}
		s.Token(t, "ann")
		var owner string
		if err := db.QueryRowContext(ctx, `SELECT id FROM users WHERE username = $1`, "ann").Scan(&owner); err != nil {
			t.Fatal(err)
		}
		undone := errors.New("undone")
		if err := db.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO things (id, owner_id, n) VALUES ('1', $1, 1)`, owner)
			return errors.Join(err, undone)
		}); !errors.Is(err, undone) {
			t.Errorf("got %v", err)
		}
		count := func() (n int) {
			t.Helper()
			if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM things`).Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		if count() != 0 {
			t.Error("the transaction was not rolled back")
		}
		var id string
		insert := func() error {
			return db.QueryRowContext(ctx, `INSERT INTO things (id, owner_id) VALUES ('1', $1) RETURNING id`, owner).Scan(&id)
		}
		if err := insert(); err != nil || count() != 1 {
			t.Errorf("%v, %d rows", err, count())
		}
		if err := insert(); !login.IsConflict(err) {
			t.Errorf("got %v, want a conflict", err)
		}
		// An account is deleted with its things.
		token := s.Token(t, "ann", "me:delete")
		s.Do(t, "DELETE", "/users/me", token, "").Want(t, 204)
		if count() != 0 {
			t.Error("the things of a deleted account are left")
		}
	})
}

// sqlite is the setting of a fresh database.
func sqlite(t *testing.T) string {
	return "SESAME_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// open opens a server that is closed at the end of the test.
func open(t *testing.T, settings ...string) *login.App {
	t.Helper()
	parsed, err := login.FromEnv(append(settings, "SESAME_LISTEN=127.0.0.1:0", sqlite(t)))
	if err != nil {
		t.Fatal(err)
	}
	app, err := login.Open(t.Context(), parsed, login.Output(&logintest.Log{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Close(); err != nil {
			t.Error(err)
		}
	})
	return app
}
