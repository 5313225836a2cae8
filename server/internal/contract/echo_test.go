package contract

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// A running server with CheckResponses reports the answers that depart from the document, and sends them all the
// same, and lets errors go on to who answers and logs them.
func TestAnswersOfARunningServerAreChecked(t *testing.T) {
	fault := errors.New("a fault")
	for name, c := range map[string]struct {
		handler  echo.HandlerFunc
		status   int
		reported string
	}{
		"as documented":            {func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, http.StatusNoContent, ""},
		"a status of its own":      {func(c echo.Context) error { return c.NoContent(http.StatusTeapot) }, http.StatusTeapot, "the status 418 is not documented"},
		"a body that is not asked": {func(c echo.Context) error { return c.String(http.StatusNoContent, "x") }, http.StatusNoContent, "has a body"},
		"an error":                 {func(echo.Context) error { return fault }, http.StatusInternalServerError, "the status 500 is not documented"},
	} {
		t.Run(name, func(t *testing.T) {
			var reported []error
			e := echo.New()
			var passed error
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c echo.Context) error {
					passed = next(c)
					return nil
				}
			}, compiled(t).CheckResponses(func(err error) { reported = append(reported, err) }, func(err error, c echo.Context) { c.Error(err) }))
			e.GET("/things", c.handler)
			e.GET("/elsewhere", c.handler)
			for _, path := range []string{"/things", "/elsewhere"} { // the second is no operation
				recorder := httptest.NewRecorder()
				e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
				if recorder.Code != c.status {
					t.Errorf("%s: status %d, want %d", path, recorder.Code, c.status)
				}
			}
			if errors.Is(passed, fault) != (name == "an error") {
				t.Errorf("the error that went on is %v", passed)
			}
			if len(reported) > 1 || (len(reported) == 1) != (c.reported != "") || c.reported != "" && !strings.Contains(reported[0].Error(), c.reported) {
				t.Errorf("reported %v, want %q", reported, c.reported)
			}
		})
	}
}

// onEcho mounts a document of operations without parameters of their own, as the generated code does.
func onEcho(paths ...string) (*echo.Echo, error) {
	document := "openapi: 3.0.3\ninfo: { title: t, version: '1' }\nsecurity: []\npaths:\n"
	for _, path := range paths {
		document += fmt.Sprintf("  %q: { get: { operationId: %q, security: [], responses: { '204': { description: d } } } }\n", path, path)
	}
	c, err := compile(document)
	if err != nil {
		return nil, err
	}
	enforce, err := c.Enforce()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Pre(PlainPaths)
	e.Use(enforce)
	for _, op := range c.Operations() {
		e.GET(echoPath(op.Path), func(c echo.Context) error {
			return c.String(http.StatusOK, op.Path+" "+strings.Join(c.ParamValues(), " "))
		})
	}
	return e, c.CheckRoutes(e.Routes())
}

// N1: text in a path is text, in whatever spelling it is sent, and a parameter is one segment.
func TestTextInAPathIsText(t *testing.T) {
	e, err := onEcho("/größe/{id}", "/Products('1')", "/x:cancel", "/x:z", "/a b", "/pages/{id}", "/pages/drafts", "/{any}/b/c", `/"q"`)
	if err != nil {
		t.Fatal(err)
	}
	for target, body := range map[string]string{
		"/gr%C3%B6%C3%9Fe/1": "/größe/{id} 1", "/gr%c3%b6%c3%9fe/%31": "/größe/{id} 1", "/Products('1')": "/Products('1') ", "/Products%28%271%27%29": "/Products('1') ",
		"/x:cancel": "/x:cancel ", "/x%3Acancel": "/x:cancel ", "/x:z": "/x:z ", "/a%20b": "/a b ", "/%22q%22": `/"q" `, "/pages/%64rafts": "/pages/drafts ", "/pages/%2564rafts": "/pages/{id} %64rafts",
		"/pages/a%3Fb": "/pages/{id} a?b", "/q/b/c": "/{any}/b/c q",
		"/xfoo": "", "/pages/a/b": "", "/pages/a%2Fb": "", "/pages/..": "", "/pages/": "", "/pages//": "", "/pages/b/c": "", "/pages/%00": "", "/pages/a%5Cb": "",
	} {
		recorder := httptest.NewRecorder()
		e.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, target, nil))
		if (recorder.Code == http.StatusOK) != (body != "") || body != "" && recorder.Body.String() != body {
			t.Errorf("%s: got %d %q, want %q", target, recorder.Code, recorder.Body, body)
		}
	}
}

// Paths that Echo cannot serve, or not as the document means, stop the start.
func TestPathsThatEchoCannotServe(t *testing.T) {
	for path, refused := range map[string]string{
		"/a*": "Echo cannot route", "/:z": "Echo cannot route", "/a%20b": "Echo cannot route", "/f/{x}.json": "whole segment", "/y/{x}": "/y/{x} and /{z}/y both match",
	} {
		if _, err := onEcho("/{z}/y", path); err == nil || !strings.Contains(err.Error(), refused) {
			t.Errorf("%s: got %v, want %q", path, err, refused)
		}
	}
}
