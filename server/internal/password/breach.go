package password

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format of the list
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	hashDigits = 2 * sha1.Size
	// maxLine is longer than any line of the list: a hash, a colon, a count and the end of the line.
	maxLine = 128
	// samples is how many lines of a list are checked when it is opened.
	samples = 512
)

// BreachList is a file of SHA-1 hashes of stolen passwords in the format of Have I Been Pwned: one hash in hexadecimal a
// line, optionally followed by a colon and a count, sorted by hash. It is searched on disk, so that 40 GB need no memory.
// It is safe for concurrent use.
type BreachList struct {
	file *os.File
	size int64
}

// OpenBreachList opens a list and checks a sample of its lines, or all of a short list. A file of another format, or one
// that is not sorted, is an error.
func OpenBreachList(name string) (*BreachList, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the breach list: %w", err)
	}
	list := &BreachList{file: file}
	if err = list.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("the breach list %s %w", name, err), file.Close())
	}
	return list, nil
}

func (l *BreachList) check() error {
	info, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if l.size = info.Size(); !info.Mode().IsRegular() || l.size == 0 {
		return errors.New("is empty, or not a file")
	}
	var last []byte
	for offset := int64(0); offset < l.size; offset += max(l.size/samples, 1) {
		begin, hash, err := l.lineFrom(offset)
		if err != nil {
			return err
		}
		if begin >= l.size {
			break
		}
		if bytes.Compare(last, hash) > 0 {
			return errors.New("is not sorted by hash; download the version that is ordered by hash, or sort it")
		}
		last = hash
	}
	return nil
}

// Contains reports whether a password is in the list.
func (l *BreachList) Contains(password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // the format of the list
	low, high := int64(0), l.size
	for low < high { // the line begins in [low, high), if it is in the list
		middle := (low + high) / 2
		begin, hash, err := l.lineFrom(middle)
		if err != nil {
			return false, fmt.Errorf("the breach list %w", err)
		}
		if begin >= high {
			high = middle
			continue
		}
		switch bytes.Compare(sum[:], hash) {
		case 0:
			return true, nil
		case -1:
			high = middle
		default:
			low = begin + 1
		}
	}
	return false, nil
}

// lineFrom reads the first line that begins at or after an offset, and returns where it begins; the size of the file if
// there is none.
func (l *BreachList) lineFrom(offset int64) (begin int64, hash []byte, err error) {
	var buffer [2 * maxLine]byte
	from := max(offset-1, 0) // the byte before shows whether a line begins here
	n, err := l.file.ReadAt(buffer[:], from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, fmt.Errorf("cannot be read: %w", err)
	}
	text := buffer[:n]
	if offset > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 && from+int64(n) < l.size {
			return 0, nil, errFormat
		}
		if end < 0 || from+int64(end)+1 >= l.size {
			return l.size, nil, nil
		}
		from, text = from+int64(end)+1, text[end+1:]
	}
	hash, err = parseHash(text)
	return from, hash, err
}

var errFormat = errors.New("has lines that are not a SHA-1 hash in hexadecimal with an optional colon and count")

// parseHash reads the hash at the beginning of a line.
func parseHash(text []byte) ([]byte, error) {
	if len(text) < hashDigits || len(text) > hashDigits && !bytes.ContainsRune([]byte(":\r\n"), rune(text[hashDigits])) {
		return nil, errFormat
	}
	hash := make([]byte, sha1.Size)
	if _, err := hex.Decode(hash, text[:hashDigits]); err != nil {
		return nil, errFormat
	}
	return hash, nil
}
