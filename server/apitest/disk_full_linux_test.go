package apitest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A full disk refuses every write with 503, is not ready, answers reads, and serves again when there is room.
func TestADiskThatIsFull(t *testing.T) {
	t.Parallel()
	template, err := migratedSQLite()
	if err != nil {
		t.Fatal(err)
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Skip("only root may mount a small disk: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	file, filler := filepath.Join(disk, "sesame.db"), filepath.Join(disk, "filler")
	if err := os.WriteFile(file, template, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "sqlite:"+file)
	defer s.stop() // before the disk goes
	fill := func() {
		// The log is used again from its beginning after a checkpoint, so it must have no room either.
		s.sql(t, `PRAGMA wal_checkpoint(TRUNCATE)`)
		out, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = out.Write(make([]byte, 1024))
		}
		if err = errors.Join(out.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s.whileReadOnly(t, fill, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
}
