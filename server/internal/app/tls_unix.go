//go:build unix

package app

import (
	"io/fs"
	"syscall"
)

// fileID returns the device and the inode of a file.
func fileID(info fs.FileInfo) any {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{uint64(stat.Dev), stat.Ino} //nolint:unconvert // the types differ between systems
	}
	return nil
}
