package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// List is comma-separated texts.
type List string

// Items are the texts of a list, without the white space around them.
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

// Proxies are the networks of the trusted proxies that checkNetwork accepts.
func (s *Settings) Proxies() []netip.Prefix {
	var networks []netip.Prefix
	for _, item := range s.TrustedProxies.Items() {
		if prefix, err := netip.ParsePrefix(item); err == nil {
			networks = append(networks, prefix)
		}
	}
	return networks
}

const trustsEverybody = "trusts every client: any of them could spoof its IP address"

// checkNetwork returns why a text is not a network of proxies, or "". Bits beyond the prefix are mistakes:
// 10.1.2.3/8 may be meant to be less than 10.0.0.0/8.
func checkNetwork(text string) (reason string) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "is not a network such as 10.0.0.0/8 or 192.0.2.1/32"
	case prefix.Addr().Is4In6():
		return "is an IPv4 network in the form of IPv6; write it as IPv4, such as 10.0.0.0/8"
	case prefix.Masked() != prefix:
		return "has bits beyond its prefix; write " + prefix.Masked().String()
	case prefix.Bits() == 0:
		return trustsEverybody
	}
	return ""
}

// Where clients of the internet can come from: all of IPv4 but notClients, and the unicast space of IPv6.
var (
	allIPv4     = netip.MustParsePrefix("0.0.0.0/0")
	unicastIPv6 = netip.MustParsePrefix("2000::/3")
	notClients  = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/3"),
	}
)

// checkTrust returns why the networks are no trust in some proxies but in everybody, however the whole is
// split, or "".
func checkTrust(networks []netip.Prefix) (reason string) {
	if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		return "" // checkNetwork names it
	}
	if covered(allIPv4, append(slices.Clone(notClients), networks...)) || covered(unicastIPv6, networks) {
		return "is a list of networks that together " + strings.Replace(trustsEverybody, "trusts", "trust", 1)
	}
	return ""
}

// covered reports whether networks hold every address of a space.
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

// halves splits a network in two.
func halves(p netip.Prefix) (lower, upper netip.Prefix) {
	bits := p.Bits()
	bytes := p.Addr().AsSlice()
	lower = netip.PrefixFrom(p.Addr(), bits+1)
	bytes[bits/8] |= 0x80 >> (bits % 8)
	second, _ := netip.AddrFromSlice(bytes) // it has the length of an address
	return lower, netip.PrefixFrom(second, bits+1)
}

// checkOrigin says why a text is not an origin as browsers send it (RFC 6454 §6.2), or nothing. It is
// compared to the byte, so a default port and capitals would never match.
func checkOrigin(text string) (reason string) {
	u, err := url.Parse(text)
	switch {
	case text == "*":
		return "would let the pages of everybody in; name each origin"
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != text:
		return "must be an origin such as https://app.example.com, without a path or a slash at the end"
	case !validPort(u):
		return "has a port that is not from 1 to 65535"
	case strings.ContainsAny(u.Host, "*?"):
		return "must be exact, without wildcards"
	case strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }):
		return "must have the ASCII form of its name (xn--…), as browsers send it"
	case strings.HasPrefix(u.Port(), "0"):
		return "must have a port without zeros before it, as browsers send it"
	case strings.ToLower(text) != text:
		return "must be in small letters, as browsers send it"
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443":
		return "must leave the default port out, as browsers do"
	}
	return ""
}
