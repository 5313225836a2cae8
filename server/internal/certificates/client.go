package certificates

import (
	"cmp"
	"io"
	"net/http"
)

// maxAnswer bounds each answer of the authority. Package acme reads most of them without a limit.
const maxAnswer = 1 << 20

// bounded returns a client whose answers end after maxAnswer.
func bounded(client *http.Client) *http.Client {
	c := *cmp.Or(client, http.DefaultClient)
	c.Transport = boundedTransport{c.Transport}
	return &c
}

type boundedTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := t.RoundTripper
	if inner == nil {
		inner = http.DefaultTransport
	}
	response, err := inner.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxAnswer), response.Body}
	}
	return response, err
}
