package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"sesame/server/internal/mailer"
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

// mailHandler writes a mail that goes to the log as a block for people, and every other record as the handler does. The block is
// indented, so that no line of a mail looks like a line of the log.
type mailHandler struct {
	slog.Handler
	to io.Writer
}

// Handle implements slog.Handler.
func (h mailHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Message != mailer.LoggedMail {
		return h.Handler.Handle(ctx, r)
	}
	mail := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		mail[a.Key] = a.Value.String()
		return true
	})
	lines := []string{"From: " + names.Visible(mail["from"]), "To: " + names.Visible(mail["to"]), "Subject: " + names.Visible(mail["subject"]), ""}
	lines = append(lines, strings.Split(strings.TrimRight(mail["text"], "\n"), "\n")...)
	text := fmt.Sprintf("\n%s %s:\n\n    %s\n\n", r.Time.Format(time.TimeOnly), mailer.LoggedMail, strings.Join(lines, "\n    "))
	_, err := io.WriteString(h.to, strings.ReplaceAll(text, "    \n", "\n"))
	return err
}

// WithAttrs implements slog.Handler.
func (h mailHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return mailHandler{h.Handler.WithAttrs(attrs), h.to}
}

// WithGroup implements slog.Handler.
func (h mailHandler) WithGroup(name string) slog.Handler {
	return mailHandler{h.Handler.WithGroup(name), h.to}
}
