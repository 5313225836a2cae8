package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"sesame/server/internal/problem"
)

// Errors of queries.
var (
	// ErrNotFound means that no row matches.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that a unique value exists already.
	ErrConflict = errors.New("conflict")
)

// translate turns the errors of the two drivers into those of this package. For a database that is unreachable or busy
// that is problem.Unavailable: a retry may succeed.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows), isUnchanged(err):
		return ErrNotFound
	case isConflict(err):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case isUnavailable(err):
		return problem.Wrap(problem.Unavailable, "The server cannot process the request now. Try again shortly.", err)
	}
	return err
}

// isBusy reports whether another process holds the lock of an SQLite file.
func isBusy(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlitelib.SQLITE_BUSY
}

// isUnchanged reports whether a statement has changed no row that must change one.
func isUnchanged(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "22012" // division by zero
}

func isConflict(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlitelib.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// unavailable lists the SQLSTATEs, and classes of them, after which a retry may succeed.
var unavailable = []string{
	"08",             // connection lost
	"25006",          // read-only
	"25P03", "25P04", // a transaction took too long
	"40001", "40P01", // serialization failure, deadlock
	"53",    // no resources, such as a full disk
	"55P03", // lock timeout
	"57",    // shutting down, statement timeout
	"58",    // the operating system failed
}

func isUnavailable(err error) bool {
	// First, since any error while connecting is an outage, whatever its SQLSTATE.
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok || pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return true
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains(unavailable, e.Code) || slices.Contains(unavailable, e.Code[:min(2, len(e.Code))])
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the rest is the extended code
		case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_PROTOCOL, // too many at once
			sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_IOERR, sqlitelib.SQLITE_CANTOPEN:
			return true
		}
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, errFilesLost) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
}

// isRetryable reports whether to run a transaction again, of which the database has done nothing.
func isRetryable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01") || errors.Is(err, errChanged) // serialization failure, deadlock
}

// isLost reports whether a connection has ended while a statement waited for its answer. One that gives no answer is not lost: the
// request has waited for it long enough.
func isLost(err error) bool {
	if pgconn.Timeout(err) {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "57P01" || strings.HasPrefix(e.Code, "08") // the database stops or an administrator has ended it; a pooler has lost it
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// IgnoreNotFound returns err, or nil if it is ErrNotFound.
func IgnoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
