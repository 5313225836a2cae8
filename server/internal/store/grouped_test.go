package store

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/server/internal/problem"
)

// together makes the writer of SQLite run functions as one group, in this order: they wait while it is held. It returns their
// errors; that of a function that panics or ends its goroutine is nil.
func together(t *testing.T, db *DB, jobs ...func() error) []error {
	t.Helper()
	w := db.Queries.write.(*batchWriter)
	held, release, results := make(chan struct{}), make(chan struct{}), make([]error, len(jobs))
	var group sync.WaitGroup
	group.Go(func() {
		if err := db.Tx(t.Context(), func(*Queries) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i, job := range jobs {
		group.Go(func() {
			defer func() { _ = recover() }()
			results[i] = job()
		})
		for len(w.queue) <= i && t.Context().Err() == nil {
			runtime.Gosched()
		}
	}
	close(release)
	group.Wait()
	return results
}

func onSQLite(t *testing.T, test func(ctx context.Context, t *testing.T, db *DB)) {
	migrated(t, func(t *testing.T, db *DB) {
		if db.engine.dialect == "sqlite3" { // PostgreSQL shares commits itself
			test(t.Context(), t, db)
		}
	})
}

// Transactions that wait share a commit, and each is still one of its own: what one does that fails, panics or ends its goroutine
// is undone, and nothing else.
func TestTransactionsShareACommit(t *testing.T) {
	onSQLite(t, func(ctx context.Context, t *testing.T, db *DB) {
		own := errors.New("of the function itself")
		var committed atomic.Int64
		record := func(kind string, then func(q *Queries) error) func() error {
			return func() error {
				return db.Tx(ctx, func(q *Queries) error {
					e := event(kind)
					e.Kind = kind
					if err := q.RecordEvent(ctx, e); err != nil {
						return err
					}
					q.AfterCommit(func() { committed.Add(1) })
					return then(q)
				})
			}
		}
		succeed := func(*Queries) error { return nil }
		// cancelled ends the context of a transaction: before its function runs, or in it.
		cancelled := func(before bool) func() error {
			return func() error {
				ctx, cancel := context.WithCancel(ctx)
				if before {
					cancel()
				}
				return db.Tx(ctx, func(q *Queries) error {
					defer cancel()
					return q.RecordEvent(ctx, event("cancelled"))
				})
			}
		}
		if err := db.RevokeToken(ctx, "another token", time.Now()); err != nil { // compiled now: the writer is held below
			t.Fatal(err)
		}
		for range 2 { // the second time with compiled statements
			committed.Store(0)
			db.mustExec(t, `DELETE FROM events`)
			taken := event("taken")
			inside, outside := int64(-1), int64(-1)
			errs := together(t, db,
				record("first", succeed),
				record("fails", func(*Queries) error { return own }),
				func() error { return db.RevokeToken(ctx, "a token", time.Now()) },
				record("conflicts", func(q *Queries) error { return errors.Join(q.RecordEvent(ctx, taken), q.RecordEvent(ctx, taken)) }),
				record("panics", func(*Queries) error { panic("in the function") }),
				record("exits", func(*Queries) error { runtime.Goexit(); return nil }),
				cancelled(true), cancelled(false),
				record("last", func(q *Queries) error {
					outside = db.count(t, `SELECT COUNT(*) FROM events`)
					return q.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM events`).Scan(&inside)
				}),
			)
			for i, want := range []error{nil, own, nil, ErrConflict, nil, nil, context.Canceled, context.Canceled, nil} {
				if !errors.Is(errs[i], want) {
					t.Errorf("job %d: %v, want %v", i, errs[i], want)
				}
			}
			if inside != 2 || outside != 0 {
				t.Errorf("the last one sees %d events, and another connection %d: they did not share a commit", inside, outside)
			}
			kinds := db.count(t, `SELECT COUNT(*) FROM events WHERE kind IN ('first', 'last')`)
			if all := db.count(t, `SELECT COUNT(*) FROM events`); kinds != 2 || all != 2 || committed.Load() != 2 {
				t.Errorf("%d of the 2 events are there, of %d, and %d commits were reported", kinds, all, committed.Load())
			}
		}
	})
}

// When SQLite ends the whole transaction, as it does on a full disk, no transaction of the group is acknowledged.
func TestAFullDiskFailsAllThatShareACommit(t *testing.T) {
	onSQLite(t, func(ctx context.Context, t *testing.T, db *DB) {
		record := func(payload string) func() error {
			return func() error {
				// A mail, since a statement that has a trigger, such as that of an event, would be undone by itself.
				return db.Tx(ctx, func(q *Queries) error { return q.EnqueueMail(ctx, Mail{ID: testID(), Payload: payload}) })
			}
		}
		pages := db.count(t, `PRAGMA page_count`)
		db.mustExec(t, `PRAGMA max_page_count = `+strconv.FormatInt(pages+20, 10))
		for i, err := range together(t, db, record("small"), record(strings.Repeat("large", 1<<20)), record("small")) {
			if fault, ok := errors.AsType[*problem.Error](err); !ok || fault.Code != problem.Unavailable {
				t.Errorf("job %d: %v", i, err)
			}
		}
		if n := db.count(t, `SELECT COUNT(*) FROM mails`); n != 0 {
			t.Errorf("%d mails are there", n)
		}
		db.mustExec(t, `PRAGMA max_page_count = `+strconv.FormatInt(pages+2000, 10))
		for i, err := range together(t, db, record("small"), record("small")) {
			if err != nil {
				t.Errorf("afterwards, job %d: %v", i, err)
			}
		}
		if n := db.count(t, `SELECT COUNT(*) FROM mails`); n != 2 {
			t.Errorf("afterwards %d mails are there", n)
		}
	})
}
