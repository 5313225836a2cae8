package app

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Others can connect at no moment, whatever the umask is: their X-Forwarded-For would be trusted.
func TestASocketIsNeverOpenToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	was := syscall.Umask(0)
	defer syscall.Umask(was)
	listener, err := listenAtSocket(t.Context(), path) // Chmod has not run yet
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v %v", info, err)
	}
}
