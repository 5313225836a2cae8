package app

import (
	"context"
	"log/slog"
	"time"

	"sesame/server/internal/config"
	"sesame/server/internal/telemetry"
)

// ServeGuardMetrics serves the metrics of a guard at SESAME_METRICS_LISTEN, if that is set, until stop is called. The routes are
// the operations of its document.
func ServeGuardMetrics(ctx context.Context, s config.Settings, operations []string, log *slog.Logger) (
	measure func(method, operation string, status int, took time.Duration), stop func(), err error,
) {
	registry := telemetry.NewRegistry()
	registry.Process()
	m := &Metrics{registry: registry}
	m.SetRoutes(operations)
	listener, err := ListenForMetrics(ctx, s)
	if err != nil || listener == nil {
		return m.Request, func() {}, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		telemetry.Serve(ctx, listener, registry.Handler(s.MetricsLocal()), log)
	}()
	return m.Request, func() { cancel(); <-done }, nil
}
