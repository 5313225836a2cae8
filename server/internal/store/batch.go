package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"sesame/server/internal/tracing"
)

// maxBatch limits how many statements share one commit.
const maxBatch = 64

// batchWriter is the writing side of SQLite. It runs the statements and transactions that arrive during a commit together in the
// next one, since making a commit durable is most of the cost of a write, and costs the same for one statement and for many.
// Each caller waits for the commit of its own, so an acknowledged write is on the disk.
type batchWriter struct {
	*prepared
	check      func() error // fails if what is written now would be lost
	queue      chan *job
	uncompiled []string     // see compile
	mu         sync.RWMutex // read-locked while a job is queued, so that close misses none
	closed     bool
	writer     sync.WaitGroup
}

// job is one statement in the queue, or one transaction, which has a turn.
type job struct {
	turn      chan runner   // receives what runs the statements of the transaction
	ended     chan struct{} // is closed when its function has returned
	failed    error         // of its function
	statement *sql.Stmt
	args      []any
	into      []any // the destination of the one row, for a statement with RETURNING
	result    sql.Result
	err       error
	ready     chan struct{}
}

func newBatchWriter(p *prepared, check func() error) *batchWriter {
	w := &batchWriter{prepared: p, check: check, queue: make(chan *job, maxBatch)}
	w.writer.Go(w.run)
	return w
}

var errClosed = errors.New("the database is closed")

// ExecContext implements runner.
func (w *batchWriter) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	j := &job{args: args}
	err := w.do(ctx, j, query)
	return j.result, err
}

// queryRow runs a statement with RETURNING and scans its row. Errors: sql.ErrNoRows.
func (w *batchWriter) queryRow(ctx context.Context, into []any, query string, args ...any) error {
	return w.do(ctx, &job{args: args, into: into}, query)
}

// do waits until the commit of a job. Meanwhile the writer owns the job, so nothing else ends the wait.
func (w *batchWriter) do(ctx context.Context, j *job, query string) (err error) {
	_, span := tracing.Statement(ctx, tracing.SQLite, query)
	defer func() { endSpan(span, err) }()
	if j.statement, err = w.statement(context.WithoutCancel(ctx), query); err != nil {
		return err
	}
	j.ready = make(chan struct{})
	if !w.enqueue(j) {
		return errClosed
	}
	<-j.ready
	return j.err
}

func (w *batchWriter) enqueue(j *job) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return false
	}
	w.queue <- j
	return true
}

// close refuses new jobs and waits until the queued ones are committed.
func (w *batchWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.queue)
	w.writer.Wait()
}

func (w *batchWriter) run() {
	for first := range w.queue {
		w.commit(w.gather(first))
		w.compile(context.Background())
	}
}

// gather takes the jobs that are queued already, without waiting for more.
func (w *batchWriter) gather(first *job) []*job {
	jobs := []*job{first}
	for len(jobs) < maxBatch {
		select {
		case j, open := <-w.queue:
			if !open {
				return jobs
			}
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// commit runs jobs in one transaction and reports the result to each. A violated constraint undoes only the statement that
// violates it. Any other failure, and one of the commit, undoes and fails all jobs, so that no write is acknowledged that
// is not on the disk.
func (w *batchWriter) commit(jobs []*job) {
	defer func() {
		for _, j := range jobs {
			close(j.ready)
		}
	}()
	ctx := context.Background()
	if err := w.transact(ctx, jobs); err != nil {
		for _, j := range jobs {
			j.result, j.err = nil, err
		}
	}
}

func (w *batchWriter) transact(ctx context.Context, jobs []*job) error {
	if err := w.check(); err != nil {
		return err
	}
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after a commit
	for _, j := range jobs {
		if j.turn != nil {
			if err = w.runTransaction(ctx, tx, j, len(jobs) == 1); err != nil {
				return err
			}
			continue
		}
		j.run(ctx, tx.StmtContext(ctx, j.statement))
		if j.err != nil && !isConstraint(j.err) && !errors.Is(j.err, sql.ErrNoRows) {
			return j.err
		}
	}
	if len(jobs) == 1 && jobs[0].failed != nil {
		return nil // and nothing of it is committed
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	return w.check() // again, since the files may have been lost meanwhile
}

// QueryContext implements runner, for a statement that changes and returns several rows. It does not wait in the queue.
func (w *batchWriter) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	return traced{w.prepared}.QueryContext(ctx, query, args...)
}

func (j *job) run(ctx context.Context, statement *sql.Stmt) {
	if j.into != nil {
		j.err = statement.QueryRowContext(ctx, j.args...).Scan(j.into...)
	} else {
		j.result, j.err = statement.ExecContext(ctx, j.args...)
	}
}

func isConstraint(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlitelib.SQLITE_CONSTRAINT
}
