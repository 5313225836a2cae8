package httpapi

import (
	"context"
	"net/http"

	"sesame/server/internal/tracing"
)

// traceID returns the id of the trace that a request belongs to, or "": that of its span or, without traces, the one that the
// caller names.
func traceID(ctx context.Context, h http.Header) string {
	if id := tracing.TraceID(ctx); id != "" {
		return id
	}
	if caller := tracing.Caller(h); caller.IsValid() {
		return caller.TraceID().String()
	}
	return ""
}
