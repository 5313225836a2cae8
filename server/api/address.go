package api

import (
	"net"

	"github.com/labstack/echo/v4"
)

// ClientAddress finds the address of a client: its own, or, behind proxies of these networks, the
// last one in X-Forwarded-For that is none of them. What stands further left is what a client makes
// of it, as is the whole header where it did not come from a trusted proxy.
func ClientAddress(proxies []*net.IPNet) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	// Echo trusts private networks of itself.
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, network := range proxies {
		options = append(options, echo.TrustIPRange(network))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}
