package identity

import (
	"context"
	"sync"
)

// background runs work that no request waits for. close waits for it.
type background struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// start runs f in a goroutine. After close it runs nothing and reports false.
func (b *background) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.work.Go(f)
	}
	return !b.closed
}

// close waits until all work is done, and prevents new work.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.work.Wait()
}

// IgnoreDisconnect returns a context for the rest of a request that must be finished even if the client disconnects. It
// keeps the deadline of the request, so that a database that does not answer holds no request forever.
func IgnoreDisconnect(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if ctx = context.WithoutCancel(ctx); !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}
