package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// fileWatch notices that the files of an SQLite database are no longer those that this process has open. SQLite itself goes
// on: it writes to files without a name, and every write since then is lost when the process ends.
type fileWatch struct {
	watched []watchedFile
	// keeper is a connection that nobody uses. SQLite deletes the write-ahead log when the last connection is closed, and the
	// next one would make another: this one stays until the end.
	keeper *sql.Conn
}

type watchedFile struct {
	path string
	info fs.FileInfo // identifies the file: device and inode
}

// errFilesLost is in every error of fileWatch.check.
var errFilesLost = errors.New("stop the server before anything else is done to the file. " +
	"Then put back the file together with its -wal file, or restore a backup and delete the files of the old database that end in -wal and -shm; " +
	"then start the server")

// watchFiles remembers the files of a database that is open: the database, and the write-ahead log beside it, which holds
// the latest commits.
func watchFiles(ctx context.Context, db *sql.DB, file string) (w *fileWatch, err error) {
	w = &fileWatch{}
	if w.keeper, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	var tables int64 // reading opens the log
	if err = w.keeper.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(file) // the log is next to it
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, err
	}
	for _, path := range []string{real, real + "-wal"} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		w.watched = append(w.watched, watchedFile{path, info})
	}
	return w, nil
}

func (w *fileWatch) close() { _ = w.keeper.Close() } // it returns to the pool, which is about to be closed

// check returns an error if one of the files was deleted or replaced. It costs two calls of the operating system, which is
// little beside a commit, so that every commit is preceded and followed by one. If the files are put back, the error ends.
func (w *fileWatch) check() error {
	for _, f := range w.watched {
		info, err := os.Stat(f.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s was deleted while the server had it open, so it accepts no writes; %w", f.path, errFilesLost)
		case err != nil:
			return fmt.Errorf("%s cannot be found any more, so it accepts no writes: %w; %w", f.path, err, errFilesLost)
		case !os.SameFile(f.info, info):
			return fmt.Errorf("%s was replaced by another file while the server had it open, so it accepts no writes; %w", f.path, errFilesLost)
		}
	}
	return nil
}

// checkFiles returns an error if the files of the database were deleted or replaced. On PostgreSQL it returns nil.
func (db *DB) checkFiles() error {
	if db.engine.check == nil {
		return nil
	}
	return db.engine.check()
}

// watchEvery is how often Watch looks.
const watchEvery = 500 * time.Millisecond

// Watch calls report whenever the files of the database are lost, and with nil when they are back, until ctx ends. Writes
// are refused even without Watch. It does nothing on PostgreSQL.
func (db *DB) Watch(ctx context.Context, report func(error)) {
	if db.engine.check == nil {
		return
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for lost := false; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if err := db.checkFiles(); (err != nil) != lost {
			lost = !lost
			report(err)
		}
	}
}
