package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// https checks the settings of HTTPS against each other; the files are read when the server listens.
func (f *faults) https(s *Settings) {
	if u, err := url.Parse(s.ACMEDirectory); err == nil && u.User != nil {
		f.add("ACME_DIRECTORY", "must have no user and no password: the log and the database would have them")
	} else if err != nil || u.Scheme != "https" || u.Host == "" {
		f.add("ACME_DIRECTORY", "is %q; it must be a URL that begins with https://", s.ACMEDirectory)
	}
	_, socket := s.Socket()
	source := "TLS_CERT"
	if s.ACME == "on" {
		source = "ACME"
	}
	switch {
	case (s.TLSCert == "") != (s.TLSKey == ""):
		f.add("TLS_CERT", "and %sTLS_KEY belong together; set both", Prefix)
	case s.TLSCert != "" && s.ACME == "on":
		f.add("TLS_CERT", "and %sACME are both set; only one of them can give the certificate", Prefix)
	case !s.HTTPS():
		if s.RedirectListen != "" {
			f.add("REDIRECT_LISTEN", "is for a server that speaks HTTPS itself; set %sACME or %sTLS_CERT, or let your proxy redirect", Prefix, Prefix)
		}
		return
	case socket:
		f.add(source, "is for a HOST:PORT in %sLISTEN; at a Unix socket the proxy speaks HTTPS", Prefix)
	case s.PublicURL != "" && !strings.HasPrefix(s.PublicURL, "https://"):
		f.add("PUBLIC_URL", "must begin with https://, because %s%s is set", Prefix, source)
	case s.ACME == "on" && !certifiable(s.Host()):
		f.add("PUBLIC_URL", "must be set to https:// and a name in the DNS, such as https://login.example.com, because %sACME is set; write other letters than ASCII as xn--…", Prefix)
	}
	f.redirectListen(s)
}

func (f *faults) redirectListen(s *Settings) {
	if _, port, err := net.SplitHostPort(s.RedirectListen); s.RedirectListen != "" && (err != nil || !isPort(port, 0)) {
		f.add("REDIRECT_LISTEN", "is %s; it must be HOST:PORT, with a port from 0 to 65535", strconv.Quote(s.RedirectListen))
	}
}

// certifiable reports whether an authority on the internet may issue a certificate for a host.
func certifiable(host string) bool {
	_, err := netip.ParseAddr(host)
	if err == nil || len(host) > 253 || !strings.Contains(host, ".") {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		other := strings.ContainsFunc(label, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') })
		if label == "" || len(label) > 63 || other || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

// Host is the host of the public URL in lower case, without its port.
func (s *Settings) Host() string {
	u, err := url.Parse(s.PublicURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// HTTPS reports whether the server speaks HTTPS itself.
func (s *Settings) HTTPS() bool { return s.TLSCert != "" || s.ACME == "on" }

// Scheme is that of the listening address.
func (s *Settings) Scheme() string {
	if s.HTTPS() {
		return "https"
	}
	return "http"
}
