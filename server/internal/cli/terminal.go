package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"sesame/server/internal/names"
)

// visibleWriter is between the program and its standard output and error: a terminal shows what passes through it and obeys
// nothing. What people have stored may hold escape sequences and direction marks, by an older version or by hand. In JSON
// the escapes are those of JSON, so a script reads the same value.
type visibleWriter struct {
	to io.Writer

	mu   sync.Mutex
	rest []byte // the beginning of a character whose other bytes are still to come
}

// Write implements io.Writer.
func (w *visibleWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 && !slices.ContainsFunc(p, unusual) {
		return w.to.Write(p)
	}
	text := slices.Concat(w.rest, p)
	whole := len(text)
	for i := max(0, whole-utf8.UTFMax+1); i < len(text); i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			whole = i
			break
		}
	}
	w.rest = slices.Clone(text[whole:])
	if _, err := io.WriteString(w.to, names.VisibleLines(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unusual reports whether a byte is more than printable ASCII on a line.
func unusual(b byte) bool { return (b < ' ' || b > '~') && b != '\n' && b != '\t' }

// row writes a row of a table, of which no cell can begin another row or column.
func row(table io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = names.Visible(cell)
	}
	fmt.Fprintln(table, strings.Join(cells, "\t"))
}
