package openapi

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// OpenFolder returns an Opener for the files of a folder. It opens no file outside that folder, even through symbolic
// links. Call done when the document has been read.
func OpenFolder(dir string) (open Opener, done func(), err error) {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	open = func(name string) ([]byte, error) { return readFile(folder, filepath.FromSlash(name)) }
	return open, func() { folder.Close() }, nil
}

// readFile reads a regular file of a folder. A symbolic link may only lead to another file in it.
func readFile(folder *os.Root, name string) ([]byte, error) {
	info, err := folder.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a named pipe would block the start
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	if info.Size() > maxSize {
		return nil, fmt.Errorf("%s is larger than %d MiB; split it into several documents", name, maxSize>>20)
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSize+1))
}
