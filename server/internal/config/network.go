package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// List is a list of texts that are separated by commas.
type List string

// Items returns the texts of a list without the white space around them.
func (l List) Items() []string {
	if strings.TrimSpace(string(l)) == "" {
		return nil
	}
	items := strings.Split(string(l), ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// Proxies returns the networks of the trusted proxies.
func (s *Settings) Proxies() []netip.Prefix {
	var networks []netip.Prefix
	for _, item := range s.TrustedProxies.Items() {
		if prefix, err := netip.ParsePrefix(item); err == nil {
			networks = append(networks, prefix)
		}
	}
	return networks
}

// Socket returns the path of the Unix socket that the server listens at, if it does.
func (s *Settings) Socket() (path string, ok bool) { return strings.CutPrefix(s.Listen, "unix:") }

// maxSocketPath is the longest path of a socket, in bytes, that every system takes.
const maxSocketPath = 103

// checkListen returns why the server cannot listen there, or "".
func (s *Settings) checkListen() (reason string) {
	if path, ok := s.Socket(); ok {
		switch {
		case path == "" || len(path) > maxSocketPath || path[0] == '@': // which is no file, so that everyone could connect
			return "must have the path of a socket after unix:, of at most " + strconv.Itoa(maxSocketPath) + " bytes"
		case s.PublicURL == "":
			return "is a socket, so set " + Prefix + "PUBLIC_URL, too: the address at which clients reach your proxy"
		}
		return ""
	}
	if _, port, err := net.SplitHostPort(s.Listen); err != nil || !isPort(port, 0) {
		return "is " + strconv.Quote(s.Listen) + "; it must be HOST:PORT, with a port from 0 to 65535, or unix:PATH"
	}
	return ""
}

// checkMetricsListen returns why the server cannot serve metrics there, or "".
func (s *Settings) checkMetricsListen() (reason string) {
	if s.MetricsListen == "" {
		return ""
	}
	if _, port, err := net.SplitHostPort(s.MetricsListen); err != nil || !isPort(port, 0) {
		return "is " + strconv.Quote(s.MetricsListen) + "; it must be HOST:PORT, with a port from 0 to 65535"
	}
	if s.MetricsRemote == "off" && !s.MetricsLocal() {
		return "is " + s.MetricsListen + ", which other machines can reach, and anyone who reaches it can read the metrics; listen on 127.0.0.1, " +
			"or set " + Prefix + "METRICS_REMOTE=on and let a firewall or a network policy admit only your Prometheus"
	}
	return ""
}

// MetricsLocal reports whether only this machine can reach the listener of the metrics.
func (s *Settings) MetricsLocal() bool {
	host, _, err := net.SplitHostPort(s.MetricsListen)
	return err == nil && isLoopback(host)
}

const trustsEveryClient = "trusts every client: any of them could spoof its IP address"

// checkNetwork returns why a text cannot be a network of proxies, or "". It refuses bits beyond the prefix, because
// the operator may have meant fewer addresses: 10.1.2.3/8 would trust all of 10.0.0.0/8.
func checkNetwork(text string) (reason string) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "is not a network such as 10.0.0.0/8 or 192.0.2.1/32"
	case prefix.Addr().Is4In6():
		return "is an IPv4 network in IPv6 notation; write it as IPv4, such as 10.0.0.0/8"
	case prefix.Masked() != prefix:
		return "has bits beyond its prefix; write " + prefix.Masked().String()
	case prefix.Bits() == 0:
		return trustsEveryClient
	}
	return ""
}

// Clients on the internet have addresses in all of IPv4 except notClients, and in the unicast space of IPv6.
var (
	allIPv4     = netip.MustParsePrefix("0.0.0.0/0")
	unicastIPv6 = netip.MustParsePrefix("2000::/3")
	notClients  = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/3"),
	}
)

// checkTrust returns a reason if the networks together hold every address that a client can have, however the space is
// split into networks, or "".
func checkTrust(networks []netip.Prefix) (reason string) {
	if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		return "" // checkNetwork reports it
	}
	if covered(allIPv4, append(slices.Clone(notClients), networks...)) || covered(unicastIPv6, networks) {
		return "is a list of networks that together " + strings.Replace(trustsEveryClient, "trusts", "trust", 1)
	}
	return ""
}

// covered reports whether the networks together hold every address of a space.
func covered(space netip.Prefix, networks []netip.Prefix) bool {
	overlap := false
	for _, network := range networks {
		if network.Bits() <= space.Bits() && network.Contains(space.Addr()) {
			return true
		}
		overlap = overlap || network.Overlaps(space)
	}
	if !overlap {
		return false
	}
	lower, upper := halves(space)
	return covered(lower, networks) && covered(upper, networks)
}

// halves splits a network into two of the same size.
func halves(p netip.Prefix) (lower, upper netip.Prefix) {
	bits := p.Bits()
	bytes := p.Addr().AsSlice()
	lower = netip.PrefixFrom(p.Addr(), bits+1)
	bytes[bits/8] |= 0x80 >> (bits % 8)
	second, _ := netip.AddrFromSlice(bytes) // never fails: bytes came from an address
	return lower, netip.PrefixFrom(second, bits+1)
}

// originSchemes are the schemes of the origins that may be listed: of web pages, of apps that show pages, and of extensions.
var originSchemes = []string{"http", "https", "capacitor", "ionic", "tauri", "chrome-extension", "moz-extension", "safari-web-extension"}

// checkOrigin returns why a text is not an origin in the form that browsers send (RFC 6454 §6.2), or "". Origins are
// compared byte for byte, so a default port or capitals would never match.
func checkOrigin(text string) (reason string) {
	u, err := url.Parse(text)
	switch {
	case text == "*":
		return "would allow every origin; list each origin"
	case err != nil || !slices.Contains(originSchemes, u.Scheme) || u.Host == "" || u.Scheme+"://"+u.Host != text:
		return "must be an origin such as https://app.example.com or capacitor://localhost, without a path or a slash at the end"
	case !validPort(u):
		return "has a port that is not from 1 to 65535"
	case strings.ContainsAny(u.Host, "*?"):
		return "must not contain wildcards"
	case strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }):
		return "must have its host name in ASCII (xn--…), as browsers send it"
	case strings.HasPrefix(u.Port(), "0"):
		return "must have a port without leading zeros, as browsers send it"
	case strings.ToLower(text) != text:
		return "must be in lower case, as browsers send it"
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443":
		return "must omit the default port, as browsers do"
	}
	return ""
}

// checkPublicURL returns why a text cannot be the public URL, or "". A slash at the end is refused because issuers are
// compared byte for byte, and other services would configure it without the slash.
func checkPublicURL(text string) (reason string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "must be a URL such as https://login.example.com"
	case !validPort(u):
		return "has a port that is not from 1 to 65535"
	case !strings.HasPrefix(text, u.Scheme+"://"):
		return "must begin with " + u.Scheme + ":// in lower case"
	case strings.ContainsAny(text, "?# ") || u.User != nil:
		return "must have no user, query, fragment or space"
	case strings.HasSuffix(text, "/"):
		return "must not end with a slash"
	}
	return ""
}

// checkPage returns why a text cannot be the URL of a page to which a code is added, or "".
func checkPage(text string) (reason string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return "must be the URL of a page, such as https://app.example.com/reset"
	case !validPort(u):
		return "has a port that is not from 1 to 65535"
	case u.Query().Has("code"):
		return "must not have the parameter code, which the server adds"
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// isPort reports whether a text is a port number that is not less than a minimum.
func isPort(text string, minimum uint64) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port >= minimum
}

// validPort reports whether a URL has no port or one from 1 to 65535. url.Parse accepts any number.
func validPort(u *url.URL) bool {
	return isPort(u.Port(), 1) || u.Port() == "" && !strings.HasSuffix(u.Host, ":")
}
