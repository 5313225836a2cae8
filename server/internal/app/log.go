package app

import (
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
	logDelay = 100 * time.Millisecond
	// logBuffer is how much may wait, in bytes; what makes it more is written at once.
	logBuffer = 64 << 10
)

// NewLog makes a logger that writes to a stream in the format of the settings. The function that it returns writes
// what is buffered; call it when nothing logs any more.
func NewLog(s config.Settings, to io.Writer) (log *slog.Logger, end func()) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // checked with the settings
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "text" || s.LogFormat == "auto" && IsTerminal(to) {
		return slog.New(mailHandler{slog.NewTextHandler(to, options), to}), func() {}
	}
	lines := &lineBuffer{to: to}
	return slog.New(slog.NewJSONHandler(lines, options)), lines.close
}

// lineBuffer writes lines in batches: one write per line was a fourteenth of the cost of GET /users/me. A crash of the
// process can lose the lines of the last tenth of a second.
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
