package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/internal/tracing"
	"sesame/server/internal/web"
)

// Middleware gives requests an id, answers errors, and writes the log.
type Middleware struct {
	PublicURL   string                       // no trailing slash
	CORSOrigins []string                     // whose pages may call the operations
	ClientIP    func(r *http.Request) string // the address of the client of a request
	Log         *slog.Logger
	// Measure counts a request and how long it took, for metrics. It may be nil.
	Measure func(method, route string, status int, took time.Duration)
	Tracer  *tracing.Tracer // makes the span of a request; nil for none
	Site    web.Site        // for errors that a browser shows; none without a name
	// AnswersWithPages reports whether the operations of a path do so. It is needed with CORSOrigins.
	AnswersWithPages func(echo.Context) bool
	// Operation finds the operation that a request was routed to; nil for a page or for nothing.
	Operation func(echo.Context) *contract.Operation
}

// Observe is the outermost middleware: it gives the request an id, sets the headers that every response has, turns a panic
// into an error, answers errors, and writes one log line. The line has the route, and neither the URL nor any header, since
// both may contain secrets; and the id of the trace.
func (m *Middleware) Observe(next echo.HandlerFunc) echo.HandlerFunc {
	// The values are shared by all requests and never changed. No response may be stored unless its handler allows it, as
	// those of the key set and of the documentation pages do.
	fixed := http.Header{
		echo.HeaderXContentTypeOptions: {"nosniff"}, echo.HeaderReferrerPolicy: {"no-referrer"}, echo.HeaderCacheControl: {noStore},
	}
	if strings.HasPrefix(m.PublicURL, "https://") {
		fixed.Set(echo.HeaderStrictTransportSecurity, "max-age=31536000")
	}
	undeclared := echo.MethodNotAllowedHandler
	if len(m.CORSOrigins) > 0 {
		permit := cors(m.CORSOrigins, m.AnswersWithPages)
		next, undeclared = permit(next), permit(undeclared)
	}
	return func(c echo.Context) error {
		start := time.Now()
		id := requestID()
		header := c.Response().Header()
		header.Set(echo.HeaderXRequestID, id)
		maps.Copy(header, fixed)
		span := m.trace(c, id)
		defer span.End() // even if the connection is aborted
		handler := next
		if c.Request().Method == http.MethodOptions && c.Get(echo.ContextKeyHeaderAllow) != nil {
			handler = undeclared // Echo would answer it, although no operation declares it
		}
		err := guarded(handler, c)
		if err != nil {
			m.answer(err, c)
		}
		span.Answered(c.Response().Status)
		took := time.Since(start)
		if m.Measure != nil {
			m.Measure(c.Request().Method, m.route(c), c.Response().Status, took)
		}
		m.logRequest(c, id, start.Add(took), took, err)
		return nil
	}
}

// trace begins the span of a request, in whose context the handlers then run.
func (m *Middleware) trace(c echo.Context, id string) tracing.Span {
	if m.Tracer == nil {
		return tracing.Span{}
	}
	r, route := c.Request(), ""
	if c.Get(echo.ContextKeyHeaderAllow) == nil { // otherwise the path has no handler for the method
		route = m.route(c)
	}
	ctx, span := m.Tracer.Request(r.Context(), r.Header, r.Method, route)
	c.SetRequest(r.WithContext(ctx))
	span.Set("sesame.request_id", id)
	return span
}

// answer answers an error. The contract's errors are answered here for every operation. Other errors that a handler of the
// team's own operation returns go to the error handler of its Echo server.
func (m *Middleware) answer(err error, c echo.Context) {
	if op := m.Operation(c); op != nil && op.Foreign {
		if _, ok := errors.AsType[*problem.Error](err); !ok {
			if p, ok := err.(panicked); ok { //nolint:errorlint // nothing wraps it on the way
				err = p.error
			}
			c.Error(err)
			return
		}
	}
	m.AnswerError(err, c)
}

// requestID returns a UUIDv7, so that ids sort by time. An id that the client sends is not used: it could be the id of
// another request.
func requestID() string {
	id, err := uuid.NewV7()
	if err != nil { // the system's random source failed; the id need not be secret
		return fmt.Sprintf("t%d", time.Now().UnixNano())
	}
	return id.String()
}

// panicked is a panic with its stack, which is for the log and not for error handlers of others.
type panicked struct {
	error
	stack []byte
}

// Error is the text for the log.
func (p panicked) Error() string { return p.error.Error() + "\n" + string(p.stack) }

// Unwrap returns the panic without its stack.
func (p panicked) Unwrap() error { return p.error }

// guarded runs a handler and returns its panic as an error. Only panics of the runtime are quoted; any other value could
// contain what a client sent.
func guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch value := recover().(type) {
		case nil:
		case runtime.Error:
			err = panicked{fmt.Errorf("panic: %w", value), stack()}
		default:
			if value == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				panic(value)
			}
			err = panicked{fmt.Errorf("panic with a %T", value), stack()}
		}
	}()
	return next(c)
}

func stack() []byte {
	text := make([]byte, 8<<10)
	return text[:runtime.Stack(text, false)]
}

// logRequest calls the handler directly: a Logger would look up its caller, which is always this function.
func (m *Middleware) logRequest(c echo.Context, id string, now time.Time, took time.Duration, err error) {
	level, p := slog.LevelInfo, (*problem.Error)(nil)
	if err != nil {
		// An error handler of others may have answered a mistake of the caller's.
		if p = asProblem(err); p.Code == problem.Internal && c.Response().Status/100 != 4 {
			level = slog.LevelError
		}
	}
	ctx := c.Request().Context()
	if !m.Log.Enabled(ctx, level) {
		return
	}
	line := slog.NewRecord(now, level, "request", 0)
	line.AddAttrs(
		slog.String("request_id", id), slog.String("method", method(c.Request().Method)), slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status), slog.Int64("took_us", took.Microseconds()), slog.String("ip", m.ClientIP(c.Request())))
	if trace := traceID(ctx, c.Request().Header); trace != "" {
		line.AddAttrs(slog.String("trace_id", trace))
	}
	if who := caller(ctx); who != nil {
		line.AddAttrs(slog.String("user_id", who.User.ID))
		if who.TokenID != "" {
			line.AddAttrs(slog.String("token_id", who.TokenID))
		}
	}
	if p != nil {
		line.AddAttrs(slog.String("error", p.Error()))
	}
	_ = m.Log.Handler().Handle(ctx, line) // a Logger ignores it, too
}

// route returns the path of an operation as the contract has it, or the route of a page; "" for a request that is for neither.
func (m *Middleware) route(c echo.Context) string {
	if op := m.Operation(c); op != nil {
		return op.Path
	}
	return c.Path()
}

// method keeps an unknown method, which may have any length, out of the log.
func method(m string) string {
	if len(m) > 10 {
		return "other"
	}
	return m
}
