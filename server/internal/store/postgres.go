package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// statementTime is how long PostgreSQL works on a statement before it ends it.
	statementTime = 2500 * time.Millisecond
	// idleTransactionTime frees the locks of a replica that is cut off from PostgreSQL.
	idleTransactionTime = 10 * time.Second
	// connectTime and answerTime together are less than five seconds: a request may wait for a connection that gets no answer,
	// and then for one that cannot be made.
	connectTime = 2 * time.Second
)

// Pool are the limits of the connections to PostgreSQL. The zero value has the defaults.
type Pool struct {
	Size     int           // 0 is four for each core, from 10 to 40
	Lifetime time.Duration // after which a connection is replaced; 0 is an hour
}

// open makes a pool with these limits.
func (p Pool) open(connector driver.Connector) *sql.DB {
	db := sql.OpenDB(connector)
	size := cmp.Or(p.Size, min(max(10, 4*runtime.GOMAXPROCS(0)), 40))
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxLifetime(cmp.Or(p.Lifetime, time.Hour))
	return db
}

func openPostgres(ctx context.Context, databaseURL string, pool Pool) (*DB, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New("the database URL is neither sqlite:FILE nor a valid postgres:// URL")
	}
	config.Tracer = statementTracer{}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	chosen := config.ValidateConnect != nil
	if !chosen {
		// Refuse a standby, or a session that starts read-only: it would stay in the pool and refuse writes after the
		// database accepts them again.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	patient := config.Copy() // without limits, for migrations
	limits := map[string]string{"statement_timeout": millis(statementTime), "idle_in_transaction_session_timeout": millis(idleTransactionTime)}
	for name, value := range limits {
		patient.RuntimeParams[name] = "0" // the role may have others
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		} else {
			delete(limits, name) // the operator has chosen
		}
	}
	net, state := &network{dial: config.DialFunc, timeout: config.ConnectTimeout, answer: answerTime}, &hostsState{}
	config.DialFunc = net.connect
	pooled, statement, err := examine(ctx, newHosts(config, state, chosen))
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL at %s: %w", config.Host, err)
	}
	if _, usual := limits["statement_timeout"]; !usual {
		net.answer = max(answerTime, statement+answerTime-statementTime)
	}
	if pooled {
		withoutSession(databaseURL, config, patient, limits)
	}
	db := pool.open(flights{newHosts(config, state, chosen, stdlib.OptionShouldPing(net.shouldPing))})
	if pooled {
		if err = canTransact(ctx, db); err != nil {
			return nil, fmt.Errorf("use the pooler at %s, which must have the pool mode transaction or session, and accept the parameters in the database URL: %w",
				config.Host, errors.Join(err, db.Close()))
		}
	}
	return &DB{
		Queries: Queries{read: reading{retrying{db}}, write: retrying{db}, skipLocked: " FOR UPDATE SKIP LOCKED"},
		read:    db, write: db,
		engine: engine{
			dialect: "postgres", transact: inFlight(db), probe: func(ctx context.Context) error { return probePostgres(ctx, db) },
			close: func() { net.close(answerTime) }, closed: net.open.Wait, // the driver cancels statements in the background
			patient: func() *sql.DB { return sql.OpenDB(newHosts(patient, state, chosen)) },
		},
		ready: readiness{turn: make(chan struct{}, 1)},
	}, nil
}

// inFlight returns a function that runs another one in a transaction; see flights.
func inFlight(db *sql.DB) func(context.Context, func(runner) error) error {
	return func(ctx context.Context, f func(runner) error) error {
		tx, err := db.BeginTx(context.WithValue(ctx, inFlights{}, true), nil)
		if err != nil {
			return translate(err)
		}
		defer tx.Rollback() //nolint:errcheck // does nothing after a commit
		if err = f(tx); err != nil {
			return err
		}
		return translate(tx.Commit())
	}
}

// withoutSession prepares for a pooler, which gives each transaction another connection: settings and prepared statements of one are
// not there in the next. The limits of network remain.
func withoutSession(databaseURL string, config, patient *pgx.ConnConfig, limits map[string]string) {
	for name := range limits {
		delete(config.RuntimeParams, name)
	}
	patient.RuntimeParams = maps.Clone(config.RuntimeParams)
	if !strings.Contains(databaseURL, "default_query_exec_mode") {
		config.DefaultQueryExecMode, patient.DefaultQueryExecMode = pgx.QueryExecModeExec, pgx.QueryExecModeExec
	}
}

// probePostgres reads from the database, and fails if it is read-only. It prepares nothing, which would take another round trip.
func probePostgres(ctx context.Context, db *sql.DB) error {
	var readOnly string
	err := db.QueryRowContext(ctx, `SELECT current_setting('transaction_read_only')`, pgx.QueryExecModeExec).Scan(&readOnly)
	if err == nil && readOnly != "off" {
		err = errReadOnly
	}
	return err
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// examine connects once, and reports whether a pooler such as PgBouncer is in between: it refuses settings at the start of a
// session, or another process answers than the one that the start of the session has named. statement is the time that
// PostgreSQL gives a statement.
func examine(ctx context.Context, h *hosts) (pooled bool, statement time.Duration, err error) {
	made, err := h.Connect(ctx)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "08P01" {
		return true, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer made.Close()
	conn := made.(*stdlib.Conn).Conn()
	var process uint32
	var milliseconds string
	err = conn.QueryRow(ctx, `SELECT pg_backend_pid(), setting FROM pg_settings WHERE name = 'statement_timeout'`, pgx.QueryExecModeExec).Scan(&process, &milliseconds)
	n, _ := strconv.ParseInt(milliseconds, 10, 64)
	return process != conn.PgConn().PID(), time.Duration(n) * time.Millisecond, err
}

// canTransact fails where a pooler refuses transactions, which otherwise only the migrations would find out.
func canTransact(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return tx.Rollback()
}
