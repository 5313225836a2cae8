package store

import (
	"context"
	"database/sql"
	"sync"
)

// prepared runs SQLite statements that are compiled once per connection, which halves the cost of a read. (The driver of
// PostgreSQL has such a cache itself.)
//
// It removes the cancellation from the context. The driver would start a goroutine to watch for it, which costs twice as
// much as a read, and SQLite statements finish before anybody could cancel them.
type prepared struct {
	db         *sql.DB
	statements sync.Map // from query text to *sql.Stmt; the texts are constants, so it is bounded
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
		return p.db.QueryRowContext(ctx, query, args...) // which fails too: a Row cannot be made with an error
	}
	return s.QueryRowContext(ctx, args...)
}
