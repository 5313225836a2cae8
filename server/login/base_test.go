package login_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// Behind a proxy that keeps the path of the public URL, the operations and pages of both are served with it. A route of the
// team's own that begins with it, on any host, stays where the team has put it, and so does an operation that matches it.
func TestTheBasePathAndTheirRoutes(t *testing.T) {
	document := strings.Replace(things, "\n  /open:", `
  /{tenant}/rooms/all:
    get:
      operationId: getRooms
      security: []
      parameters: [{ name: tenant, in: path, required: true, schema: { type: string } }]
      responses: *responses
  /open:`, 1)
	app, e := open(t, "SESAME_PUBLIC_URL=http://localhost/app"), echo.New()
	said := func(c echo.Context) error {
		return c.String(http.StatusOK, strings.TrimSpace(c.Request().Host+" "+c.Path()+" "+c.Param("tenant")))
	}
	e.GET("/app/early", said)
	if err := app.Mount(e, []byte(document)); err != nil {
		t.Fatal(err)
	}
	e.HTTPErrorHandler = app.AnswerError
	e.POST("/things", said)
	e.GET("/things/:thing_id", said)
	e.GET("/open", said)
	e.GET("/:tenant/rooms/all", said)
	for _, path := range []string{"/app", "/app/early", "/app/ui/*", "/plain"} {
		e.GET(path, said)
	}
	other := e.Host("other.example")
	other.GET("/app/callback", said)
	other.GET("/app/open", said)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	for request, want := range map[string]string{
		"example.com/app/open": "example.com /open", "example.com/open": "example.com /open", "example.com/app/healthz": `{"status":"ok"}`,
		"example.com/app/things/1": "401", "example.com/app/things": "405", "example.com/app/plain": "example.com /plain",
		"example.com/app/early": "example.com /app/early", "example.com/app/ui/x": "example.com /app/ui/*", "example.com/app": "example.com /app",
		"example.com/app/rooms/all": "example.com /:tenant/rooms/all app", "example.com/app/app/rooms/all": "example.com /:tenant/rooms/all app", "example.com/app/docs/": "200",
		"other.example/app/callback": "other.example /app/callback", "other.example/app/open": "other.example /app/open", "example.com/app/callback": "404",
	} {
		host, path, _ := strings.Cut(request, "/")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if got := strings.TrimSpace(string(body)); err != nil || got != want && response.Status[:3] != want {
			t.Errorf("%s: %s %.100s (%v), want %s", request, response.Status, got, err, want)
		}
	}
}
