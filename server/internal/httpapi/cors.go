package httpapi

import (
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// traceHeaders are the headers that tracing libraries add to every request of a page (W3C Trace Context and Baggage, Sentry). A page
// that adds one which is not allowed could not call at all.
var traceHeaders = []string{"traceparent", "tracestate", "baggage", "sentry-trace"}

// cors allows pages of the listed origins to call the operations. Tokens are sent in a header that the page sets, so
// credentials (cookies) are never allowed.
//
// No page of another origin may read the operations that answer with pages (OAuth 2.1 §3.1).
//
// An origin that is not listed gets the answer of a server without CORS; Echo's middleware would answer 204 to an OPTIONS
// that no operation declares. Every response has Vary, for caches.
func cors(origins []string, page func(echo.Context) bool) echo.MiddlewareFunc {
	allowed := func(c echo.Context) bool {
		return slices.Contains(origins, c.Request().Header.Get(echo.HeaderOrigin)) && !page(c)
	}
	permit := middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOriginFunc: func(origin string) (bool, error) { return slices.Contains(origins, origin), nil },
		AllowHeaders:    append([]string{echo.HeaderAuthorization, echo.HeaderContentType}, traceHeaders...),
		ExposeHeaders:   []string{echo.HeaderLocation, echo.HeaderRetryAfter, echo.HeaderWWWAuthenticate, echo.HeaderXRequestID},
		MaxAge:          600, // seconds
	})
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		permitted := permit(next)
		return func(c echo.Context) error {
			if allowed(c) {
				return permitted(c)
			}
			c.Response().Header().Add(echo.HeaderVary, echo.HeaderOrigin)
			return next(c)
		}
	}
}
