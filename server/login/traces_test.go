package login_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"sesame/server/login"
	"sesame/server/login/logintest"
)

// A handler of the program begins spans below that of its request, and they go to the same collector.
func TestHandlersAddSpansToTheTrace(t *testing.T) {
	bodies := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
	}))
	defer collector.Close()
	var db *login.DB
	var want string
	s := logintest.Start(t, mounted(func(c echo.Context) error {
		ctx, span := trace.SpanFromContext(c.Request().Context()).TracerProvider().Tracer("things").Start(c.Request().Context(), "count things")
		defer span.End()
		span.RecordError(errors.New("a wooden horse"))
		want = `"traceId":"` + span.SpanContext().TraceID().String() + `"`
		var n int64
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE username <> 'a wooden horse'`).Scan(&n)
	}, func(_ *echo.Echo, app *login.App) { db = app.DB() }), "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=10")
	s.Do(t, "GET", "/things/7", s.Token(t, "ann", "things:read"), "").Want(t, 204)
	sent := ""
	for !strings.Contains(sent, `"name":"GET /things/{thing_id}"`) { // which ends last
		sent += <-bodies
	}
	if strings.Count(sent, want) < 2 || !strings.Contains(sent, `"name":"count things"`) ||
		!strings.Contains(sent, `"scope":{"name":"things"}`) || strings.Contains(sent, "horse") {
		t.Errorf("sent is %s", sent)
	}
}

// A program that has traces of its own and no setting for Sesame's finds the steps of Sesame below its own spans.
func TestSpansOfTheProgramGetThoseOfSesameBelowThem(t *testing.T) {
	logintest.OnEachEngine(t, func(ctx context.Context, app *login.App) (*echo.Echo, error) {
		recorder := tracetest.NewSpanRecorder()
		provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
		e, err := mounted(nothing, nil)(ctx, app)
		if err != nil {
			return nil, err
		}
		e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				ctx, span := provider.Tracer("program").Start(c.Request().Context(), "program")
				defer span.End()
				c.SetRequest(c.Request().WithContext(ctx))
				return next(c)
			}
		})
		e.GET("/recorded", func(c echo.Context) error {
			var names []string
			for _, span := range recorder.Ended() {
				names = append(names, span.Name())
			}
			return c.String(http.StatusOK, strings.Join(names, "\n"))
		})
		return e, nil
	}, func(t *testing.T, s *logintest.Server) {
		s.Token(t, "ann")
		names := string(s.Do(t, "GET", "/recorded", "", "").Want(t, 200).Body)
		if !strings.Contains(names, "password verify\n") || !strings.Contains(names, "sessions") || !strings.Contains(names, "program\n") {
			t.Errorf("recorded are\n%s", names)
		}
	})
}
