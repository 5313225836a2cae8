package store

import (
	"context"
	"database/sql/driver"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// On PostgreSQL a transaction is a few flights, and each costs one round trip. A statement whose result decides nothing (see
// Queries.later) waits, and is sent with the next one whose result is read, or with COMMIT. BEGIN waits in the same way.
// PostgreSQL runs the statements of a flight in their order and skips the rest after one that fails, COMMIT included. So what
// a later statement requires of an earlier one can be expressed as a statement that fails (see Queries.must).

// flights is a driver.Connector whose connections send transactions in flights.
type flights struct{ driver.Connector }

// Connect implements driver.Connector.
func (f flights) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := f.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &flightConn{Conn: conn.(*stdlib.Conn)}, nil
}

// flightConn is a connection of the driver, which sends transactions in flights if the context of BeginTx says so. Those of
// other programs' code (SQLTx) are the driver's own: they may prepare statements, and read more rows than fit in memory.
type flightConn struct {
	*stdlib.Conn
	tx      context.Context //nolint:containedctx // of the transaction in flights, for Commit; nil outside one
	waiting *pgx.Batch
}

// Keys of contexts.
type (
	inFlights struct{} // of a transaction
	waits     struct{} // of a statement in one
	whole     struct{} // of a query outside one whose rows are all read before it returns
)

// BeginTx implements driver.ConnBeginTx. In flights it sends nothing, and uses the options of the database.
func (c *flightConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if ctx.Value(inFlights{}) == nil {
		return c.Conn.BeginTx(ctx, options)
	}
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	c.tx, c.waiting = ctx, new(pgx.Batch)
	c.waiting.Queue("begin")
	return c, nil
}

// ExecContext implements driver.ExecerContext. A statement that waits has no result.
func (c *flightConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.tx == nil {
		return c.Conn.ExecContext(ctx, query, args)
	}
	if ctx.Value(waits{}) != nil {
		c.waiting.Queue(query, values(args)...)
		return driver.ResultNoRows, nil
	}
	landed, err := c.send(ctx, query, values(args))
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(landed.tag.RowsAffected()), nil
}

// QueryContext implements driver.QueryerContext. In a transaction it reads all rows before it returns.
func (c *flightConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	var landed *result
	var err error
	switch {
	case c.tx != nil:
		landed, err = c.send(ctx, query, values(args))
	case ctx.Value(whole{}) != nil:
		landed, err = c.read(c.Conn.Conn().Query(ctx, query, values(args)...))
	default:
		return c.Conn.QueryContext(ctx, query, args)
	}
	if err != nil {
		return nil, err
	}
	return landed, nil
}

// Commit implements driver.Tx.
func (c *flightConn) Commit() error {
	landed, err := c.send(c.tx, "commit", nil)
	if err == nil && landed.tag.String() != "COMMIT" {
		err = pgx.ErrTxCommitRollback
	}
	if err != nil {
		_ = c.Rollback() // database/sql does not, after a Commit
	}
	c.tx = nil
	return err
}

// Rollback implements driver.Tx. It sends nothing if the transaction has sent nothing.
func (c *flightConn) Rollback() error {
	ctx, conn := context.WithoutCancel(c.tx), c.Conn.Conn()
	c.tx, c.waiting = nil, nil
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	_, err := conn.Exec(ctx, "rollback", pgx.QueryExecModeSimpleProtocol)
	if err != nil { // in an unknown state
		_ = conn.Close(ctx)
	}
	return err
}

// send sends the statements that wait and one more, and returns the result of that one.
func (c *flightConn) send(ctx context.Context, query string, args []any) (*result, error) {
	flight := c.waiting
	c.waiting = new(pgx.Batch)
	flight.Queue(query, args...)
	results := c.Conn.Conn().SendBatch(ctx, flight)
	for range flight.Len() - 1 {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	landed, err := c.read(results.Query())
	if closed := results.Close(); err == nil {
		err = closed
	}
	return landed, err
}

// read reads the whole result of a query.
func (c *flightConn) read(rows pgx.Rows, err error) (*result, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	r, types := new(result), c.Conn.Conn().TypeMap()
	for _, column := range rows.FieldDescriptions() {
		r.columns = append(r.columns, column.Name)
	}
	for rows.Next() {
		row := make([]driver.Value, len(r.columns))
		for i, column := range rows.FieldDescriptions() {
			raw := rows.RawValues()[i]
			if kind, ok := types.TypeForOID(column.DataTypeOID); ok {
				if row[i], err = kind.Codec.DecodeDatabaseSQLValue(types, column.DataTypeOID, column.Format, raw); err != nil {
					return nil, err
				}
			} else if raw != nil {
				row[i] = string(raw)
			}
		}
		r.rows = append(r.rows, row)
	}
	rows.Close()
	r.tag = rows.CommandTag()
	return r, rows.Err()
}

// result is what a statement has returned. It is a driver.Rows.
type result struct {
	columns []string
	rows    [][]driver.Value
	tag     pgconn.CommandTag
}

// Columns implements driver.Rows.
func (r *result) Columns() []string { return r.columns }

// Close implements driver.Rows.
func (r *result) Close() error { return nil }

// Next implements driver.Rows.
func (r *result) Next(row []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(row, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}

func values(args []driver.NamedValue) []any {
	list := make([]any, len(args))
	for i, arg := range args {
		list[i] = arg.Value
	}
	return list
}

// later runs a statement whose result decides nothing. In a transaction on PostgreSQL it is sent with the next statement
// whose result is read, or with the commit, and fails there.
func (q *Queries) later(ctx context.Context, query string, args ...any) error {
	if q.flights {
		ctx = context.WithValue(ctx, waits{}, true)
	}
	_, err := q.write.ExecContext(ctx, query, args...)
	return translate(err)
}

// Flush sends the statements that wait, and returns their errors.
func (q *Queries) Flush(ctx context.Context) error {
	if !q.flights {
		return nil
	}
	_, err := q.write.ExecContext(ctx, `SELECT 1`)
	return translate(err)
}

// must runs a statement that changes a row, which the rest of the transaction requires. It is like later, and if no row is
// changed, the statement fails, or the next one whose result is read, or the transaction. Errors: ErrNotFound.
func (q *Queries) must(ctx context.Context, query string, args ...any) error {
	if !q.flights {
		return one(q.write.ExecContext(ctx, query, args...))
	}
	return q.later(ctx, `/* A division by zero means that the row was changed meanwhile. */ WITH changed AS (`+query+` RETURNING 1) SELECT 1 / COUNT(*) FROM changed`, args...)
}
