package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// maxBatch is how many statements share one commit. What waits longer than a commit of that size
// takes is better off in the next one.
const maxBatch = 64

// grouped is the writing side of SQLite. Statements that arrive while a commit is under way are run
// together in the next transaction: making a commit durable is most of the cost of a write, and is
// the same for one statement and for many. Each caller waits for the commit that its statement is
// in, so what was acknowledged is on the disk.
type batchWriter struct {
	*prepared
	queue  chan *job
	mu     sync.RWMutex // read-locked while a job is queued, so that close leaves none behind
	closed bool
	writer sync.WaitGroup
}

// job is one statement that waits for its turn.
type job struct {
	statement *sql.Stmt
	args      []any
	into      []any // where the one row goes, for a statement with RETURNING
	result    sql.Result
	err       error
	ready     chan struct{}
}

func newBatchWriter(p *prepared) *batchWriter {
	g := &batchWriter{prepared: p, queue: make(chan *job, maxBatch)}
	g.writer.Go(g.run)
	return g
}

var errClosed = errors.New("the database is closed")

// ExecContext implements runner.
func (g *batchWriter) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	j := &job{args: args}
	err := g.do(ctx, j, query)
	return j.result, err
}

// queryRow runs a statement with RETURNING and scans its row, or gives sql.ErrNoRows.
func (g *batchWriter) queryRow(ctx context.Context, into []any, query string, args ...any) error {
	return g.do(ctx, &job{args: args, into: into}, query)
}

// do waits until the commit that a job is in is done. From when it is queued until then the job belongs to
// the writer, so nothing else ends the wait.
func (g *batchWriter) do(ctx context.Context, j *job, query string) (err error) {
	if j.statement, err = g.statement(context.WithoutCancel(ctx), query); err != nil {
		return err
	}
	j.ready = make(chan struct{})
	if !g.enqueue(j) {
		return errClosed
	}
	<-j.ready
	return j.err
}

func (g *batchWriter) enqueue(j *job) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	g.queue <- j
	return true
}

// close refuses further jobs and waits until those that were queued are committed.
func (g *batchWriter) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	close(g.queue)
	g.writer.Wait()
}

func (g *batchWriter) run() {
	for first := range g.queue {
		g.commit(g.gather(first))
	}
}

// gather takes what is waiting already, and waits for nothing.
func (g *batchWriter) gather(first *job) []*job {
	jobs := []*job{first}
	for len(jobs) < maxBatch {
		select {
		case j, open := <-g.queue:
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

// commit runs jobs in one transaction and tells them how it ended. A constraint that one of them
// breaks undoes that statement alone; any other failure, and one of the commit, undoes and fails
// them all, so that none is told a success that is not on the disk.
func (g *batchWriter) commit(jobs []*job) {
	defer func() {
		for _, j := range jobs {
			close(j.ready)
		}
	}()
	ctx := context.Background()
	if err := g.transact(ctx, jobs); err != nil {
		for _, j := range jobs {
			j.result, j.err = nil, err
		}
	}
}

func (g *batchWriter) transact(ctx context.Context, jobs []*job) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	for _, j := range jobs {
		j.run(ctx, tx.StmtContext(ctx, j.statement))
		if j.err != nil && !isConstraint(j.err) && !errors.Is(j.err, sql.ErrNoRows) {
			return j.err
		}
	}
	return tx.Commit()
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
