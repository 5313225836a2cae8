package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// failure is an answer of the proxy itself, in the form of the guard's (RFC 9457).
type failure struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// failed answers a request that has no response of the upstream. The reason is for the log alone.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	x.err = err
	f := failureOf(r.Context(), err)
	f.Type, f.Title = "urn:sesame:problem:"+f.Code, http.StatusText(f.Status)
	header := w.Header()
	clear(header)
	p.permit(header, x.origin)
	header.Set(headerRequestID, x.id)
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	if f.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "5")
	}
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f) // fails only if the client has closed the connection
}

func failureOf(ctx context.Context, err error) failure {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, ofClient := errors.AsType[bodyError](err)
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case tooLarge:
		return failure{Status: http.StatusRequestEntityTooLarge, Code: "payload_too_large", Detail: "The body is larger than this server takes."}
	case ofClient:
		return failure{Status: http.StatusBadRequest, Code: "bad_request", Detail: "The body ended before it was complete."}
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout():
		return failure{Status: http.StatusGatewayTimeout, Code: "gateway_timeout", Detail: "The service behind this server did not answer in time."}
	case ctx.Err() != nil: // the client has gone, or the server stops
		return failure{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "The request was interrupted. Try again."}
	}
	return failure{Status: http.StatusBadGateway, Code: "bad_gateway", Detail: "The service behind this server does not answer."}
}

// patience is how long a client may neither send the next part of a body nor take the next part of a response.
const patience = time.Minute

// answer remembers the status. Each write has a deadline of its own, because a stream may last longer than any for the whole. It is
// lifted after the write: it would end an HTTP/2 stream that is quiet for longer, and the next request of a connection of HTTP/1.1.
type answer struct {
	http.ResponseWriter
	controller *http.ResponseController
	status     int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.limit()
	defer a.unlimit()
	return a.ResponseWriter.Write(data)
}

// FlushError is for http.ResponseController.
func (a *answer) FlushError() error {
	a.limit()
	defer a.unlimit()
	return a.controller.Flush()
}

// limit gives writes the deadline. Every connection of net/http has deadlines.
func (a *answer) limit() { _ = a.controller.SetWriteDeadline(time.Now().Add(patience)) }

func (a *answer) unlimit() { _ = a.controller.SetWriteDeadline(time.Time{}) }

// Unwrap is for http.ResponseController: to take the connection over for a WebSocket.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// patientBody is a request body, each part of which has a deadline of its own, but none after the end of the request.
type patientBody struct {
	io.ReadCloser
	controller *http.ResponseController
	end        time.Time
}

// bodyError is an error of the client, and not of the upstream.
type bodyError struct{ error }

// Unwrap returns the reason.
func (e bodyError) Unwrap() error { return e.error }

// limit gives the next read the deadline. net/http reads the rest of a body that the proxy does not read, so the first call comes
// before the answer.
func (b *patientBody) limit() {
	deadline := time.Now().Add(patience)
	if deadline.After(b.end) {
		deadline = b.end
	}
	_ = b.controller.SetReadDeadline(deadline)
}

// Read implements io.Reader.
func (b *patientBody) Read(data []byte) (int, error) {
	b.limit()
	n, err := b.ReadCloser.Read(data)
	if err == io.EOF { // the deadline would end the request while the upstream answers
		_ = b.controller.SetReadDeadline(time.Time{})
	} else if err != nil {
		err = bodyError{err}
	}
	return n, err
}

// cors handles CORS for the listed origins, with which the upstream's own headers for it are removed. It answers a preflight, which
// has no token, and reports whether it did.
func (p *Proxy) cors(w http.ResponseWriter, r *http.Request, x *exchange) (answered bool) {
	if origin := r.Header.Get("Origin"); slices.Contains(p.CORSOrigins, origin) {
		x.origin = origin
	}
	p.permit(w.Header(), x.origin)
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || x.origin == "" || method == "" {
		return false
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", method)
	header.Set("Access-Control-Max-Age", "600") // seconds
	if names := strings.Join(r.Header.Values("Access-Control-Request-Headers"), ", "); names != "" {
		header.Set("Access-Control-Allow-Headers", names)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// permit lets a page of a listed origin read a response. Tokens are sent in a header that the page sets, so cookies are never
// allowed, and every header may be exposed.
func (p *Proxy) permit(header http.Header, origin string) {
	if len(p.CORSOrigins) == 0 {
		return
	}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(header, name)
		}
	}
	header.Add("Vary", "Origin")
	if origin != "" {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "*")
	}
}
