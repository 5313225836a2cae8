package login

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// route is a route of Echo, on its default host.
type route struct{ method, path string }

// String is the method and the path.
func (r route) String() string { return r.method + " " + r.path }

// mayBeTaken reports whether a host may serve the path of this page itself, before or after Mount.
func (r route) mayBeTaken() bool { return r.path == "/" || r.path == "/favicon.ico" }

// remedy is what else resolves a conflict with a route of Sesame's: the pages that an operator can switch off.
func (r route) remedy() string {
	if r.path == "/admin" || strings.HasPrefix(r.path, "/admin/") {
		return ", or set SESAME_ADMIN=off"
	}
	return ""
}

// routesOf names the handler of each route.
func routesOf(e *echo.Echo) map[route]string {
	routes := map[route]string{}
	for _, r := range e.Routes() {
		routes[route{r.Method, r.Path}] = r.Name
	}
	return routes
}

// addRoutes keeps what Mount has added to e. It fails where Mount has replaced a route, and where the document has the
// path of a page.
func (a *App) addRoutes(before, after map[route]string) error {
	a.routes = map[route]string{}
	for r, handler := range after {
		if theirs, known := before[r]; known && theirs != handler {
			return fmt.Errorf("the route %s is Sesame's; give yours another path%s", r, r.remedy())
		} else if known {
			continue
		}
		if op := a.contract.FindRoute(r.method, r.path); (op == nil || op.Foreign) && !r.mayBeTaken() && a.contract.HasRoute(r.path) {
			return fmt.Errorf("the path %s of the OpenAPI document is that of a page of Sesame's; give yours another one%s", r.path, r.remedy())
		}
		a.routes[r] = handler
	}
	return nil
}

// measuredRoutes returns the routes that metrics may name: the paths of the contract and those of Sesame's pages.
func (a *App) measuredRoutes() (paths []string) {
	for _, op := range a.contract.Operations() {
		paths = append(paths, op.Path)
	}
	for r := range a.routes {
		if !a.contract.HasRoute(r.path) {
			paths = append(paths, r.path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// isPage reports whether Echo has routed a request to a page of Sesame's, or refuses its method there.
func (a *App) isPage(c echo.Context) bool {
	method := c.Request().Method
	if _, ours := a.routes[route{method, c.Path()}]; !ours {
		if _, ours = a.routes[route{"GET", c.Path()}]; !ours || c.Get(echo.ContextKeyHeaderAllow) == nil {
			return false
		}
	}
	return !a.contract.HasRoute(c.Path())
}

// checkRoutes returns an error unless every operation has a handler, Sesame's have theirs, and each other handler can be
// reached and is not that of an operation: the contract would not be enforced there.
func (a *App) checkRoutes(e *echo.Echo) error {
	faults := []error{a.contract.CheckRoutes(e.Routes())}
	names := routesOf(e)
	for r, handler := range a.routes {
		op := a.contract.FindRoute(r.method, r.path)
		switch {
		case op != nil && op.Foreign && names[r] == handler:
			faults = append(faults, fmt.Errorf("%s (%s) is in the OpenAPI document, but no handler is registered for it", r, op.ID))
		case names[r] != handler && !r.mayBeTaken() && a.http.Shared: // `sesame serve --follow` replaces pages
			faults = append(faults, fmt.Errorf("the route %s is Sesame's, and %s takes its place; give yours another path%s", r, names[r], r.remedy()))
		}
	}
	guarded := map[string]route{} // the routes of operations that not anyone may call, by their handlers
	for r, handler := range names {
		// A function that is no method may make handlers, all of one name.
		if op := a.contract.FindRoute(r.method, r.path); op != nil && !op.Public() && strings.HasSuffix(handler, "-fm") {
			guarded[handler] = r
		}
	}
	check := func(host string, r *echo.Route) {
		if reason := a.contract.Obscures(r.Method, r.Path); reason != "" {
			faults = append(faults, fmt.Errorf("the handler of %s %s cannot be reached: %s", r.Method, host+r.Path, reason))
		} else if of, ok := guarded[r.Name]; ok && a.contract.FindRoute(r.Method, r.Path) == nil {
			faults = append(faults, fmt.Errorf("%s %s has the handler of %s, but the OpenAPI document does not have it, so anyone could call it", r.Method, host+r.Path, of))
		}
	}
	for _, r := range e.Routes() {
		if _, ours := a.routes[route{r.Method, r.Path}]; !ours {
			check("", r)
		}
	}
	for host, router := range e.Routers() {
		for _, r := range router.Routes() {
			check(host, r)
		}
	}
	return errors.Join(faults...)
}
