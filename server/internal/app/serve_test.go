package app

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"sesame/server/internal/network"
)

// A request that goes on after its time, such as an export, can tell when its client has closed the connection.
func TestARequestSeesTheEndOfItsConnection(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	late, gone := make(chan bool), make(chan bool)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		late <- true
		<-network.ConnectionOf(r.Context()).Done()
		close(gone)
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- serve(ctx, listener, &http.Server{ReadHeaderTimeout: time.Second}, &inFlight{Handler: handler, longest: 1}, slog.New(slog.DiscardHandler), func() {}, 0)
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	<-late
	if err = conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-gone
	stop()
	if err = <-served; err != nil {
		t.Error(err)
	}
}
