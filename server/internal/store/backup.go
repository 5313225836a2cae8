package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// ErrNotSQLite is the error of Backup on PostgreSQL.
var ErrNotSQLite = errors.New("the database is not SQLite")

// Backup copies an SQLite database to a new file, while servers read and write it. The copy has every write that was
// committed when Backup began, and is checked and on the disk when it returns. Only the owner can read it. The error for a
// file that exists matches fs.ErrExist.
//
// The copy gets its name when it is complete, so that an interrupted backup leaves nothing that looks like one.
func (db *DB) Backup(ctx context.Context, file string) (size int64, err error) {
	if db.engine.dialect != "sqlite3" {
		return 0, ErrNotSQLite
	}
	if _, err = os.Lstat(file); err == nil {
		return 0, fmt.Errorf("write the backup %s: %w", file, fs.ErrExist)
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".sesame-backup-*") // with mode 0600; SQLite writes to a file that is empty
	if err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	defer os.Remove(temp.Name())
	if err = temp.Close(); err != nil {
		return 0, err
	}
	if _, err = db.write.ExecContext(ctx, `VACUUM INTO $1`, temp.Name()); err != nil {
		return 0, fmt.Errorf("write the backup %s: %w", file, err)
	}
	if err = quickCheck(ctx, temp.Name()); err != nil {
		return 0, fmt.Errorf("check the backup %s: %w", file, err)
	}
	if size, err = syncFile(temp.Name()); err != nil {
		return 0, fmt.Errorf("write the backup %s: %w", file, err)
	}
	if err = os.Link(temp.Name(), file); err != nil { // which never overwrites a file
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	_, err = syncFile(filepath.Dir(file)) // the name
	return size, err
}

// quickCheck returns an error if a database is damaged.
func quickCheck(ctx context.Context, file string) error {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var result string
	if err = db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err == nil && result != "ok" {
		err = errors.New(result)
	}
	return err
}

// syncFile waits until a file or a folder is on the disk.
func syncFile(file string) (size int64, err error) {
	opened, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	info, err := opened.Stat()
	if err == nil {
		size = info.Size()
		err = opened.Sync()
	}
	return size, errors.Join(err, opened.Close())
}
