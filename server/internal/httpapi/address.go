package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// ClientAddress returns a function that finds a client's address: the address of its connection or, behind trusted proxies,
// the last address in X-Forwarded-For that is not one of theirs. A client controls the addresses further left, and the
// whole header of a request that does not come through a trusted proxy. The first such header is logged, because all clients
// of an unlisted proxy share its address. With socket the server listens at a Unix socket, to which only a proxy can connect;
// it logs the first request without the header, because nginx sends none by itself.
func ClientAddress(proxies []netip.Prefix, socket bool, log *slog.Logger) echo.IPExtractor {
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	var once sync.Once
	return func(r *http.Request) string {
		peer, ok := parseAddress(r.RemoteAddr)
		if !ok {
			return ""
		}
		header := r.Header.Values(echo.HeaderXForwardedFor)
		if len(header) == 0 {
			if socket {
				once.Do(func() {
					log.Warn("a request at the socket has no X-Forwarded-For, so its client counts as this machine; let your proxy set the header, " +
						"in place of what the client has sent. This is logged once.")
				})
			}
			return peer.String()
		}
		if !socket && !trusted(peer) {
			once.Do(func() {
				log.Warn("X-Forwarded-For is ignored, because it comes from an address that is not in SESAME_TRUSTED_PROXIES; "+
					"if that is your proxy, name it, or all its clients count as one address. This is logged once.", "from", peer.String())
			})
			return peer.String()
		}
		return forwarded(header, peer, trusted).String()
	}
}

// forwarded walks from the proxy towards the client. At an element that cannot be parsed it returns the peer, since the
// origin is unknown. If all addresses are proxies, the first one is the client.
func forwarded(header []string, peer netip.Addr, trusted func(netip.Addr) bool) netip.Addr {
	client := peer
	for _, line := range slices.Backward(header) {
		for {
			comma := strings.LastIndexByte(line, ',')
			if element := strings.Trim(line[comma+1:], " \t"); element != "" { // RFC 9110 §5.6.1.2: empty elements are ignored
				address, ok := parseAddress(element)
				if !ok {
					return peer
				}
				if client = address; !trusted(address) {
					return client
				}
			}
			if comma < 0 {
				break
			}
			line = line[:comma]
		}
	}
	return client
}

// parseAddress parses an address with or without a port, which Azure and IIS write into X-Forwarded-For, and with or without
// brackets. It drops the zone of an IPv6 address, which is local to the machine that wrote it.
func parseAddress(text string) (netip.Addr, bool) {
	if port, err := netip.ParseAddrPort(text); err == nil {
		return port.Addr().Unmap().WithZone(""), true
	}
	if bare, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(bare, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	address, err := netip.ParseAddr(text)
	return address.Unmap().WithZone(""), err == nil
}
