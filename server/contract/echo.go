package contract

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"
)

// Middlewares gives the enforcement of every operation, by operationId, as the generated
// RegisterHandlersOptions.OperationMiddlewares takes it.
func (c *Contract) Middlewares() (map[string][]echo.MiddlewareFunc, error) {
	router, err := NewRouter("", c.Operations())
	if err != nil {
		return nil, err
	}
	all := make(map[string][]echo.MiddlewareFunc, len(c.operations))
	for id, op := range c.operations {
		all[id] = []echo.MiddlewareFunc{op.middleware(router)}
	}
	return all, nil
}

func (op *Operation) middleware(router *Router) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return op.serve(c, router, next) }
	}
}

func (op *Operation) serve(c echo.Context, router *Router, next echo.HandlerFunc) error {
	var params map[string]string
	if names := c.ParamNames(); len(names) > 0 {
		params = make(map[string]string, len(names))
		for i, name := range names {
			params[name] = c.ParamValues()[i]
			if strings.Contains(params[name], "/") {
				if err := op.misrouted(c, router); err != nil {
					return err
				}
			}
		}
	}
	r, err := op.Admit(c.Request(), params)
	if err != nil {
		return err
	}
	c.SetRequest(r)
	return next(c)
}

// misrouted looks again where a request has led whose path is longer than the operation's: to Echo, a
// parameter at the end of a route is all the rest of the path.
func (op *Operation) misrouted(c echo.Context, router *Router) error {
	found, _, allowed := router.Find(op.Method, c.Request().URL.EscapedPath())
	if found == op {
		return nil
	}
	c.SetPath("") // it is no operation's
	if len(allowed) == 0 {
		return echo.ErrNotFound
	}
	c.Response().Header().Set(echo.HeaderAllow, strings.Join(allowed, ", "))
	return echo.ErrMethodNotAllowed
}

var pathParameter = regexp.MustCompile(`\{([^{}]+)\}`)

// echoPath writes a path of the document as Echo does.
func echoPath(path string) string { return pathParameter.ReplaceAllString(path, ":$1") }

// FindRoute gives the operation behind an Echo route, or nil.
func (c *Contract) FindRoute(method, path string) *Operation {
	for _, op := range c.operations {
		if op.Method == method && echoPath(op.Path) == path {
			return op
		}
	}
	return nil
}

// CheckRoutes reports where the document and the generated routes differ: the code was generated
// from another document. Call it while no other routes are registered.
func (c *Contract) CheckRoutes(routes []*echo.Route) error {
	generated := map[string]bool{}
	var faults []error
	for _, route := range routes {
		generated[route.Method+" "+route.Path] = true
		if c.FindRoute(route.Method, route.Path) == nil {
			faults = append(faults, fmt.Errorf("%s %s is in the generated code but not in the OpenAPI document; run: make generate", route.Method, route.Path))
		}
	}
	for _, op := range c.Operations() {
		if !generated[op.Method+" "+echoPath(op.Path)] {
			faults = append(faults, fmt.Errorf("%s %s (%s) is in the OpenAPI document but not in the generated code; run: make generate", op.Method, op.Path, op.ID))
		}
	}
	return errors.Join(faults...)
}

// CheckResponses is a middleware that compares every answer with the document and reports what
// departs from it. The answer goes out unchanged; it is for test runs and staging, not for load.
func (c *Contract) CheckResponses(report func(error)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			copied := &copyingWriter{ResponseWriter: ctx.Response().Writer}
			ctx.Response().Writer = copied
			err := next(ctx)
			if err != nil {
				ctx.Error(err) // the answer to an error is checked too
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

// Write implements http.ResponseWriter.
func (w *copyingWriter) Write(p []byte) (int, error) {
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *copyingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
