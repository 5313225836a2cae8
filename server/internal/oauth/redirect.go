package oauth

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const (
	maxRedirects       = 20
	maxRedirectAddress = 2000
)

// hostText are the hosts that a registered address can have. Content-Security-Policy must be able to name them: url.Parse takes
// the characters that end a source, a directive or a policy there, and the asterisk, too.
var hostText = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)

// checkRedirect says what is wrong with an address that a client wants to register, or returns "" (RFC 8252 §7,
// RFC 9700 §2.1).
func checkRedirect(address string) string {
	u, err := url.Parse(address)
	printable := func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f || r == '\\' }
	switch {
	case err != nil || len(address) > maxRedirectAddress || strings.ContainsFunc(address, printable):
		return "must be a URL of at most 2000 ASCII characters"
	case strings.Contains(address, "#"):
		return "must not have a fragment"
	case u.User != nil:
		return "must not have a username"
	case !strings.HasPrefix(address, u.Scheme): // url.Parse has changed it to lower case, and the comparison is of bytes
		return "must have a scheme in lower case"
	case u.Host != "" && !hostText.MatchString(u.Host):
		return "must name its host with letters, digits, dots and hyphens, without a wildcard"
	case u.Scheme == "https" && u.Host != "":
		return ""
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return ""
	case u.Scheme == "http":
		return "must begin with https://; http:// is for localhost, 127.0.0.1 and [::1] alone"
	case strings.Contains(u.Scheme, "."):
		return "" // a private scheme, whose name is that of a domain in reverse
	}
	return "must begin with https://, or with the scheme of an app, which contains a dot, such as com.example.app:/callback"
}

// checkLogoutURI says what is wrong with the address to which logout tokens are sent, or returns "". The server sends a request to
// it, so it is no address of an app.
func checkLogoutURI(address string) string {
	if address == "" {
		return ""
	}
	if fault := checkRedirect(address); fault != "" {
		return fault
	}
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
		return "must begin with https://"
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// matchRedirect reports whether an address is a registered one, byte for byte. The port of a loopback IP address may differ,
// since an app listens at whatever port is free (RFC 8252 §7.3).
func matchRedirect(registered []string, address string) bool {
	if slices.Contains(registered, address) {
		return true
	}
	portless, ok := withoutPort(address)
	return ok && slices.ContainsFunc(registered, func(r string) bool {
		other, ok := withoutPort(r)
		return ok && other == portless
	})
}

// withoutPort removes the port of an http URL at a loopback IP address.
func withoutPort(address string) (string, bool) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		rest, ok := strings.CutPrefix(address, "http://"+host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			digits := strings.TrimLeft(port, "0123456789")
			if len(port)-len(digits) > 5 {
				return "", false
			}
			rest = digits
		}
		if rest == "" || rest[0] == '/' || rest[0] == '?' {
			return "http://" + host + rest, true
		}
	}
	return "", false
}

// lines splits the stored form of addresses.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// withQuery adds parameters to the query of a registered address, which it leaves as it is (RFC 6749 §4.1.2).
func withQuery(address string, parameters url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
		if strings.HasSuffix(address, "?") || strings.HasSuffix(address, "&") {
			separator = ""
		}
	}
	return address + separator + parameters.Encode()
}
