package login

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/problem"
)

// onlyLocally refuses requests whose Host is a name other than localhost. Open allows Demo on loopback alone, but a tunnel, or a web page
// whose name resolves to 127.0.0.1 (DNS rebinding), reaches that too, and the password of the demo administrator is known.
func (a *App) onlyLocally(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !isLocal(c.Request()) {
			a.AnswerError(problem.New(problem.BadRequest, "The demo accounts have a known password, so this server answers only at localhost. Start it without --demo."), c)
			return nil
		}
		return next(c)
	}
}

// isLocal reports whether a request is for localhost or an IP address, which neither a tunnel nor DNS rebinding has: emulators
// of phones reach this machine at 10.0.2.2. Browsers always send a Host.
func isLocal(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	_, err := netip.ParseAddr(host)
	return err == nil || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
