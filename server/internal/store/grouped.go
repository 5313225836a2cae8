package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"sesame/server/internal/tracing"
)

// errAbandoned is the error of a transaction whose function has not returned.
var errAbandoned = errors.New("the function of a transaction panicked")

// transaction runs f in a transaction. It waits in the queue, and shares its commit with what else waits there. f runs in the
// goroutine of its caller, to which its panics belong; meanwhile the writer waits. If ctx ends before f has returned, nothing is
// committed, as with a transaction of database/sql.
func (w *batchWriter) transaction(ctx context.Context, f func(runner) error) error {
	_, span := tracing.Statement(ctx, tracing.SQLite, "BEGIN")
	j := &job{turn: make(chan runner), ended: make(chan struct{}), ready: make(chan struct{})}
	if !w.enqueue(j) {
		endSpan(span, errClosed)
		return errClosed
	}
	select {
	case run := <-j.turn:
		endSpan(span, nil)
		if err := j.take(ctx, run, f); err != nil {
			<-j.ready // what it did is undone
			return err
		}
	case <-j.ready: // the shared transaction could not begin, or an earlier job has ended it
		endSpan(span, j.err)
		return translate(j.err)
	}
	_, span = tracing.Statement(ctx, tracing.SQLite, "COMMIT")
	<-j.ready
	endSpan(span, j.err)
	return translate(j.err)
}

// take runs the function of a transaction, and then lets the writer go on.
func (j *job) take(ctx context.Context, run runner, f func(runner) error) error {
	j.failed = errAbandoned
	defer close(j.ended)
	err := ctx.Err()
	if err == nil {
		err = cmp.Or(f(run), ctx.Err())
	}
	j.failed = err
	return err
}

// runTransaction gives a transaction its turn. If its function fails, what it did is undone. An error is that of all jobs.
// Where the job is alone the whole transaction is its own, which costs no savepoint.
func (w *batchWriter) runTransaction(ctx context.Context, tx *sql.Tx, j *job, alone bool) error {
	run := &sharedTx{tx: tx, writer: w}
	if !alone {
		if _, err := run.ExecContext(ctx, `SAVEPOINT job`); err != nil {
			return err
		}
	}
	j.turn <- traced{run}
	<-j.ended
	if alone {
		return nil // transact commits nothing of what failed
	}
	fault := run.fault
	if j.failed != nil {
		if _, err := run.ExecContext(ctx, `ROLLBACK TO job`); err != nil {
			return cmp.Or(fault, err) // SQLite has ended the whole transaction, for instance when the disk was full
		}
	}
	if _, err := run.ExecContext(ctx, `RELEASE job`); err != nil {
		return cmp.Or(fault, err)
	}
	return nil
}

// sharedTx runs the statements of one transaction of several that share a commit. They are compiled once, like all others of
// package store. The one connection is in use, so that a new statement is compiled for later uses when the transaction has ended.
type sharedTx struct {
	tx     *sql.Tx
	writer *batchWriter
	fault  error // the last error of a statement
}

// compiled returns the compiled statement, or nil for a new one. The transaction closes it.
func (s *sharedTx) compiled(ctx context.Context, query string) *sql.Stmt {
	if found, ok := s.writer.statements.Load(query); ok {
		return s.tx.StmtContext(ctx, found.(*sql.Stmt))
	}
	s.writer.uncompiled = append(s.writer.uncompiled, query)
	return nil
}

// ExecContext implements runner.
func (s *sharedTx) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	ctx = context.WithoutCancel(ctx)
	if found := s.compiled(ctx, query); found != nil { //nolint:sqlclosecheck // the transaction closes it
		result, err = found.ExecContext(ctx, args...)
	} else {
		result, err = s.tx.ExecContext(ctx, query, args...)
	}
	s.fault = cmp.Or(err, s.fault)
	return result, err
}

// QueryContext implements runner.
func (s *sharedTx) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	ctx = context.WithoutCancel(ctx)
	if found := s.compiled(ctx, query); found != nil { //nolint:sqlclosecheck // the transaction closes it
		rows, err = found.QueryContext(ctx, args...)
	} else {
		rows, err = s.tx.QueryContext(ctx, query, args...)
	}
	s.fault = cmp.Or(err, s.fault)
	return rows, err
}

// QueryRowContext implements runner.
func (s *sharedTx) QueryRowContext(ctx context.Context, query string, args ...any) (row *sql.Row) {
	ctx = context.WithoutCancel(ctx)
	if found := s.compiled(ctx, query); found != nil { //nolint:sqlclosecheck // the transaction closes it
		row = found.QueryRowContext(ctx, args...)
	} else {
		row = s.tx.QueryRowContext(ctx, query, args...)
	}
	s.fault = cmp.Or(row.Err(), s.fault)
	return row
}

// compile compiles the statements that transactions have run for the first time. A failure costs only time: the next transaction
// tries again.
func (w *batchWriter) compile(ctx context.Context) {
	for _, query := range w.uncompiled {
		_, _ = w.statement(ctx, query) //nolint:sqlclosecheck // kept
	}
	w.uncompiled = nil
}
