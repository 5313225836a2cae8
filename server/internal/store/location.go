package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"sesame/server/secret"
)

// SQLitePath returns the file of a sqlite: URL, and whether it is one. The path follows the colon; four slashes are
// SQLAlchemy's form of an absolute path.
func SQLitePath(databaseURL string) (file string, ok bool) {
	file, ok = strings.CutPrefix(databaseURL, "sqlite:")
	if strings.HasPrefix(file, "////") {
		file = file[3:]
	}
	return file, ok
}

// CheckURL returns why a database URL is invalid, or "". It does not quote a postgres:// URL, which may hold a password.
func CheckURL(databaseURL string) (reason string) {
	if file, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		return checkSQLiteURL(file)
	}
	if !strings.HasPrefix(databaseURL, "postgres://") && !strings.HasPrefix(databaseURL, "postgresql://") {
		return "must be sqlite:FILE or postgres://…"
	}
	_, err := pgx.ParseConfig(databaseURL)
	if e, ok := errors.AsType[*fs.PathError](err); ok { // a certificate that the URL names
		return "names a file that cannot be read: " + e.Error()
	}
	if err != nil {
		return "is not a valid address such as postgres://user:password@host:5432/database; " +
			"in user and password, write everything but letters and digits as % codes"
	}
	return ""
}

// checkSQLiteURL checks the part after sqlite:. With two or three slashes, some programs read an absolute path and others
// a relative one (SQLAlchemy), so both are refused.
func checkSQLiteURL(file string) (reason string) {
	path := strings.TrimLeft(file, "/")
	slashes := len(file) - len(path)
	switch {
	case path == "":
		return "names no file; write sqlite:FILE"
	case slashes > 1 && slashes != 4:
		return fmt.Sprintf("is %q, which programs interpret differently; write sqlite:%s for the current folder or sqlite:/%s for an absolute path",
			"sqlite:"+file, path, path)
	case strings.HasPrefix(path, ":memory:"):
		return "names a database in memory, which is lost at every restart; write sqlite:FILE"
	case strings.HasPrefix(path, "file:") || strings.ContainsAny(file, "?#"):
		return "must be sqlite: and a path, without file:, parameters or a fragment"
	case strings.HasSuffix(file, "/"):
		return "names a folder; write sqlite:FILE"
	}
	return ""
}

// CheckFiles reports whether an SQLite database exists. It returns an error if the database cannot be opened or created at
// this path, or if other users can read its files, including those where SQLite keeps recent writes. It writes nothing.
func CheckFiles(file string) (exists bool, err error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if target, err := os.Readlink(file); err == nil {
			return false, fmt.Errorf("the database %s is a link to %s, which does not exist", file, target)
		}
		return false, checkFolder(filepath.Dir(file))
	}
	if err != nil {
		return false, fmt.Errorf("open the database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("the database %s is not a file", file)
	}
	real, err := filepath.EvalSymlinks(file) // the other files are next to it
	if err != nil {
		return false, fmt.Errorf("open the database: %w", err)
	}
	faults := []error{checkPrivate(real, info)}
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if info, err = os.Stat(real + suffix); err == nil {
			faults = append(faults, checkPrivate(real+suffix, info))
		}
	}
	return true, errors.Join(faults...)
}

func checkFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("the folder of the database cannot be used: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the folder of the database, %s, is not a folder", folder)
	}
	return nil
}

func checkPrivate(file string, info fs.FileInfo) error {
	if !secret.OpenToOthers(info) {
		return nil
	}
	return fmt.Errorf("every user of this machine has access to the database file %s (mode %04o); run: chmod 600 %s",
		file, info.Mode().Perm(), file)
}

// createFile creates an empty database file, unless it exists. Its mode is 0600 whatever the umask, and SQLite gives its
// other files the same mode.
func createFile(file string) error {
	created, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return errors.Join(created.Chmod(0o600), created.Close())
}
