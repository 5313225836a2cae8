package app

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Others can connect at no moment, whatever the umask is: their X-Forwarded-For would be trusted.
func TestASocketIsNeverOpenToOthers(t *testing.T) {
	folder, err := os.MkdirTemp("", "") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	t.Cleanup(func(was int) func() { return func() { syscall.Umask(was) } }(syscall.Umask(0)))
	path := filepath.Join(folder, "s")
	listener, err := listenAtSocket(t.Context(), path) // Chmod has not run yet
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v %v", info, err)
	}
}
