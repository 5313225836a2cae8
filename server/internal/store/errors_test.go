package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sesame/server/internal/problem"
)

// R5: outages, internal errors and answers are distinguished.
func TestWhatTheDriversSay(t *testing.T) {
	busy := &problem.Error{Code: problem.Unavailable}
	pg := func(code string) error { return fmt.Errorf("query: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		err  error
		want error // nil for: as it came
	}{
		{sql.ErrNoRows, ErrNotFound},
		{pg("23505"), ErrConflict},
		{pg("08006"), busy}, // connection lost
		{pg("53300"), busy}, // too many connections
		{pg("57P01"), busy}, // shutting down
		{pg("57014"), busy}, // took too long
		{pg("40P01"), busy}, // deadlock
		{pg("40001"), busy}, // serialization failure
		{pg("25006"), busy}, // read-only
		{pg("25P03"), busy}, // idle in a transaction
		{pg("53100"), busy}, // disk full
		{pg("55P03"), busy}, // lock timeout
		{pg("58030"), busy}, // I/O error
		{driver.ErrBadConn, busy},
		{io.ErrUnexpectedEOF, busy},
		{context.DeadlineExceeded, busy},
		{pg("23503"), nil}, // a foreign key
		{pg("42P01"), nil}, // no such table
		{pg("25001"), nil}, // a transaction in a transaction
		{pg("5"), nil},     // no SQLSTATE at all
		{pg(""), nil},
		{pg("22021"), nil}, // NUL in a text
		{context.Canceled, nil},
		{errors.New("else"), nil},
	} {
		got := translate(c.err)
		p, unavailable := errors.AsType[*problem.Error](got)
		switch {
		case c.want == busy && (!unavailable || p.Code != problem.Unavailable),
			c.want == nil && !errors.Is(got, c.err), c.want == nil && unavailable,
			c.want != nil && c.want != busy && !errors.Is(got, c.want):
			t.Errorf("%v becomes %v", c.err, got)
		}
	}
	if translate(nil) != nil {
		t.Error("no error becomes one")
	}
}

// The start fails while a long transaction holds a table, and the operator has to know what to end.
func TestALockThatStopsAMigrationIsExplained(t *testing.T) {
	err := migrationError(fmt.Errorf("partial migration error: %w", &pgconn.PgError{Code: "55P03", Message: "canceling statement due to lock timeout"}))
	if !strings.Contains(err.Error(), "pg_stat_activity") || !strings.Contains(err.Error(), "lock timeout") {
		t.Error(err)
	}
	if err = migrationError(errors.New("else")); strings.Contains(err.Error(), "pg_stat_activity") {
		t.Error(err)
	}
}
