package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"runtime"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// sqliteDSN names a file for the driver, with what every connection to it needs.
func sqliteDSN(file string, pragmas ...string) string {
	v := url.Values{"_pragma": append([]string{
		"busy_timeout(5000)", // other processes on the same file
		"synchronous(FULL)",  // an acknowledged write survives a power cut
		"foreign_keys(ON)",
	}, pragmas...)}
	v.Set("_txlock", "immediate")
	v.Set("mode", "rw") // SQLite must not create the file, since its mode would depend on the umask
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + v.Encode()
}

// openSQLite opens one connection that writes and several that read beside it (WAL). SQLite has one writer at a time, and
// a queue here is fairer than its busy wait.
func openSQLite(ctx context.Context, file string) (*DB, error) {
	exists, err := CheckFiles(file)
	if err == nil && !exists {
		err = fmt.Errorf("open the database %s: %w", file, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	write, err := sql.Open("sqlite", sqliteDSN(file, "journal_mode(WAL)"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	write.SetMaxOpenConns(1)
	if err = connect(ctx, write); err != nil {
		if isUnavailable(err) && !isBusy(err) {
			err = fmt.Errorf("%w; SQLite must be able to write to the file and to its folder", err)
		}
		return nil, fmt.Errorf("open the database %s: %w", file, errors.Join(err, write.Close()))
	}
	// The file keeps its journal mode, so only the first connection sets it: the switch fails at once where another process
	// has the file open.
	read, err := sql.Open("sqlite", sqliteDSN(file, "query_only(ON)"))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", file, errors.Join(err, write.Close()))
	}
	read.SetMaxOpenConns(1 + max(4, runtime.GOMAXPROCS(0)))
	read.SetMaxIdleConns(1 + max(4, runtime.GOMAXPROCS(0)))
	files, err := watchFiles(ctx, read, file)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", file, errors.Join(err, read.Close(), write.Close()))
	}
	reader, writer := &prepared{db: read}, newBatchWriter(&prepared{db: write}, files.check)
	probe := func(ctx context.Context) error {
		if err := files.check(); err != nil {
			return err
		}
		var changes int64
		return reader.QueryRowContext(ctx, `SELECT changes FROM administration`).Scan(&changes)
	}
	return &DB{
		Queries: Queries{read: traced{reader}, write: writer},
		read:    read, write: write,
		engine: engine{dialect: "sqlite3", transact: writer.transaction, probe: probe, check: files.check, close: func() {
			writer.close()
			files.close()
		}, closed: func() {}},
		ready: readiness{turn: make(chan struct{}, 1)},
	}, nil
}

// openWait bounds the wait for other processes that create or recover the same file.
const openWait = 30 * time.Second

// connect opens the first connection to an SQLite file. It retries while another process creates the same file:
// busy_timeout does not cover the switch to the write-ahead log.
func connect(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			// A ping opens the file and reads nothing. This reads it, and so opens the write-ahead log.
			var tables int64
			err = db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&tables)
		}
		if !isBusy(err) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
