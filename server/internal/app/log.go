package app

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"sesame/server/internal/config"
)

const (
	// logDelay is how long a line may wait to be written together with others.
	logDelay = 10 * time.Millisecond
	// logBuffer is how much may wait, in bytes; what makes it more is written at once.
	logBuffer = 64 << 10
)

// Log is the log of a server. Its level can be changed while it runs.
type Log struct {
	*slog.Logger
	usual slog.Level // that of the settings
	level slog.LevelVar
	lines *lineBuffer // nil for text
}

// NewLog makes a logger that writes to a stream in the format of the settings. Close it when nothing logs any more.
func NewLog(s config.Settings, to io.Writer) *Log {
	l := &Log{}
	_ = l.usual.UnmarshalText([]byte(s.LogLevel)) // checked with the settings
	l.level.Set(l.usual)
	options := &slog.HandlerOptions{Level: &l.level}
	if s.LogFormat == "text" || s.LogFormat == "auto" && IsTerminal(to) {
		l.Logger = slog.New(mailHandler{slog.NewTextHandler(to, options), to})
		return l
	}
	l.lines = &lineBuffer{to: to}
	l.Logger = slog.New(flushingHandler{slog.NewJSONHandler(l.lines, options), l.lines})
	return l
}

// ToggleDebug makes the log write debug lines, or no longer. It says so at a level that is logged before and after.
func (l *Log) ToggleDebug() {
	next := slog.LevelDebug
	if l.level.Level() == slog.LevelDebug {
		next = max(l.usual, slog.LevelInfo)
	}
	l.level.Set(next)
	l.Log(context.Background(), max(slog.LevelInfo, l.usual), "SIGUSR1: the level of the log is changed", "level", next)
}

// Flush writes what is buffered.
func (l *Log) Flush() {
	if l.lines != nil {
		l.lines.flushNow()
	}
}

// Close writes what is buffered. Lines after that are written at once.
func (l *Log) Close() {
	if l.lines != nil {
		l.lines.close()
	}
}

// flushingHandler writes what is buffered when an error is logged: the process may be about to crash.
type flushingHandler struct {
	slog.Handler
	lines *lineBuffer
}

// Handle implements slog.Handler.
func (h flushingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		h.lines.flushNow()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h flushingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushingHandler{h.Handler.WithAttrs(attrs), h.lines}
}

// WithGroup implements slog.Handler.
func (h flushingHandler) WithGroup(name string) slog.Handler {
	return flushingHandler{h.Handler.WithGroup(name), h.lines}
}

// lineBuffer writes lines in batches: one write per line was a fourteenth of the cost of GET /users/me. A process that is
// killed loses the lines of the last hundredth of a second, but none that is an error, or before one.
type lineBuffer struct {
	mu      sync.Mutex
	to      io.Writer
	waiting []byte
	timer   *time.Timer    // set while lines wait
	flushes sync.WaitGroup // that the timer has begun, or will
	closed  bool
}

// Write takes one line; slog hands over whole ones.
func (b *lineBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, line...)
	switch {
	case len(b.waiting) >= logBuffer || b.closed:
		b.write()
	case b.timer == nil:
		b.flushes.Add(1)
		b.timer = time.AfterFunc(logDelay, b.flush)
	}
	return len(line), nil
}

// flush is what the timer does.
func (b *lineBuffer) flush() {
	defer b.flushes.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = nil
	b.write()
}

// flushNow writes what waits. The timer then finds nothing, or later lines.
func (b *lineBuffer) flushNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write()
}

// close writes what waits and returns when no timer will write any more. Lines after that are written at once.
func (b *lineBuffer) close() {
	b.mu.Lock()
	b.closed = true
	if b.timer != nil && b.timer.Stop() {
		b.timer = nil
		b.flushes.Done()
	}
	b.write()
	b.mu.Unlock()
	b.flushes.Wait()
}

// write needs the lock. There is nobody to tell when standard error cannot be written to.
func (b *lineBuffer) write() {
	if len(b.waiting) > 0 {
		_, _ = b.to.Write(b.waiting)
	}
	b.waiting = b.waiting[:0]
}

// IsTerminal reports whether a person is at the other end of a stream.
func IsTerminal(stream any) bool {
	if wrapper, ok := stream.(interface{ Unwrap() io.Writer }); ok {
		stream = wrapper.Unwrap()
	}
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
