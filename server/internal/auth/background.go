package auth

import (
	"context"
	"sync"
)

// background runs work that the answer to a request does not wait for. Its owner waits for it, by close.
type background struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// start runs f in a goroutine; it reports false, and runs nothing, after close.
func (b *background) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.work.Go(f)
	}
	return !b.closed
}

// close waits until all work is done, and lets none begin after that.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.work.Wait()
}

// finishing is a context for the rest of a request that a client which hangs up must not stop. It ends at the
// request's deadline all the same, so that a database which answers nothing holds no request for ever.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if ctx = context.WithoutCancel(ctx); !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}
