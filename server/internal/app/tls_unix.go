//go:build unix

package app

import (
	"io/fs"
	"syscall"
)

// fileID returns the device, the inode and the owners of a file.
func fileID(info fs.FileInfo) any {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return [4]uint64{uint64(stat.Dev), stat.Ino, uint64(stat.Uid), uint64(stat.Gid)} //nolint:unconvert // the types differ between systems
	}
	return nil
}
