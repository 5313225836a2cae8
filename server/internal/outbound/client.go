package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrPrivate is the error for a connection to an address that is not public.
var ErrPrivate = errors.New("private network address")

// ErrTooLarge is the error for a body that is too large.
var ErrTooLarge = errors.New("the answer is too large")

// privateError is an ErrPrivate that says what to do.
type privateError struct{ text string }

// Error implements error.
func (e privateError) Error() string { return e.text }

// Is reports that it is an ErrPrivate.
func (e privateError) Is(target error) bool { return target == ErrPrivate }

// NewClient makes the client. It follows no redirect, and sends no cookie. A body of more than maxBody bytes, after decompression,
// is an error. Without Private it connects to public addresses alone: it checks the address that it connects to, after the name was
// resolved, so that no name can lead it into the network of the server (DNS rebinding). A proxy resolves names itself, so it is used only
// with Private.
func (p Policy) NewClient(timeout time.Duration, maxBody int64) *http.Client {
	dialer, proxy := &net.Dialer{Timeout: timeout}, http.ProxyFromEnvironment
	if !p.Private {
		dialer.Control, proxy = p.onlyPublic, nil
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			Proxy: proxy, DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: p.Roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, MaxIdleConns: 16, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		}, maxBody},
	}
}

// bounded is a transport whose answers have at most so many bytes.
type bounded struct {
	*http.Transport
	maxBody int64
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, max: b.maxBody, left: b.maxBody}
	}
	return response, err
}

// boundedBody fails, rather than ends, after so many bytes: a part of a document must not be taken for the whole.
type boundedBody struct {
	io.ReadCloser
	max, left int64
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, b.max)
	}
	return n, err
}

// onlyPublic refuses to connect to an address that is not public. It is a net.Dialer.Control.
func (p Policy) onlyPublic(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(target.Addr()) {
		return privateError{fmt.Sprintf("the %s is at a private network address; allow that with %s=on if it is your own", p.Whose, p.Setting)}
	}
	return nil
}
