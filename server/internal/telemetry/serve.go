package telemetry

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	// scrapeTime bounds the reading of the numbers that come from the database. Prometheus waits for ten seconds.
	scrapeTime = 3 * time.Second
	// profileTime is longer than any profile: go tool pprof asks for 30 s of CPU, or more with ?seconds=.
	profileTime = 2 * time.Minute
	// stopTime is how long a scrape may take that has begun when the server stops.
	stopTime = time.Second
)

// Handler serves /metrics and, for a listener that only this machine can reach, the profiles at /debug/pprof/.
//
// A profile shows where the server spends its time while it hashes a password, and taking one slows the server down, so
// other machines never get one. The command line is not served: flags may hold passwords.
func (r *Registry) Handler(profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, q *http.Request) {
		ctx, cancel := context.WithTimeout(q.Context(), scrapeTime)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = r.Write(ctx, w) // the scraper has closed the connection
	})
	if !profiles {
		return mux
	}
	addProfiles(mux)
	return onlyLocally(mux)
}

// onlyLocally refuses requests for other hosts than localhost or an IP address: a page whose name resolves to 127.0.0.1
// (DNS rebinding) would otherwise read the answers in an operator's browser. Browsers always send a Host.
func onlyLocally(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil && !strings.EqualFold(host, "localhost") {
			http.Error(w, "Call this listener as localhost or by its IP address.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Serve answers at a listener until ctx ends. Then it finishes a scrape, and cuts off a profile.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) {
	server := &http.Server{
		Handler: handler, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadTimeout: 5 * time.Second, WriteTimeout: profileTime, IdleTimeout: 2 * time.Minute,
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	if stop() {
		log.Error("the metrics can no longer be read: their listener failed", "error", err)
		return
	}
	<-ended
}
