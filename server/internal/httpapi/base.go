package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// removeBase makes e serve every path with the path of the public URL in front as well: not every proxy removes it. It does
// not where the paths of the contract begin with it, because such a request has two readings. A request that has another
// reading, as an operation or as a route of the team, keeps it.
func removeBase(e *echo.Echo, o Options) {
	u, err := url.Parse(o.PublicURL)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return
	}
	base := strings.TrimSuffix(u.Path, "/")
	for _, op := range o.Contract.Operations() {
		if strings.HasPrefix(op.Path+"/", base+"/") {
			o.Log.Warn("operations begin with the path of the public URL, so the proxy must remove it from requests", "public_url", o.PublicURL, "operation", op.Path)
			return
		}
	}
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			path, ok := strings.CutPrefix(r.URL.Path, base)
			if !ok || r.URL.RawPath != "" || path != "" && path[0] != '/' {
				return next(c)
			}
			u := *r.URL
			u.Path = "/" + strings.TrimPrefix(path, "/")
			if !o.Shared || !o.keepsBase(e, r, &u) {
				r.URL, r.RequestURI = &u, u.RequestURI() // in place, because Echo routes this request
			}
			return next(c)
		}
	})
}

// keepsBase reports whether a request is meant as it came, although its path begins with the base path: it is for an
// operation, or for a route of the team where the rest of the path is neither an operation nor a page of Sesame's. Those
// are not on virtual hosts.
func (o Options) keepsBase(e *echo.Echo, r *http.Request, rest *url.URL) bool {
	if o.Contract.HasPath(r.URL) {
		return true
	}
	host := e.Routers()[r.Host]
	routed := func(u *url.URL) echo.Context {
		c := e.NewContext(&http.Request{Method: r.Method, URL: u}, nil)
		cmp.Or(host, e.Router()).Find(r.Method, u.Path, c)
		return c
	}
	ours := host == nil && (o.Contract.HasPath(rest) || rest.Path != "/" && o.IsPage(routed(rest))) // the page at the root gives way
	return !ours && routed(r.URL).Path() != ""
}
