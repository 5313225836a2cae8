package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sesame/server/internal/network"
)

const (
	// maxHeader is 16 KiB together with the 4 KiB that net/http adds of itself.
	maxHeader = 12 << 10
	// headerTime is how long a client may take to send the headers of a request.
	headerTime = 5 * time.Second
	// shutdownTime is what requests in flight get when the server stops.
	shutdownTime = 10 * time.Second
	// requestTime ends a request that waits for a password hash, before writeTime cuts its connection. The waits for a database
	// are shorter (package store). So the server stops within that time, too.
	requestTime = 20 * time.Second
	writeTime   = 30 * time.Second
	// streamTime is what streams get when the server stops: less than shutdownTime, so that their end is not an error.
	streamTime = 5 * time.Second
)

// inFlight is a handler that can be waited for, which http.Server does not do after Close.
type inFlight struct {
	http.Handler
	longest  time.Duration // a request may take
	requests sync.RWMutex  // read-locked by each
	draining atomic.Bool
}

// ServeHTTP implements http.Handler.
func (h *inFlight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.requests.TryRLock() { // after wait, on a connection that is closed
		panic(http.ErrAbortHandler)
	}
	defer h.requests.RUnlock()
	if h.draining.Load() { // so that the next request of the client goes to another replica
		w.Header().Set("Connection", "close")
	}
	ctx, cancel := network.WithTimeout(r.Context(), h.longest)
	defer cancel()
	h.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// wait returns when no request is being answered any more, and lets none begin after that.
func (h *inFlight) wait() { h.requests.Lock() }

// Serve answers until ctx ends; then stopping is called, which makes the server not ready. It goes on answering for the time
// drain, in which load balancers notice, takes no more requests, and finishes those in flight, or cuts them off after
// shutdownTime. None is being answered when it returns.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, stopping func(), drain time.Duration) error {
	return serve(ctx, listener, &http.Server{ReadHeaderTimeout: headerTime, ReadTimeout: 10 * time.Second, WriteTimeout: writeTime},
		&inFlight{Handler: handler, longest: requestTime}, log, stopping, drain)
}

// ServeStreams is Serve for a handler whose requests may take as long as longest, and which gives each read and write a deadline of
// its own. When the server stops, streams end after streamTime, which is no error.
func ServeStreams(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, stopping func(), drain, longest time.Duration) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{ReadHeaderTimeout: headerTime, BaseContext: func(net.Listener) context.Context { return base }}
	ended := context.AfterFunc(ctx, func() { time.AfterFunc(drain+streamTime, end) })
	defer ended()
	return serve(ctx, listener, server, &inFlight{Handler: handler, longest: longest}, log, stopping, drain)
}

func serve(ctx context.Context, listener net.Listener, server *http.Server, counted *inFlight, log *slog.Logger, stopping func(), drain time.Duration) error {
	defer counted.wait()
	server.Handler, server.MaxHeaderBytes, server.ErrorLog = counted, maxHeader, slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	server.IdleTimeout = 2 * time.Minute
	server.DisableGeneralOptionsHandler = true // which would answer OPTIONS * past all that follows
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	stopping()
	counted.draining.Store(true)
	if drain > 0 {
		log.Info("the server is stopping; it answers until load balancers have noticed", "drain", drain.String())
		select {
		case err := <-failed:
			return errors.Join(err, server.Close())
		case <-time.After(drain):
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("some requests were cut off after %v: %w", shutdownTime, err), server.Close())
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
