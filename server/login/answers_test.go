package login_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// AnswerError tells a caller what the handler means it to know, and nothing else.
func TestAnswersOfErrors(t *testing.T) {
	const hidden = "hidden-7f3a"
	var fault error
	s := logintest.Start(t, mounted(func(c echo.Context) error {
		if c.QueryParams().Has("begun") {
			_ = c.String(http.StatusOK, "begun ")
		}
		if c.QueryParams().Has("panic") {
			panic(fault)
		}
		return fault
	}, nil), sqlite(t), "SESAME_CHECK_RESPONSES=off")
	for _, c := range []struct {
		fault  error
		status int
		code   string
	}{
		{login.NotFound("No such thing."), 404, "not_found"},
		{fmt.Errorf("%s: %w", hidden, login.NotFound("No such thing.")), 404, "not_found"},
		{errors.Join(errors.New(hidden), login.Forbidden("You may not.")), 403, "insufficient_scope"},
		{login.Invalid("/name", "is taken"), 422, "validation_failed"},
		{errors.New(hidden), 500, "internal_error"},
		{echo.NewHTTPError(http.StatusNotFound, hidden), 404, "not_found"},
		{echo.NewHTTPError(http.StatusBadRequest, hidden), 400, "bad_request"},
		{echo.NewHTTPError(http.StatusUnauthorized, hidden), 401, "unauthenticated"},
		{echo.NewHTTPError(http.StatusForbidden, hidden), 403, "insufficient_scope"},
		{echo.NewHTTPError(http.StatusRequestEntityTooLarge, hidden), 413, "payload_too_large"},
		{echo.NewHTTPError(http.StatusUnsupportedMediaType, hidden), 415, "unsupported_media_type"},
		{echo.NewHTTPError(http.StatusUnprocessableEntity, hidden), 422, "validation_failed"},
		{echo.NewHTTPError(http.StatusTooManyRequests, hidden), 429, "too_many_requests"},
		{echo.NewHTTPError(http.StatusServiceUnavailable, hidden), 503, "unavailable"},
		{echo.NewHTTPError(http.StatusTeapot, hidden), 500, "internal_error"},
		{context.DeadlineExceeded, 503, "unavailable"},
	} {
		fault = c.fault
		r := s.Do(t, "GET", "/open", "", "")
		var problem struct{ Code string }
		if r.JSON(t, &problem); r.Status != c.status || problem.Code != c.code || strings.Contains(string(r.Body), hidden) ||
			r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: %d %s", c.fault, r.Status, r.Body)
		}
		if r = s.Do(t, "GET", "/open?panic", "", ""); r.Status != 500 || strings.Contains(string(r.Body), hidden) {
			t.Errorf("a panic with %v: %d %s", c.fault, r.Status, r.Body)
		}
		if r = s.Do(t, "GET", "/open?begun", "", ""); r.Status != 200 || string(r.Body) != "begun " {
			t.Errorf("an answer that had begun, and %v: %d %s", c.fault, r.Status, r.Body)
		}
	}
}

// An error handler of theirs gets the error of a handler without the stack of a panic, which many would show; the log has
// it. What it answers as the caller's mistake is not logged as a fault.
func TestTheirErrorHandler(t *testing.T) {
	mine := errors.New("mine")
	s := logintest.Start(t, mounted(func(c echo.Context) error {
		if c.QueryParams().Has("panic") {
			return errors.New(string("short"[len(c.Path())]))
		}
		return mine
	}, func(e *echo.Echo, _ *login.App) {
		e.HTTPErrorHandler = func(err error, c echo.Context) {
			status := http.StatusTeapot
			if _, isFault := errors.AsType[runtime.Error](err); isFault {
				status = http.StatusInternalServerError
			}
			_ = c.String(status, err.Error())
		}
	}), sqlite(t), "SESAME_CHECK_RESPONSES=off")
	if body := string(s.Do(t, "GET", "/open", "", "").Want(t, 418).Body); body != "mine" {
		t.Error(body)
	}
	if text := s.Log.String(); strings.Contains(text, "level=ERROR") {
		t.Errorf("the log has\n%s", text)
	}
	body := string(s.Do(t, "GET", "/open?panic", "", "").Want(t, 500).Body)
	if !strings.Contains(body, "out of range") || strings.Contains(body, ".go:") {
		t.Error(body)
	}
	if text := s.Log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "answers_test.go:") {
		t.Errorf("the log has\n%s", text)
	}
}

// A service client that proves itself by its secret is a client, too.
func TestAClientWithItsSecret(t *testing.T) {
	document := strings.Replace(things, "getOpen, security: []", "getOpen, security: [{ ClientBasic: [] }, { OAuth2Password: ['things:read'] }]", 1)
	s := logintest.Start(t, func(_ context.Context, app *login.App) (*echo.Echo, error) {
		e := echo.New()
		err := app.Mount(e, []byte(document))
		handle(e, func(c echo.Context) error {
			_, person := login.Person(c.Request().Context())
			client, ok := login.Client(c.Request().Context())
			return c.String(http.StatusOK, fmt.Sprintf("%t %t %s", person, ok, client))
		})
		return e, err
	}, sqlite(t))
	out, err := s.Sesame(t, "client", "create", "robot", "--scope", "users:read", "--json")
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
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/open", nil)
	request.SetBasicAuth(made.ID, made.Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body [200]byte
	n, _ := response.Body.Read(body[:])
	if got, want := string(body[:n]), "false true "+made.ID; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(s.Do(t, "GET", "/open", s.Token(t, "ann"), "").Body); got != "true false " {
		t.Errorf("got %s", got)
	}
}

// Pages of SESAME_CORS_ORIGINS may call operations of theirs too; a middleware of their own, registered before Mount, is
// asked first. No preflight reaches a handler.
func TestCORS(t *testing.T) {
	s := logintest.Start(t, mounted(nothing, func(e *echo.Echo, _ *login.App) {
		e.GET("/theirs", nothing)
	}), sqlite(t), "SESAME_CORS_ORIGINS=https://app.example")
	theirs := raw(t, things, func(e *echo.Echo) { e.Use(middleware.CORS()) }, func(e *echo.Echo) { handle(e, nothing) })
	for _, c := range []struct {
		address, method, path, origin string
		status                        int
		allowed                       string
	}{
		{s.URL, "OPTIONS", "/things/1", "https://app.example", 204, "https://app.example"},
		{s.URL, "OPTIONS", "/things/1", "https://evil.example", 405, ""},
		{s.URL, "GET", "/things/1", "https://app.example", 401, "https://app.example"},
		{s.URL, "GET", "/things/1", "https://evil.example", 401, ""},
		{s.URL, "GET", "/theirs", "https://app.example", 200, ""},
		{theirs, "OPTIONS", "/things/1", "https://any.example", 204, "*"},
		{theirs, "GET", "/things/1", "https://any.example", 401, "*"},
	} {
		request, _ := http.NewRequestWithContext(t.Context(), c.method, c.address+c.path, nil)
		request.Header.Set("Origin", c.origin)
		request.Header.Set("Access-Control-Request-Method", "GET")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin"); response.StatusCode != c.status || got != c.allowed {
			t.Errorf("%+v: %d %q", c, response.StatusCode, got)
		}
	}
}

// Echo's RealIP believes X-Forwarded-For from proxies of SESAME_TRUSTED_PROXIES alone, unless e has an IPExtractor.
func TestAddressesOfClients(t *testing.T) {
	address := func(c echo.Context) error { return c.String(http.StatusOK, c.RealIP()) }
	for want, before := range map[string]func(e *echo.Echo){
		"127.0.0.1": nil,
		"192.0.2.1": func(e *echo.Echo) { e.IPExtractor = func(*http.Request) string { return "192.0.2.1" } },
	} {
		base := raw(t, things, before, func(e *echo.Echo) { handle(e, address) })
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/open", nil)
		request.Header.Set("X-Forwarded-For", "198.51.100.7")
		request.Header.Set("X-Real-IP", "198.51.100.7")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != want {
			t.Errorf("got %s, want %s", body, want)
		}
	}
}
