package contract

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// A running server that is told to check its answers reports those that are off, sends them all the
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
			}, compiled(t).CheckResponses(func(err error) { reported = append(reported, err) }))
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
