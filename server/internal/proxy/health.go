package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Health answers the probes of a supervisor at /healthz and /readyz.
type Health struct {
	Ready   func() bool
	stopped atomic.Bool
}

// Stop makes /readyz 503, so that load balancers send requests elsewhere.
func (h *Health) Stop() { h.stopped.Store(true) }

// ServeHTTP implements http.Handler.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, text := http.StatusOK, "ok\n"
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path != "/healthz" && r.URL.Path != "/readyz":
		status, text = http.StatusNotFound, "There is nothing at this address.\n"
	case r.URL.Path == "/readyz" && (h.stopped.Load() || !h.Ready()):
		status, text = http.StatusServiceUnavailable, "not ready\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // fails only if the client has closed the connection
}
