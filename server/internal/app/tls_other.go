//go:build !unix

package app

import "io/fs"

// fileID is for systems with inodes.
func fileID(fs.FileInfo) any { return nil }
