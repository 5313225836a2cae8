package httpapi

import (
	"log/slog"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
)

// removeBase makes e serve every path with the path of the public URL in front as well: not every proxy removes it. It does
// not where the paths of the contract begin with it, because such a request has two readings.
func removeBase(e *echo.Echo, c *contract.Contract, publicURL string, log *slog.Logger) {
	u, err := url.Parse(publicURL)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return
	}
	base := strings.TrimSuffix(u.Path, "/")
	for _, op := range c.Operations() {
		if strings.HasPrefix(op.Path+"/", base+"/") {
			log.Warn("operations begin with the path of the public URL, so the proxy must remove it from requests", "public_url", publicURL, "operation", op.Path)
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
			r.URL, r.RequestURI = &u, u.RequestURI() // in place, because Echo routes this request
			return next(c)
		}
	})
}
