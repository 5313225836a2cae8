package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/contract"
	"sesame/server/secret"
)

// A2: whatever a handler panics with while it holds secrets, in either format of the log, nothing of them
// is written or answered.
func TestAPanicTellsNothing(t *testing.T) {
	t.Parallel()
	const canary = "Canary7f3a9c"
	hidden := secret.New(canary)
	for name, fault := range map[string]func() error{
		"a text":                 func() error { panic(canary) },
		"an error":               func() error { panic(errors.New(canary)) },
		"a request":              func() error { panic(api.TokenRequest{Password: &hidden}) },
		"a form of the runtime":  func() error { return fmt.Errorf("%v", map[string]int{}[canary]/len(canary[:0])) },
		"a wrong type":           func() error { var v any = canary; return v.(error) },
		"an error with a secret": func() error { return fmt.Errorf("the login %+v failed", api.UserCreate{Password: hidden}) },
	} {
		for format, handler := range map[string]func(io.Writer, *slog.HandlerOptions) slog.Handler{
			"text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
			"json": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		} {
			t.Run(name+" in "+format, func(t *testing.T) {
				var log bytes.Buffer
				e := echo.New()
				edge := &Middleware{
					ClientIP:  echo.ExtractIPDirect(),
					Log:       slog.New(handler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
					Operation: func(echo.Context) *contract.Operation { return nil },
				}
				e.HTTPErrorHandler = edge.AnswerError
				e.Use(edge.Observe)
				e.POST("/", func(echo.Context) error { return fault() })
				w := httptest.NewRecorder()
				e.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "POST", "/", strings.NewReader(canary)))
				if w.Code != 500 || strings.Contains(w.Body.String(), canary) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if text := log.String(); strings.Contains(text, canary) || !strings.Contains(text, "internal_error") {
					t.Errorf("the log is\n%s", text)
				}
			})
		}
	}
}
