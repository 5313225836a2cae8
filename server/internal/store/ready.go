package store

import (
	"context"
	"errors"
	"time"

	"sesame/server/internal/problem"
)

const (
	// readyTime bounds one check, and the wait for another one that is running.
	readyTime = 1500 * time.Millisecond
	// writeInterval is how long a successful write proves that the database accepts writes. /readyz is public, so without a
	// limit anybody could make the server write at any rate.
	writeInterval = time.Second
)

// readiness is the state of DB.Ready. The channel is a lock whose wait a context can end.
type readiness struct {
	turn    chan struct{}
	written time.Time
	begun   time.Time // when the latest check that succeeded began
}

// Ready returns nil if the database can be read and written, and otherwise problem.Unavailable. Each call reads from the
// database, or uses the success of a check that began after the call: however many a stranger sends, they wait for one or two
// checks. At most once in writeInterval it writes, because only a write detects a full disk or a file system that has become
// read-only. A failure is not cached. A call that has waited for others for too long returns ErrNotChecked.
func (db *DB) Ready(ctx context.Context) error {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	select {
	case db.ready.turn <- struct{}{}:
		defer func() { <-db.ready.turn }()
	case <-ctx.Done():
		return unready(errors.Join(ErrNotChecked, ctx.Err()))
	}
	if db.ready.begun.After(asked) {
		return nil
	}
	begun := time.Now()
	if err := db.engine.probe(ctx); err != nil {
		return unready(err)
	}
	if !db.ready.written.IsZero() && time.Since(db.ready.written) < writeInterval {
		db.ready.begun = begun
		return nil
	}
	// The number has no meaning: its row is a lock (see migration 7). If the row is locked, the statement neither waits nor
	// writes: otherwise a hanging transaction of a lost replica would make every other one not ready.
	if _, err := db.Queries.write.ExecContext(ctx, `
		UPDATE administration SET changes = changes + 1 WHERE id IN (SELECT id FROM administration`+db.skipLocked+`)`); err != nil {
		return unready(err)
	}
	db.ready.written, db.ready.begun = time.Now(), begun
	return nil
}

func unready(err error) error {
	return problem.Wrap(problem.Unavailable, "The database cannot be read or written now.", err)
}

// ErrNotChecked means that other checks took so long that this one did not begin.
var ErrNotChecked = errors.New("other checks of the database took too long")

var errReadOnly = errors.New("the database is read-only")
