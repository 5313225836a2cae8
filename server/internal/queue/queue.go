// Package queue works through a queue that is a table of the database: mails, logout tokens, deliveries of webhooks.
//
//	worker := &queue.Worker[store.Mail]{What: "mails", Claim: db.ClaimMails, Do: send, Max: 4, Lease: 2 * time.Minute, …}
//	worker.Run(ctx)
//
// Every replica runs a worker. An item is claimed by one of them, by one conditional UPDATE, until the lease ends; then another one may
// claim it, so an item whose worker was killed is done again. An item may therefore be sent more than once, but never twice at once, as
// long as Do takes less time than the lease.
package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Bell wakes a Worker of this process. Other processes poll.
type Bell chan struct{}

// NewBell makes a Bell.
func NewBell() Bell { return make(Bell, 1) }

// Ring wakes the worker. It never blocks.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// Worker claims items and does them.
type Worker[T any] struct {
	What string // the items, for the log
	// Claim claims up to limit items that are due at now, until the lease ends.
	Claim func(ctx context.Context, now, lease time.Time, limit int) ([]T, error)
	// Do does one item, and records the outcome with Record. Its context ends when the worker has waited for FinishTime.
	Do func(ctx context.Context, item T)
	// Max bounds the items at once. An item is claimed only when there is room for it, so none waits under its lease.
	Max int
	// Lease is how long no other replica claims an item, and WorkTime how long Do takes at most. The difference covers clocks that
	// differ, and the time to record the outcome.
	Lease, WorkTime time.Duration
	FinishTime      time.Duration // bounds the wait for items in work when the worker stops
	Every           time.Duration // how often it asks the database
	Bell            Bell          // nil for none
	Now             func() time.Time
	Log             *slog.Logger
}

// Run works until ctx ends. It returns once the items in work are done, or after FinishTime; a replica does again those that are not.
func (w *Worker[T]) Run(ctx context.Context) {
	bell := w.Bell
	if bell == nil {
		bell = NewBell()
	}
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	working, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	busy := make(chan struct{}, w.Max)
	var items sync.WaitGroup
	for ctx.Err() == nil {
		for _, item := range w.claim(ctx, w.Max-len(busy)) {
			busy <- struct{}{}
			items.Go(func() {
				w.Do(working, item)
				<-busy
				bell.Ring() // there is room for another item
			})
		}
		select {
		case <-bell:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	defer time.AfterFunc(w.FinishTime, abort).Stop()
	items.Wait()
}

func (w *Worker[T]) claim(ctx context.Context, limit int) []T {
	if limit == 0 {
		return nil
	}
	now := w.Now()
	items, err := w.Claim(ctx, now, now.Add(w.Lease), limit)
	if err != nil && ctx.Err() == nil {
		w.Log.Error("reading the queue of "+w.What+" failed", "error", err)
	}
	return items
}

// Record writes the outcome of an item. It retries for most of the lease, so that a short outage of the database does not repeat the item.
// While the server stops it tries once.
func (w *Worker[T]) Record(ctx context.Context, write func(context.Context) error) {
	for until := time.Now().Add(w.Lease - w.WorkTime); ; {
		writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err := write(writing)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		if ctx.Err() != nil || time.Now().After(until) {
			w.Log.Error("recording an outcome in the queue of "+w.What+" failed; the item may be sent twice", "error", err)
			return
		}
	}
}

// Pause is how long an item waits after so many attempts: first, then twice as long each time, up to longest.
func Pause(attempts int, first, longest time.Duration) time.Duration {
	return min(first<<min(max(attempts-1, 0), 20), longest)
}
