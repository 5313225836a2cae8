package apitest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"unsafe"

	"sesame/server/internal/store"
)

// N19: an SQLite file that cannot be written to, as on a disk that fails or a file system that has become
// read-only, is an outage like any other. Here the kernel refuses every write of the server's process to a file.
func TestAnSQLiteFileThatTakesNoWrites(t *testing.T) {
	t.Parallel()
	s, pid := spawnPID(t, sqliteURL(t))
	limit := func(most uint64) func() {
		return func() {
			t.Helper()
			size := syscall.Rlimit{Cur: most, Max: ^uint64(0)}
			_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), rlimitFileSize, uintptr(unsafe.Pointer(&size)), 0, 0, 0)
			if errno != 0 {
				t.Fatal(errno)
			}
		}
	}
	s.whileReadOnly(t, limit(0), limit(^uint64(0)))
}

const rlimitFileSize = 1 // RLIMIT_FSIZE; package syscall has it not everywhere

// N19: a server does not start on an SQLite file that its user cannot write to, and says so.
func TestAReadOnlySQLiteFileStopsTheStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	databaseURL := "sqlite:" + filepath.Join(folder, "sesame.db")
	if out, err := spawnCommand(t, databaseURL, "", "migrate"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, _ := store.SQLitePath(databaseURL)
	for of, mode := range map[string]os.FileMode{file: 0o440, folder: 0o550} {
		c := process(t, databaseURL, "serve")
		if os.Getuid() == 0 { // which may write everywhere
			const nobody = 65534
			c.Env = append(c.Env, fmt.Sprintf("%s=%d", asUser, nobody))
			for _, path := range []string{folder, file} {
				if err := errors.Join(os.Chown(path, nobody, nobody), os.Chmod(filepath.Dir(folder), 0o711)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Chmod(of, mode); err != nil {
			t.Fatal(err)
		}
		out, err := c.CombinedOutput()
		if !regexp.MustCompile(`(?s)^sesame: .*`+regexp.QuoteMeta(file)+`.*(cannot be written to|must be able to write to)`).Match(out) || err == nil {
			t.Errorf("%s with mode %v: %v\n%s", of, mode, err, out)
		}
		if err := os.Chmod(of, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
