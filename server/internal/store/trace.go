package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"sesame/server/internal/tracing"
)

// statementTracer makes a span of each statement that PostgreSQL runs for a request with traces. It has neither arguments nor the
// texts of errors, which may quote a row.
type statementTracer struct{}

var (
	_ pgx.QueryTracer = statementTracer{}
	_ pgx.BatchTracer = statementTracer{}
)

type spanKey struct{}

// begun keeps a span for the end of its statement.
func begun(ctx context.Context, span tracing.Span) context.Context {
	if span == (tracing.Span{}) {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, span)
}

func ended(ctx context.Context, err error) {
	if span, ok := ctx.Value(spanKey{}).(tracing.Span); ok {
		endSpan(span, err)
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (statementTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return begun(tracing.Statement(ctx, tracing.PostgreSQL, data.SQL))
}

// TraceQueryEnd implements pgx.QueryTracer.
func (statementTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	ended(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (statementTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if !tracing.Traced(ctx) {
		return ctx
	}
	statements := make([]string, data.Batch.Len())
	for i, q := range data.Batch.QueuedQueries {
		statements[i] = q.SQL
	}
	return begun(tracing.Batch(ctx, tracing.PostgreSQL, statements))
}

// TraceBatchQuery implements pgx.BatchTracer. A batch is one span, since its statements run without waits between them.
func (statementTracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (statementTracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	ended(ctx, data.Err)
}

// endSpan ends the span of a statement, with the code of its error.
func endSpan(span tracing.Span, err error) {
	if err != nil && span != (tracing.Span{}) && !errors.Is(err, sql.ErrNoRows) {
		kind := "other"
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
			kind = refused.Code
			span.Set("db.response.status_code", kind)
		} else if refused, ok := errors.AsType[*sqlite.Error](err); ok {
			kind = strconv.Itoa(refused.Code())
			span.Set("db.response.status_code", kind)
		} else if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			kind = "timeout"
		}
		span.Fail(kind)
	}
	span.End()
}

// traced makes a span of each statement of SQLite, whose driver has no hook for it. Those that wait in the queue of a batchWriter have
// their spans there. A span ends with the first row of the statement.
type traced struct{ runner }

// ExecContext implements runner.
func (t traced) ExecContext(ctx context.Context, query string, args ...any) (result sql.Result, err error) {
	ctx, span := tracing.Statement(ctx, tracing.SQLite, query)
	defer func() { endSpan(span, err) }()
	return t.runner.ExecContext(ctx, query, args...)
}

// QueryContext implements runner.
func (t traced) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	ctx, span := tracing.Statement(ctx, tracing.SQLite, query)
	defer func() { endSpan(span, err) }()
	return t.runner.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // the caller's
}

// QueryRowContext implements runner.
func (t traced) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx, span := tracing.Statement(ctx, tracing.SQLite, query)
	row := t.runner.QueryRowContext(ctx, query, args...)
	endSpan(span, row.Err())
	return row
}
