package app

import (
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"sesame/server/internal/names"
)

// VisibleWriter stands between the program and a terminal, and escapes control characters: text that people have stored,
// by an older version or by hand, may hold escape sequences and direction marks. The escapes are those of JSON, so a
// script that reads JSON gets the same value.
type VisibleWriter struct {
	To io.Writer

	mu   sync.Mutex
	rest []byte // the beginning of a character whose other bytes are still to come
}

// Write implements io.Writer.
func (w *VisibleWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 && !slices.ContainsFunc(p, unusual) {
		return w.To.Write(p)
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
	if _, err := io.WriteString(w.To, names.VisibleLines(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap returns the stream itself.
func (w *VisibleWriter) Unwrap() io.Writer { return w.To }

// unusual reports whether a byte is more than printable ASCII on a line.
func unusual(b byte) bool { return (b < ' ' || b > '~') && b != '\n' && b != '\t' }
