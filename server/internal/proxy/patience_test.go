package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sesame/server/guard"
)

const open = `
openapi: 3.0.3
info: { title: Clocks, version: '1' }
paths:
  /clock: { get: { operationId: watch, security: [], responses: { default: { description: Ticks } } }, delete: { operationId: stop, security: [], responses: { '204': { description: Stopped } } },
    post: { operationId: set, security: [], requestBody: { content: { application/json: { schema: { type: string } } } }, responses: { '200': { description: Set } } } }
`

// pipes is a listener without a network, so that a test can let its time pass.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	connection, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return connection, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p <- theirs
	return ours, nil
}

type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("no issuer") }

// piped runs a proxy with its clients and its upstream on pipes, in a bubble.
func piped(t *testing.T, protocols *http.Protocols, upstream http.HandlerFunc) (front pipes, client *http.Client) {
	t.Helper()
	behind, front := make(pipes), make(pipes)
	g, err := guard.New(t.Context(), guard.Options{
		OpenAPI: []byte(open), Issuer: "https://login.example", Audience: "x", StartTimeout: -1, Proxied: true, ValidateRequests: true,
		Client: &http.Client{Transport: nowhere{}}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseUpstream("http://clock.example")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{
		Guard: g, Upstream: to, ClientIP: func(*http.Request) string { return "" }, AnswerTime: time.Hour, Longest: time.Hour,
		Log: slog.New(slog.DiscardHandler), Measure: func(string, string, int, time.Duration) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.transport.DialContext = behind.dial
	last, first := http.Server{Handler: upstream}, http.Server{Handler: p, Protocols: protocols, IdleTimeout: time.Hour}
	go func() { _ = last.Serve(behind) }()
	go func() { _ = first.Serve(front) }()
	transport := &http.Transport{DialContext: front.dial, Protocols: protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		p.Close()
		_, _ = first.Close(), last.Close()
		g.Close()
	})
	return front, &http.Client{Transport: transport}
}

// The deadline of a write ends neither a stream that is quiet for longer, nor the next request of the connection.
func TestAQuietStreamAndAQuietConnectionGoOn(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var protocols http.Protocols
				protocol(&protocols)
				_, client := piped(t, &protocols, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodDelete {
						w.WriteHeader(http.StatusNoContent)
						return
					}
					for range 2 {
						time.Sleep(patience + time.Second)
						_, _ = io.WriteString(w, "tick\n")
						_ = http.NewResponseController(w).Flush()
					}
					time.Sleep(patience + time.Second)
				})
				response, err := client.Get("http://clock.example/clock")
				if err != nil {
					t.Fatal(err)
				}
				all, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err != nil || string(all) != "tick\ntick\n" {
					t.Fatalf("the stream is %q and ends with %v", all, err)
				}
				time.Sleep(patience + time.Second)
				request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://clock.example/clock", nil)
				if err != nil {
					t.Fatal(err)
				}
				if response, err = client.Do(request); err != nil {
					t.Fatalf("the next request of the connection: %v", err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusNoContent {
					t.Errorf("got %d", response.StatusCode)
				}
			})
		})
	}
}

// A client that sends a byte from time to time, or none, keeps a request no longer than any other, even while the body is validated, or read by
// net/http after the answer.
func TestASlowBodyEnds(t *testing.T) {
	for name, c := range map[string]struct {
		path  string
		pause time.Duration
		limit time.Duration
	}{
		"a byte from time to time": {"/clock", patience / 2, time.Hour + patience},
		"no byte":                  {"/clock", 10 * time.Hour, 2 * patience},
		"no byte and no operation": {"/nothing", 10 * time.Hour, 2 * patience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var protocols http.Protocols
				protocols.SetHTTP1(true)
				front, _ := piped(t, &protocols, func(http.ResponseWriter, *http.Request) { t.Error("the service got the request") })
				connection, err := front.dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				var writing sync.WaitGroup
				defer writing.Wait()
				defer connection.Close()
				writing.Go(func() {
					_, err := io.WriteString(connection, "POST "+c.path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n")
					for ; err == nil; _, err = io.WriteString(connection, " ") {
						time.Sleep(c.pause)
					}
				})
				if _, err = io.ReadAll(connection); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > c.limit {
					t.Errorf("the request took %v", took)
				}
			})
		})
	}
}
