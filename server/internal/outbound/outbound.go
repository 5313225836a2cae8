// Package outbound makes the client for requests to addresses that somebody else has chosen: providers, the receivers of webhooks.
//
//	policy := outbound.Policy{Whose: "provider", Setting: "SESAME_PRIVATE_PROVIDERS"}
//	reason := policy.CheckURL(address) // when the address is configured
//	client := policy.NewClient(timeout, maxBody)
//
// Such an address must not lead into the network of the server. Its text is checked when it is configured, for a helpful message;
// what protects the network is the check of the resolved address at each connection (client.go), together with the refusal of redirects.
package outbound

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Policy says which addresses may be used.
type Policy struct {
	Private bool           // allows private network addresses, plain http, and the proxy of the environment
	Whose   string         // whose address it is, for messages: "provider"
	Setting string         // the setting that sets Private, for messages
	Roots   *x509.CertPool // the authorities that hosts have their certificates from; nil for those of the system
}

// global is the part of IPv6 that has servers of the internet. The rest is not assigned, or holds addresses with a special purpose, such
// as those that embed one of IPv4 for a translator.
var global = netip.MustParsePrefix("2000::/3")

// special are the addresses of IANA's registries of special purposes that neither global nor the methods of netip.Addr leave out.
var special = func() (prefixes []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}()

// isPublic reports whether an address can be that of a server on the internet. Addresses that embed one of IPv4 for a translator
// (NAT64, 6to4) are not: they would reach private ones.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Is6() && !global.Contains(ip) {
		return false
	}
	for _, prefix := range special {
		if prefix.Contains(ip) {
			return false
		}
	}
	return true
}

// CheckURL returns why a URL cannot be used, or "". It may have a query, but neither a fragment nor a user.
func (p Policy) CheckURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "must be a URL such as https://accounts.example.com"
	case strings.Contains(text, "#"):
		return "must have no fragment"
	case p.Private:
		return ""
	case u.Scheme != "https":
		return fmt.Sprintf("must begin with https://; %s=on allows http", p.Setting)
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip, err := netip.ParseAddr(host); err == nil && !isPublic(ip) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return fmt.Sprintf("is at a private network address; %s=on allows that", p.Setting)
	}
	return ""
}
