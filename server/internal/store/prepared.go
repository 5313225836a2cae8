package store

import (
	"context"
	"database/sql"
	"sync"
)

// prepared runs SQLite statements that are compiled once per connection, which halves the cost of a
// read. (PostgreSQL's driver keeps such a cache itself.)
//
// It takes the cancellation off the context: watching for it costs the driver a goroutine, twice
// the read itself, and SQLite statements are over before anybody could cancel them.
type prepared struct {
	db         *sql.DB
	statements sync.Map // query text to *sql.Stmt; the texts are constants, so it is bounded
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.statements.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, loaded := p.statements.LoadOrStore(query, s); loaded {
		return first.(*sql.Stmt), s.Close()
	}
	return s, nil
}

// ExecContext implements runner.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext implements runner.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext implements runner.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	s, err := p.statement(ctx, query)
	if err != nil {
		return p.db.QueryRowContext(ctx, query, args...) // a Row cannot be made with an error by hand
	}
	return s.QueryRowContext(ctx, args...)
}

// begin starts a transaction; the context's cancellation is taken off once it has its turn.
func (p *prepared) begin(ctx context.Context) (*sql.Tx, runner, error) {
	tx, err := p.db.BeginTx(context.WithoutCancel(ctx), nil)
	return tx, tx, err
}
