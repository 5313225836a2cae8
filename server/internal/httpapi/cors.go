package httpapi

import (
	"slices"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// cors lets pages of these origins call the operations, and nobody else's. Tokens travel in a header
// that a page sets itself, so credentials (cookies) are never allowed.
//
// To an origin that is not listed the server answers as if it knew nothing of CORS: Echo's own way
// would be a 204 to an OPTIONS that no operation declares. Vary is said to all, for caches.
func cors(origins []string) echo.MiddlewareFunc {
	allowed := func(c echo.Context) bool { return slices.Contains(origins, c.Request().Header.Get(echo.HeaderOrigin)) }
	permit := middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOriginFunc: func(origin string) (bool, error) { return slices.Contains(origins, origin), nil },
		AllowHeaders:    []string{echo.HeaderAuthorization, echo.HeaderContentType},
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
