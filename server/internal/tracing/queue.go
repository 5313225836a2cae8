package tracing

import (
	"context"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// closeTime is how long a server that stops tries to send the spans that wait.
const closeTime = 3 * time.Second

// queue is the SDK's queue, with a count of what it drops. A span that finds it full is dropped, so that no request waits for
// the collector.
type queue struct {
	sdk.SpanProcessor
	limit   int64
	waiting atomic.Int64 // including those that are being sent
	dropped func(reason string, spans int)
}

func newQueue(o Options, e *exporter, counts Counts) *queue {
	q := &queue{limit: int64(o.Queue), dropped: counts.Dropped}
	e.done = func(spans int) { q.waiting.Add(-int64(spans)) }
	// The exporter limits the time itself. The SDK's queue has room for all that the limit admits, so it drops nothing.
	q.SpanProcessor = sdk.NewBatchSpanProcessor(e, sdk.WithMaxQueueSize(o.Queue), sdk.WithMaxExportBatchSize(o.Batch),
		sdk.WithBatchTimeout(o.Delay), sdk.WithExportTimeout(0))
	return q
}

// OnEnd implements SpanProcessor.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > q.limit {
		q.waiting.Add(-1)
		q.dropped(reasonQueue, 1)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// close sends what waits. After closeTime it calls abort, which must make every further attempt fail.
func (q *queue) close(abort func()) {
	defer time.AfterFunc(closeTime, abort).Stop()
	_ = q.Shutdown(context.Background()) // its errors are those of the exporter, which returns none
	abort()
}
