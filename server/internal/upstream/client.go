package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// maxBody bounds what is read of an answer, in bytes, after decompression.
const maxBody = 256 << 10

var errTooLarge = fmt.Errorf("the answer of the provider has more than %d bytes", maxBody)

// newClient makes the client for all requests to providers. It follows no redirect, and sends no cookie. Without private it connects
// to public addresses alone: it checks the address that it connects to, after the name was resolved, so that no name can lead it
// into the network of the server (DNS rebinding). A proxy resolves names itself, so it is used only with private.
func newClient(private bool, timeout time.Duration) *http.Client {
	dialer, proxy := &net.Dialer{Timeout: timeout}, http.ProxyFromEnvironment
	if !private {
		dialer.Control, proxy = onlyPublic, nil
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			Proxy: proxy, DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, MaxIdleConns: 16, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		}},
	}
}

// bounded is a transport whose answers have at most maxBody bytes.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, left: maxBody}
	}
	return response, err
}

// boundedBody fails, rather than ends, after so many bytes: a part of a document must not be taken for the whole.
type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

var errPrivate = errors.New("the provider is at a private network address; allow that with SESAME_PRIVATE_PROVIDERS=on if it is your own")

// onlyPublic refuses to connect to an address that is not public. It is a net.Dialer.Control.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(target.Addr()) {
		return errPrivate
	}
	return nil
}

// special are the addresses of IANA's registries of special purposes that the methods of netip.Addr do not cover.
var special = func() (prefixes []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}()

// isPublic reports whether an address can be that of a provider on the internet. Addresses that embed one of IPv4 for a translator
// (NAT64, 6to4) are not: they would reach private ones.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, prefix := range special {
		if prefix.Contains(ip) {
			return false
		}
	}
	return true
}

// checkURL returns why a URL cannot be that of a provider, or "".
func (s *Service) checkURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "must be a URL such as https://accounts.example.com"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "must have neither a query nor a fragment"
	case s.Private:
		return ""
	case u.Scheme != "https":
		return "must begin with https://; SESAME_PRIVATE_PROVIDERS=on allows http"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip, err := netip.ParseAddr(host); err == nil && !isPublic(ip) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return "is at a private network address; SESAME_PRIVATE_PROVIDERS=on allows that"
	}
	return ""
}
