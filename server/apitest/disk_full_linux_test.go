package apitest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sesame/server/internal/postgrestest"
)

// A full disk refuses every write with 503, is not ready, answers reads, and serves again when there is room.
func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	template, err := migratedSQLite()
	if err != nil {
		t.Fatal(err)
	}
	disk := smallDisk(t, "size=4m,mode=0700")
	file, filler := filepath.Join(disk, "sesame.db"), filepath.Join(disk, "filler")
	if err := os.WriteFile(file, template, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "sqlite:"+file)
	defer s.stop() // before the disk goes
	fill := func() {
		// The log is used again from its beginning after a checkpoint, so it must have no room either.
		s.sql(t, `PRAGMA wal_checkpoint(TRUNCATE)`)
		fillUp(t, filler)
	}
	s.whileReadOnly(t, fill, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
}

// smallDisk mounts a file system until the test ends.
func smallDisk(t *testing.T, options string) (folder string) {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "sesame-disk-") //nolint:usetesting // another user enters it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(folder) })
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, options); err != nil {
		t.Skip("only root may mount a small disk: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// fillUp writes a file until the disk is full.
func fillUp(t *testing.T, file string) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = out.Write(make([]byte, 1024))
	}
	if err = out.Close(); err != nil {
		t.Fatal(err)
	}
}

// The same for the disk of PostgreSQL. Writes that need no more room go on, so readiness may not show it; once its log has no room,
// PostgreSQL ends. No acknowledged write is lost, and the server works again when PostgreSQL does.
func TestAPostgresDiskThatIsFull(t *testing.T) {
	if !thorough() {
		t.Skip("it takes several seconds; make faults runs it")
	}
	t.Parallel()
	folder := smallDisk(t, "size=96m,mode=1777")
	if err := os.Chmod(folder, 0o1777); err != nil {
		t.Fatal(err)
	}
	postgres := postgrestest.StartCrashing(t, folder)
	w := newWriters(t, start(t, postgres.URL()))
	filler := filepath.Join(folder, "filler")
	again := w.through(t, func() {
		fillUp(t, filler)
		until(t, "writes are refused", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.refused > 20
		})
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
		postgres.Start()
	})
	w.check(t)
	t.Logf("%d registrations acknowledged, %d answered with 503; all work %v after there is room", len(w.acknowledged), w.refused, again.Round(time.Millisecond))
}
