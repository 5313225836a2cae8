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

	"sesame/server/internal/network"
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

// onlyPublic is network.OnlyPublic with an error that says how to allow the address.
func onlyPublic(transport, address string, c syscall.RawConn) error {
	if network.OnlyPublic(transport, address, c) != nil {
		return errPrivate
	}
	return nil
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
	if ip, err := netip.ParseAddr(host); err == nil && !network.IsPublic(ip) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return "is at a private network address; SESAME_PRIVATE_PROVIDERS=on allows that"
	}
	return ""
}
