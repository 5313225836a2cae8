package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
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

// Proxies are the networks of the trusted proxies, after Check has found them good.
func (s *Settings) Proxies() []*net.IPNet {
	items := s.TrustedProxies.Items()
	networks := make([]*net.IPNet, 0, len(items))
	for _, item := range items {
		if _, network, err := net.ParseCIDR(item); err == nil {
			networks = append(networks, network)
		}
	}
	return networks
}

// checkNetwork says why a text is not a network, or nothing. Bits beyond the prefix are mistakes: who
// writes 10.1.2.3/8 may mean less than 10.0.0.0/8.
func checkNetwork(text string) (reason string) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return "is no network such as 10.0.0.0/8 or 192.0.2.1/32"
	case prefix.Masked() != prefix:
		return "has bits beyond its prefix; write " + prefix.Masked().String()
	case prefix.Bits() == 0:
		return "is everybody: whoever asks could then choose an address"
	}
	return ""
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
	case strings.ContainsAny(u.Host, "*?"):
		return "must be exact, without wildcards"
	case strings.ToLower(text) != text:
		return "must be in small letters, as browsers send it"
	case u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443":
		return "must leave the default port out, as browsers do"
	}
	return ""
}
