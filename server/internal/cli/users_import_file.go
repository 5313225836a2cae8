package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"sesame/server/internal/account"
)

// importFile is the file that is imported, without a byte order mark.
type importFile struct {
	*bufio.Reader
	io.Closer
	name string // as in the arguments, or "" for standard input
	size int64  // 0 if it is unknown
	read int64  // bytes
}

// open opens the file, or standard input.
func (c *userImportCommand) open(p *program) (*importFile, error) {
	in := &importFile{Closer: io.NopCloser(nil)}
	from := p.Stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		from, in.Closer, in.name = file, file, c.File
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	in.Reader = bufio.NewReaderSize(countingReader{from, &in.read}, 1<<16)
	return in, nil
}

type countingReader struct {
	io.Reader
	n *int64
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	*r.n += int64(n)
	return n, err
}

// maxUnclosed is how much is read for one record before the import gives up, in bytes. A quotation mark that is not closed makes
// the rest of the file one record, which would take a multiple of its size in memory.
const maxUnclosed = 16 << 20

var errUnclosed = fmt.Errorf("it has more than %d MiB; a quotation mark or a bracket is probably not closed", maxUnclosed>>20)

// recordReader reads at most maxUnclosed bytes for a record.
type recordReader struct {
	io.Reader
	read int
}

// next begins a record.
func (r *recordReader) next() { r.read = 0 }

func (r *recordReader) exceeded() bool { return r.read > maxUnclosed }

func (r *recordReader) Read(p []byte) (int, error) {
	if r.exceeded() {
		return 0, errUnclosed
	}
	n, err := r.Reader.Read(p[:min(len(p), maxUnclosed+1-r.read)])
	r.read += n
	return n, err
}

// shown is the name of the file in messages.
func (f *importFile) shown() string {
	if f.name == "" {
		return "standard input"
	}
	return f.name
}

// at names a line.
func (f *importFile) at(line int) string {
	if f.name == "" {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("%s, line %d", f.name, line)
}

// converted is a command that converts the file to UTF-8.
func converted(name, from string) string {
	if name == "" {
		return "iconv -f " + from + " -t UTF-8"
	}
	extension := filepath.Ext(name)
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return fmt.Sprintf("iconv -f %s -t UTF-8 %s >%s", from, shellWord(name), shellWord(strings.TrimSuffix(name, extension)+".utf8"+extension))
}

// checkEncoding skips a byte order mark, and returns the beginning of the file without white space. It refuses UTF-16, UTF-32 and
// files that are no text, of which no line could be read.
func (f *importFile) checkEncoding() (start []byte, err error) {
	if start, err = f.Peek(1024); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if encoding, kind := otherEncoding(start); encoding != "" {
		return nil, fmt.Errorf("%s is %s, and an import reads UTF-8; convert it and import the result: %s", f.shown(), kind, converted(f.name, encoding))
	}
	rest, marked := bytes.CutPrefix(start, []byte("\ufeff"))
	if marked {
		if _, err = f.Discard(len(start) - len(rest)); err != nil {
			return nil, err
		}
	}
	switch {
	case bytes.HasPrefix(rest, []byte("PK\x03\x04")):
		return nil, fmt.Errorf("%s is a spreadsheet or another ZIP file; save the table as CSV in UTF-8", f.shown())
	case bytes.HasPrefix(rest, []byte{0x1f, 0x8b}):
		return nil, fmt.Errorf("%s is compressed; decompress it: gunzip", f.shown())
	case bytes.Count(rest, []byte{'\r'}) > 1 && !bytes.ContainsRune(rest, '\n'):
		return nil, fmt.Errorf("%s has lines that end with CR alone; convert it: tr '\\r' '\\n'", f.shown())
	}
	return bytes.TrimLeft(rest, " \t\r\n"), nil
}

// otherEncoding recognises UTF-16 and UTF-32, by a byte order mark or by the zero bytes of ASCII characters, of which every
// header and every JSON text has some at its beginning. encoding is the name for iconv.
func otherEncoding(start []byte) (encoding, kind string) {
	zeros := [4]int{}
	sample := start[:min(len(start), 64)&^3]
	for i, b := range sample {
		if b == 0 {
			zeros[i%4]++
		}
	}
	most := len(sample)/4 - len(sample)/16 // of every fourth byte
	is := func(odd ...int) bool {
		for _, i := range odd {
			if len(sample) < 8 || zeros[i] < most {
				return false
			}
		}
		return true
	}
	switch {
	case bytes.HasPrefix(start, []byte{0xff, 0xfe, 0, 0}), bytes.HasPrefix(start, []byte{0, 0, 0xfe, 0xff}):
		return "UTF-32", "UTF-32"
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}):
		return "UTF-16", "UTF-16 (little-endian)"
	case bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		return "UTF-16", "UTF-16 (big-endian)"
	case is(1, 2, 3):
		return "UTF-32LE", "UTF-32 (little-endian, without a byte order mark)"
	case is(0, 1, 2):
		return "UTF-32BE", "UTF-32 (big-endian, without a byte order mark)"
	case is(1, 3):
		return "UTF-16LE", "UTF-16 (little-endian, without a byte order mark)"
	case is(0, 2):
		return "UTF-16BE", "UTF-16 (big-endian, without a byte order mark)"
	}
	return "", ""
}

// checkUTF8 refuses a text that is not UTF-8. SQLite would store it as it is, and nobody could read the name.
func checkUTF8(field string, text []byte) *account.Refusal {
	if utf8.Valid(text) {
		return nil
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return &account.Refusal{Code: "not_utf8", Field: field, Reason: fmt.Sprintf(
				"is not UTF-8 (byte 0x%02X); if the file is Latin-1 or Windows-1252, convert it: iconv -f WINDOWS-1252 -t UTF-8", text[i])}
		}
		i += size
	}
	return nil
}
