package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sesame/server/guard"
)

const open = `
openapi: 3.0.3
info: { title: Clocks, version: '1' }
paths:
  /clock: { get: { operationId: watch, security: [], responses: { default: { description: Ticks } } }, delete: { operationId: stop, security: [], responses: { '204': { description: Stopped } } } }
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

// The deadline of a write ends neither a stream that is quiet for longer, nor the next request of the connection.
func TestAQuietStreamAndAQuietConnectionGoOn(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var protocols http.Protocols
				protocol(&protocols)
				upstream := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
				})}
				behind, front := make(pipes), make(pipes)
				g, err := guard.New(t.Context(), guard.Options{
					OpenAPI: []byte(open), Issuer: "https://login.example", Audience: "x", StartTimeout: -1, Proxied: true,
					Client: &http.Client{Transport: nowhere{}}, Log: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer g.Close()
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
				server := http.Server{Handler: p, Protocols: &protocols, IdleTimeout: time.Hour}
				go func() { _ = upstream.Serve(behind) }()
				go func() { _ = server.Serve(front) }()
				transport := &http.Transport{DialContext: front.dial, Protocols: &protocols}
				client := http.Client{Transport: transport}
				defer func() {
					transport.CloseIdleConnections()
					p.Close()
					_, _ = upstream.Close(), server.Close()
				}()

				response, err := client.Get("http://clock.example/clock")
				if err != nil {
					t.Fatal(err)
				}
				all, err := io.ReadAll(bufio.NewReader(response.Body))
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
