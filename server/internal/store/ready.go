package store

import (
	"context"
	"errors"
	"time"

	"sesame/server/internal/problem"
)

const (
	// readyTime bounds one check, and how long a caller waits for its turn.
	readyTime = 3 * time.Second
	// writeInterval is how long a successful write proves that the database takes writes. /readyz is public:
	// without it, anybody could make the server write as often as they like.
	writeInterval = time.Second
)

// readiness is the state of DB.Ready. The channel is a lock that a context can end the wait for.
type readiness struct {
	turn    chan struct{}
	written time.Time
}

// Ready reports whether the database can be read and written; problem.Unavailable if not. Each call asks
// the database; at most once in writeInterval it writes, because only a write finds a full disk or a file
// system that has become read-only. A failure is not remembered.
func (db *DB) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	select {
	case db.ready.turn <- struct{}{}:
		defer func() { <-db.ready.turn }()
	case <-ctx.Done():
		return unready(ctx.Err())
	}
	if err := db.engine.probe(ctx); err != nil {
		return unready(err)
	}
	if !db.ready.written.IsZero() && time.Since(db.ready.written) < writeInterval {
		return nil
	}
	// The number has no meaning: its row is a lock (see migration 7). Where somebody holds it, this neither waits
	// nor writes: a transaction that hangs, of a replica that is gone, would make every other one not ready.
	if _, err := db.Queries.write.ExecContext(ctx, `
		UPDATE administration SET changes = changes + 1 WHERE id IN (SELECT id FROM administration`+db.skipLocked+`)`); err != nil {
		return unready(err)
	}
	db.ready.written = time.Now()
	return nil
}

func unready(err error) error {
	return problem.Wrap(problem.Unavailable, "The database cannot be read and written now.", err)
}

var errReadOnly = errors.New("the database is read-only")
