package store

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"
)

const (
	// maxTries is how often a transaction is tried, within the time of its request.
	maxTries = 15
	maxPause = 400 * time.Millisecond
)

// retry calls f again, a few times, when the database asks for that, at the isolation level serializable and after a deadlock,
// or after errChanged. The database has then undone what f did.
func retry(ctx context.Context, f func() error) (err error) {
	for try := 1; ; try++ {
		if err = f(); try == maxTries || !isRetryable(err) {
			return err
		}
		select {
		case <-time.After(rand.N(min(10*time.Millisecond<<try, maxPause))): //nolint:gosec // so that two do not meet again
		case <-ctx.Done():
			return err
		}
	}
}

// retrying runs each statement in a transaction of its own, again where the database asks for that.
type retrying struct{ db *sql.DB }

// ExecContext implements runner.
func (r retrying) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	err = retry(ctx, func() error {
		result, err = r.db.ExecContext(ctx, query, args...)
		return err
	})
	return result, err
}

// QueryContext implements runner.
func (r retrying) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	err = retry(ctx, func() error {
		rows, err = r.db.QueryContext(ctx, query, args...) //nolint:sqlclosecheck,rowserrcheck // the caller's
		return err
	})
	return rows, err
}

// QueryRowContext implements runner.
func (r retrying) QueryRowContext(ctx context.Context, query string, args ...any) (row *sql.Row) {
	_ = retry(ctx, func() error {
		row = r.db.QueryRowContext(ctx, query, args...)
		return row.Err()
	})
	return row
}

// reading runs statements that change nothing, once more if the connection was lost: a database that restarts, or a proxy, may
// end it between the last look at it and the answer.
type reading struct{ retrying }

// QueryContext implements runner.
func (r reading) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = context.WithValue(ctx, whole{}, true) // so that err tells of a connection that is lost between two rows, too
	rows, err := r.retrying.QueryContext(ctx, query, args...)
	if isLost(err) && ctx.Err() == nil {
		return r.retrying.QueryContext(ctx, query, args...)
	}
	return rows, err
}

// QueryRowContext implements runner.
func (r reading) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithValue(ctx, whole{}, true)
	row := r.retrying.QueryRowContext(ctx, query, args...)
	if isLost(row.Err()) && ctx.Err() == nil {
		return r.retrying.QueryRowContext(ctx, query, args...)
	}
	return row
}
