package login_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// withClear is things with an operation that anyone may call at the path of createThing.
var withClear = strings.Replace(things, "\n  /things/{thing_id}:", `
    delete: { operationId: clearThings, security: [], responses: *responses }
  /things/{thing_id}:`, 1)

// raw serves e without Serve, which would refuse some of the mistakes below: what keeps requests from a handler must
// not depend on how the program serves.
func raw(t *testing.T, document string, before, after func(e *echo.Echo)) string {
	t.Helper()
	e := echo.New()
	if before != nil {
		before(e)
	}
	if err := open(t).Mount(e, []byte(document)); err != nil {
		t.Fatal(err)
	}
	if after != nil {
		after(e)
	}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server.URL
}

// send sends a request line as it is written, which net/http's client would correct.
func send(t *testing.T, address, line string, headers ...string) (status int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := line + " HTTP/1.1\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n")
	if !strings.Contains(head, "Host:") {
		head += "Host: example.com\r\n"
	}
	fmt.Fprint(conn, head+"\r\n")
	var protocol string
	if _, err = fmt.Fscan(conn, &protocol, &status); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return status
}

// However a route is registered, and whatever other code does to a request before, no request reaches a handler of an
// operation without being admitted as that operation.
func TestNoHandlerIsReachedUnadmitted(t *testing.T) {
	const secret = http.StatusTeapot // the answer of a handler that must not be reached
	reached := func(c echo.Context) error { return c.NoContent(secret) }
	use := func(m echo.MiddlewareFunc) func(*echo.Echo) { return func(e *echo.Echo) { e.Use(m) } }
	for name, c := range map[string]struct {
		before, after func(e *echo.Echo)
		requests      []string
		headers       []string
	}{
		"a parameter of another name": {nil, func(e *echo.Echo) { e.GET("/things/:id", reached) }, []string{"GET /things/1", "GET /things/1/"}, nil},
		"a parameter of another name, before": {
			func(e *echo.Echo) { e.GET("/things/:id", reached) },
			func(e *echo.Echo) { e.GET("/things/:id", reached) },
			[]string{"GET /things/1"},
			nil,
		},
		"text in place of a parameter": {nil, func(e *echo.Echo) { e.GET("/things/special", reached) }, []string{"GET /things/special", "GET /things/%73pecial"}, nil},
		"methods that the document has not": {
			nil,
			func(e *echo.Echo) { e.Any("/things/:thing_id", reached) },
			[]string{"GET /things/1", "HEAD /things/1", "DELETE /things/1", "OPTIONS /things/1", "PUT /things/1", "TRACE /things/1", "CONNECT /things/1", "PROPFIND /things/1"},
			nil,
		},
		"an invented method":       {nil, func(e *echo.Echo) { e.Add("get", "/things/:thing_id", reached) }, []string{"get /things/1"}, nil},
		"a wildcard":               {nil, func(e *echo.Echo) { e.Any("/*", reached); e.Any("/things/*", reached) }, []string{"GET /things/1", "POST /things"}, nil},
		"a wildcard in place":      {nil, func(e *echo.Echo) { e.GET("/things*", reached); e.RouteNotFound("/things/*", reached) }, []string{"GET /things/1"}, nil},
		"another host":             {nil, func(e *echo.Echo) { e.Host("a.example").GET("/things/:thing_id", reached) }, []string{"GET /things/1"}, []string{"Host: a.example"}},
		"another host, name":       {nil, func(e *echo.Echo) { e.Host("a.example").GET("/things/:id", reached) }, []string{"GET /things/1"}, []string{"Host: a.example"}},
		"another host, wildcard":   {nil, func(e *echo.Echo) { e.Host("a.example").Any("/*", reached) }, []string{"GET /things/1", "POST /things", "GET /users/me"}, []string{"Host: a.example"}},
		"an operation of Sesame's": {nil, func(e *echo.Echo) { e.GET("/users/:id", reached); e.GET("/users/me", reached) }, []string{"GET /users/1", "GET /users/me"}, nil},
		"a method of Sesame's":     {nil, func(e *echo.Echo) { e.PUT("/users/me", reached) }, []string{"PUT /users/me"}, nil},
		"the route is renamed": {use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { c.SetPath("/elsewhere"); return next(c) }
		}), func(e *echo.Echo) { e.POST("/things", reached) }, []string{"POST /things"}, nil},
		"the method is changed after routing": {
			use(middleware.MethodOverride()), func(e *echo.Echo) { e.POST("/things", reached); e.DELETE("/things", nothing) },
			[]string{"POST /things"},
			[]string{"X-HTTP-Method-Override: DELETE"},
		},
		"the path is changed after routing": {use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { c.Request().URL.Path = "/open"; return next(c) }
		}), func(e *echo.Echo) { e.GET("/things/:thing_id", reached) }, []string{"GET /things/1"}, nil},
		"the method is changed before routing": {
			func(e *echo.Echo) { e.Pre(middleware.MethodOverride()) }, func(e *echo.Echo) { e.POST("/things", reached) },
			[]string{"POST /things"},
			nil,
		},
		"the path is changed before routing": {nil, func(e *echo.Echo) {
			e.Pre(middleware.Rewrite(map[string]string{"/old/*": "/things/$1"}), middleware.RemoveTrailingSlash())
			e.GET("/things/:thing_id", reached)
		}, []string{"GET /old/1", "GET /old/%31", "GET /things/1/", "GET /old/1/"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, withClear, c.before, func(e *echo.Echo) {
				handle(e, nothing)
				c.after(e)
			})
			for _, request := range c.requests {
				if status := send(t, address, request, c.headers...); status == secret || status < 400 {
					t.Errorf("%s: %d", request, status)
				}
			}
		})
	}
}

// Every spelling of a path leads to its operation, or nowhere.
func TestSpellingsOfAPath(t *testing.T) {
	app, e := open(t), echo.New()
	if err := app.Mount(e, []byte(things)); err != nil {
		t.Fatal(err)
	}
	handle(e, nothing)
	address := serve(t, app, e)
	for _, request := range []string{
		"GET /things/1", "GET /%74hings/1", "GET /things/%31", "GET /things%2f1", "GET /things/1%2f2", "GET //things/1", "GET /things//1",
		"GET /./things/1", "GET /x/../things/1", "GET /things/.", "GET /things/..", "GET /things/%2e%2e", "GET /things/1/", "GET /things/",
		"GET /THINGS/1", "GET /things/1;x", "GET /things/1?x=1", "GET /things/%00", "GET /things/%ff", `GET /things/a\b`,
		"GET http://evil.example/things/1", "POST /things", "POST /things/", "POST /%74hings", "POST /things?x", "post /things",
		"HEAD /things/1", "OPTIONS /things", "TRACE /things", "CONNECT /things", "OPTIONS *", "POST /things#x",
	} {
		if status := send(t, address, request); status < 400 {
			t.Errorf("%s: %d", request, status)
		}
	}
	for _, request := range []string{"GET /open", "GET /%6fpen", "GET /open?x=1", "GET http://evil.example/open"} {
		if status := send(t, address, request); status != 204 {
			t.Errorf("%s: %d", request, status)
		}
	}
}

// A middleware that changes a request before Echo routes it works, wherever it is registered.
func TestRewritesBeforeRouting(t *testing.T) {
	app := open(t)
	e := echo.New()
	e.Pre(middleware.Rewrite(map[string]string{"/before": "/open"}))
	if err := app.Mount(e, []byte(withClear)); err != nil {
		t.Fatal(err)
	}
	e.Pre(middleware.Rewrite(map[string]string{"/after": "/open"}), middleware.MethodOverride())
	handle(e, nothing)
	e.DELETE("/things", nothing)
	address := serve(t, app, e)
	for request, want := range map[string]int{"GET /before": 204, "GET /after": 204, "POST /things": 200, "DELETE /things": 200} {
		if status := send(t, address, request, "X-HTTP-Method-Override: DELETE"); status != want {
			t.Errorf("%s: %d", request, status)
		}
	}
}

// A document may have paths that pages of Sesame's match too: the pages are still there.
func TestPagesBesideParameters(t *testing.T) {
	document := strings.Replace(things, "/open:", "/{slug}:\n    parameters: [{ name: slug, in: path, required: true, schema: { type: string } }]", 1)
	address := raw(t, document, nil, func(e *echo.Echo) { e.GET("/:slug", nothing) })
	for request, want := range map[string]int{
		"GET /redoc": 200, "GET /docs": 302, "GET /docs/": 200, "GET /openapi.yaml": 200, "GET /confirm-email": 422, "GET /slug": 200, "POST /redoc": 405, "GET /healthz": 200,
	} {
		if status := send(t, address, request); status != want {
			t.Errorf("%s: %d, want %d", request, status, want)
		}
	}
}

// Serve refuses routes that no request could reach, and handlers that the contract would not guard.
func TestServeRefusesRoutesThatTheContractDoesNotHave(t *testing.T) {
	h := &handlers{}
	for name, c := range map[string]struct {
		register func(e *echo.Echo)
		want     string // "" if it starts
	}{
		"a parameter of another name":  {func(e *echo.Echo) { e.GET("/things/:id", nothing) }, "GET /things/:id"},
		"text in place of a parameter": {func(e *echo.Echo) { e.GET("/things/special", nothing) }, "GET /things/special"},
		"a method":                     {func(e *echo.Echo) { e.DELETE("/things/:thing_id", nothing) }, "DELETE /things/:thing_id"},
		"on another host":              {func(e *echo.Echo) { e.Host("a.example").GET("/things/special", nothing) }, "GET a.example/things/special"},
		"a route of Sesame's":          {func(e *echo.Echo) { e.GET("/users/me", nothing) }, "GET /users/me"},
		"a page of Sesame's":           {func(e *echo.Echo) { e.GET("/redoc", nothing) }, "GET /redoc"},
		"the administrator's page":     {func(e *echo.Echo) { e.GET("/admin/", nothing) }, "or set SESAME_ADMIN=off"},
		"an operation under a prefix": {func(e *echo.Echo) {
			e.POST("/things", h.CreateThing)
			e.POST("/v1/things", h.CreateThing)
		}, "POST /v1/things"},
		"routes of their own": {func(e *echo.Echo) {
			e.GET("/", nothing)
			e.Any("/*", nothing)
			e.RouteNotFound("/things/*", nothing)
			e.Group("/things", middleware.Secure()).POST("/x/y", nothing)
			e.GET("/status", h.Health)
			e.GET("/open", h.Health) // which anyone may call
			e.PUT("/things/special", nothing)
			e.Host("a.example").GET("/things/:thing_id", nothing)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			app := open(t)
			e := echo.New()
			if err := app.Mount(e, []byte(things)); err != nil {
				t.Fatal(err)
			}
			handle(e, nothing)
			c.register(e)
			if c.want == "" {
				serve(t, app, e)
				return
			}
			if err := app.Serve(ended(t), e); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

type handlers struct{}

func (*handlers) CreateThing(echo.Context) error { return nil }
func (*handlers) Health(echo.Context) error      { return nil }

// An operation at / needs a handler, though Sesame has a page there.
func TestAnOperationAtTheRoot(t *testing.T) {
	document := strings.Replace(things, "/open:", "/:", 1)
	app := open(t)
	e := echo.New()
	if err := app.Mount(e, []byte(document)); err != nil {
		t.Fatal(err)
	}
	handle(e, nothing)
	if err := app.Serve(ended(t), e); err == nil || !strings.Contains(err.Error(), "GET / (getOpen)") {
		t.Errorf("got %v", err)
	}
	address := raw(t, strings.Replace(document, "getOpen, security: []", "getOpen, security: [{ OAuth2Password: [] }]", 1), nil, func(e *echo.Echo) { e.GET("/", nothing) })
	if status := send(t, address, "GET /"); status != 401 {
		t.Errorf("it answers %d", status)
	}
}

// A service that has /admin itself switches the administrator's page off.
func TestTheAdministratorsPageGivesWay(t *testing.T) {
	document := strings.Replace(things, "/open:", "/admin:", 1)
	if err := open(t).Mount(echo.New(), []byte(document)); err == nil || !strings.Contains(err.Error(), "/admin") || !strings.Contains(err.Error(), "SESAME_ADMIN=off") {
		t.Errorf("got %v", err)
	}
	app := open(t, "SESAME_ADMIN=off")
	e := echo.New()
	if err := app.Mount(e, []byte(document)); err != nil {
		t.Fatal(err)
	}
	handle(e, nothing)
	e.GET("/admin", nothing)
	e.GET("/admin/reports", nothing)
	if status := send(t, serve(t, app, e), "GET /admin/reports"); status == 404 {
		t.Errorf("their route answers %d", status)
	}
}

// A document cannot have a page of Sesame's.
func TestMountRefusesAPathOfAPage(t *testing.T) {
	for _, path := range []string{"/redoc", "/docs/", "/openapi.yaml", "/reset-password"} {
		err := open(t).Mount(echo.New(), []byte(strings.Replace(things, "/open:", path+":", 1)))
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// serve serves until the test ends.
func serve(t *testing.T, app *login.App, e *echo.Echo) (address string) {
	t.Helper()
	stop, served := startServing(t, app, e)
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return app.URL()
}

func startServing(t *testing.T, app *login.App, e *echo.Echo) (stop func(), served chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	served = make(chan error, 1)
	go func() { served <- app.Serve(ctx, e) }()
	return stop, served
}

// A handler of theirs reads a body by encoding/json, which takes NAME for name: such a body is refused, since the contract
// has looked at name alone.
func TestKeysInOtherLetters(t *testing.T) {
	document := strings.Replace(things, "security: [{ OAuth2Password: ['things:write'] }]", "security: []", 1)
	document = strings.Replace(document, "name: { type: string, minLength: 1 }", `name: { type: string, minLength: 1 },
              tags: { type: array, items: { allOf: [{ $ref: '#/components/schemas/Tag' }] } }`, 1)
	document = strings.Replace(document, "components:\n", `components:
  schemas:
    Tag:
      type: object
      properties: { key: { type: string, maxLength: 1 }, child: { $ref: '#/components/schemas/Tag' } }
      additionalProperties: { anyOf: [{ $ref: '#/components/schemas/Tag' }, { type: string }] }
`, 1)
	s := logintest.Start(t, func(_ context.Context, app *login.App) (*echo.Echo, error) {
		e := echo.New()
		err := app.Mount(e, []byte(document))
		handle(e, nothing)
		return e, err
	}, sqlite(t), "SESAME_CHECK_RESPONSES=off")
	for body, want := range map[string]int{
		`{"name":"x"}`:                                           204,
		`{"name":"x","other":1}`:                                 204,
		`{"name":"x","NAME":""}`:                                 422,
		`{"name":"x","name":""}`:                                 400,
		`{"name":"x","tag\u017f":[]}`:                            422, // a long s
		`{"name":"x","tags":[{"K":"xx"}]}`:                       204,
		`{"name":"x","tags":[{"key":"x"},{"KEY":"xx"}]}`:         422,
		`{"name":"x","tags":[{"child":{"child":{"Key":"xx"}}}]}`: 422,
		`{"name":"x","tags":[{"a":{"b":{"\u212aey":"xx"}}}]}`:    422, // a kelvin sign
		`{"name":"x","tags":[{"a":{"b":{"key":"x"}},"c":"d"}]}`:  204,
	} {
		if r := s.Do(t, "POST", "/things", "", body); r.Status != want {
			t.Errorf("%s: %d %s", body, r.Status, r.Body)
		}
	}
}

// ended is a context with which Serve returns even if it begins to serve.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func get(e *echo.Echo, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder
}

// HEAD is answered wherever GET is, also on a virtual host and through the middleware of a group, and runs no other handler
// than the one that the request was admitted for.
func TestHeadOfTheirOperations(t *testing.T) {
	app, e := open(t), echo.New()
	if err := app.Mount(e, []byte(things)); err != nil {
		t.Fatal(err)
	}
	e.HTTPErrorHandler = app.AnswerError
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc { // runs after Echo has chosen the handler
		return func(c echo.Context) error {
			if path := c.Request().Header.Get("X-Path"); path != "" {
				c.Request().URL.Path = path
			}
			return next(c)
		}
	})
	answer := func(status int) echo.HandlerFunc {
		return func(c echo.Context) error { return c.NoContent(status) }
	}
	refuse := func(echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return c.NoContent(http.StatusLocked) }
	}
	e.POST("/things", nothing)
	e.GET("/things/:thing_id", answer(http.StatusTeapot))
	e.GET("/open", answer(http.StatusOK))
	e.Host("a.example").GET("/open", answer(http.StatusAccepted))
	e.Host("b.example", refuse).GET("/open", answer(http.StatusOK))
	address := serve(t, app, e)
	for _, method := range []string{"GET", "HEAD"} {
		for request, want := range map[string]int{"/open": 200, "/things/1": 401, "/things": 405} {
			if status := send(t, address, method+" "+request); status != want {
				t.Errorf("%s %s: %d", method, request, status)
			}
		}
		for host, want := range map[string]int{"a.example": 202, "b.example": 423, "c.example": 200} {
			if status := send(t, address, method+" /open", "Host: "+host); status != want {
				t.Errorf("%s /open of %s: %d, want %d", method, host, status, want)
			}
		}
		for _, path := range []string{"/things/1", "/open/", "/nothing"} {
			if status := send(t, address, method+" /open", "X-Path: "+path); status != 200 {
				t.Errorf("%s /open with the path %s: %d", method, path, status)
			}
		}
	}
}
