package contract

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"
)

// Enforce gives the middleware that admits requests to the operations of the document, for Echo's Use. It fails for
// paths that Echo cannot serve, or between which it might not choose as the document means. The route that Echo has
// chosen must be that of the operation. Requests that neither are for an operation, nor were routed to a path of the
// document, pass.
func (c *Contract) Enforce() (echo.MiddlewareFunc, error) {
	var err error
	if c.router, err = NewRouter("", c.Operations()); err != nil {
		return nil, err
	}
	for _, op := range c.operations {
		if t, err := newTemplate("", op.Path); err != nil || !t.isEchoRoute(echoPath(op.Path)) {
			return nil, fmt.Errorf("%s: Echo cannot route this path: write its text decoded, without *, without a colon at the beginning of a segment and without text beside a parameter", op.Path)
		}
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			r := ctx.Request()
			found, routed := c.router.Find(r.Method, r.URL), c.FindRoute(r.Method, ctx.Path())
			// Echo has no handler where it has set the header Allow: it answers 405 by itself.
			if found.Operation != routed || routed == nil && ctx.Get(echo.ContextKeyHeaderAllow) == nil && c.HasRoute(ctx.Path()) {
				return misrouted(ctx, found)
			}
			if routed == nil {
				return next(ctx)
			}
			r, err := routed.Admit(r, found.Params())
			if err != nil {
				return err
			}
			ctx.SetRequest(r)
			return next(ctx)
		}
	}, nil
}

// Concerns reports whether a request is for an operation, or was routed to a path of the document. It needs Enforce.
func (c *Contract) Concerns(ctx echo.Context) bool {
	return c.HasRoute(ctx.Path()) || c.router.Find(ctx.Request().Method, ctx.Request().URL).Operation != nil
}

// HasPath reports whether a URL is that of an operation, for whatever method. It needs Enforce.
func (c *Contract) HasPath(u *url.URL) bool { return len(c.router.Find("", u).Allowed) > 0 }

// HasRoute reports whether a route of Echo is a path of the document, whatever it calls the parameters.
func (c *Contract) HasRoute(path string) bool { return c.paths[path] || c.paths[unnamed(path)] }

// unnamed gives a route of Echo without the names of its parameters.
func unnamed(path string) string {
	if !strings.Contains(path, "/:") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, ":") {
			segments[i] = ":"
		}
	}
	return strings.Join(segments, "/")
}

// unlikely is the value of a parameter where only the route counts: no text of a path, in all likelihood.
const unlikely = "~"

// echoParameter is a parameter of a route, or a colon that is escaped.
var echoParameter = regexp.MustCompile(`\\?:[^/]*`)

// Obscures says why requests that Echo leads to a route are refused though the document has not got it, or gives "". It
// needs Enforce.
func (c *Contract) Obscures(method, path string) string {
	if c.FindRoute(method, path) != nil || method == echo.RouteNotFound || strings.Contains(path, "*") {
		return ""
	}
	request := echoParameter.ReplaceAllStringFunc(path, func(part string) string {
		if text, escaped := strings.CutPrefix(part, `\`); escaped {
			return text
		}
		return unlikely
	})
	found := c.router.Find(method, &url.URL{Path: request})
	switch {
	case found.Operation != nil:
		return fmt.Sprintf("such requests are for %s %s (%s) in the OpenAPI document", method, found.Operation.Path, found.Operation.ID)
	case c.HasRoute(path):
		return "the OpenAPI document has this path, but not with this method"
	}
	return ""
}

// misrouted answers a request that Echo has led to the handler of another operation than the document has
// for it: to Echo, a parameter at the end of a route is all the rest of the path.
func misrouted(c echo.Context, found Match) error {
	c.SetPath("") // it is no operation's
	if len(found.Allowed) == 0 {
		return echo.ErrNotFound
	}
	c.Response().Header().Set(echo.HeaderAllow, strings.Join(found.Allowed, ", "))
	return echo.ErrMethodNotAllowed
}

// PlainPaths is a middleware for Echo's Pre. Echo compares routes with the path as it was sent, if Go would escape it
// differently; the document means the decoded path.
func PlainPaths(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		*r = *Plain(r) // in place, because Echo routes this request
		return next(c)
	}
}

// echoPath returns a path of the document as the generated code registers it with Echo.
func echoPath(path string) string {
	return pathParameter.ReplaceAllString(strings.ReplaceAll(path, ":", `\:`), ":$1")
}

// isEchoRoute reports whether a route of Echo has the path of the template, apart from the names of the parameters.
func (t *template) isEchoRoute(route string) bool {
	parts := strings.Split(route, "/")[1:] // the empty route has no parts
	if len(parts) != len(t.segments) {
		return false
	}
	for i, s := range t.segments {
		switch {
		case !s.isText() && (s.isMixed() || !strings.HasPrefix(parts[i], ":")):
			return false
		case s.isText() && (parts[i] != strings.ReplaceAll(s.text, ":", `\:`) || !s.echoTakes()):
			return false
		}
	}
	return true
}

// echoTakes reports whether Echo can route a text. To Echo a * is the rest of the path, and it confuses an escaped colon at
// the beginning with a parameter in the same place.
func (s segment) echoTakes() bool {
	return !strings.Contains(s.text, "*") && !strings.HasPrefix(s.text, ":")
}

// IsEchoRoute reports whether a route of Echo, as echo.Context.Path gives it, is that of the operation.
func (m Match) IsEchoRoute(route string) bool { return m.route.isEchoRoute(route) }

// FindRoute gives the operation behind an Echo route, or nil. A route for HEAD is for the operation of GET where it has none
// of its own.
func (c *Contract) FindRoute(method, path string) *Operation {
	if op := c.routes[method+" "+path]; op != nil || method != http.MethodHead {
		return op
	}
	return c.routes[http.MethodGet+" "+path]
}

// AddHead gives e, and each of its virtual hosts, a route for HEAD for each operation of GET that has none (RFC 9110 §9.3.2:
// servers must support it). It runs the handler of GET, whose body net/http does not send. Call it when every operation has
// its handler.
func (c *Contract) AddHead(e *echo.Echo) {
	c.addHead(e, e.Router())
	for _, router := range e.Routers() {
		c.addHead(e, router)
	}
}

func (c *Contract) addHead(e *echo.Echo, router *echo.Router) {
	served := map[string]bool{}
	for _, route := range router.Routes() {
		served[route.Method+" "+route.Path] = true
	}
	for _, op := range c.Operations() {
		path := echoPath(op.Path)
		if op.Method != http.MethodGet || served[http.MethodHead+" "+path] || !served[http.MethodGet+" "+path] {
			continue
		}
		// Finding the handler at each request would lead to another one if a middleware has changed the path meanwhile.
		get := e.NewContext(nil, nil)
		if router.Find(http.MethodGet, pathParameter.ReplaceAllString(op.Path, unlikely), get); get.Path() == path {
			router.Add(http.MethodHead, path, get.Handler())
		}
	}
}

// CheckRoutes reports the operations of the document that none of these routes serves.
func (c *Contract) CheckRoutes(routes []*echo.Route) error {
	served := map[string]bool{}
	for _, route := range routes {
		served[route.Method+" "+route.Path] = true
	}
	var faults []error
	for _, op := range c.Operations() {
		if !served[op.Method+" "+echoPath(op.Path)] {
			faults = append(faults, fmt.Errorf("%s %s (%s) is in the OpenAPI document, but no handler is registered for it", op.Method, op.Path, op.ID))
		}
	}
	return errors.Join(faults...)
}

// CheckGenerated reports routes of generated code that the document does not have, because the code was generated from
// another document.
func (c *Contract) CheckGenerated(routes []*echo.Route) error {
	var faults []error
	for _, route := range routes {
		if c.FindRoute(route.Method, route.Path) == nil {
			faults = append(faults, fmt.Errorf("%s %s is in the generated code, but not in the OpenAPI document", route.Method, route.Path))
		}
	}
	return errors.Join(faults...)
}

// CheckResponses is a middleware that compares every response with the document and reports the differences. It sends the
// response unchanged, and costs too much for production. answer writes the response for an error, which is compared too.
func (c *Contract) CheckResponses(report func(error), answer func(error, echo.Context)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			copied := &copyingWriter{ResponseWriter: ctx.Response().Writer}
			ctx.Response().Writer = copied
			err := next(ctx)
			if err != nil {
				answer(err, ctx)
			}
			op := c.FindRoute(ctx.Request().Method, ctx.Path())
			if op == nil {
				return err
			}
			if fault := op.CheckResponse(ctx.Response().Status, ctx.Response().Header(), copied.body.Bytes()); fault != nil {
				report(fault)
			}
			return err
		}
	}
}

type copyingWriter struct {
	http.ResponseWriter
	body bytes.Buffer
}

// Write implements http.ResponseWriter. Of a body that is not JSON only its existence is compared, so that an export, which may be
// of any size, does not fill the memory.
func (w *copyingWriter) Write(p []byte) (int, error) {
	if IsJSON(w.Header().Get("Content-Type")) || w.body.Len() == 0 {
		w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *copyingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
