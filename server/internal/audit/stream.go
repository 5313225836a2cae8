package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"sesame/server/internal/store"
)

// Stream writes every event that a process records as a line of JSON, in the form of GET /events: to a file, apart from
// the log, or to a stream such as standard output.
//
// A line is written when the transaction of the event is committed and before the request is answered, without a buffer,
// so that a crash of the process loses no line but that of an event which was committed at that moment. The database
// remains the record.
type Stream struct {
	mu     sync.Mutex
	to     io.Writer
	file   *os.File // nil for a stream
	path   string
	failed func(error)
	broken bool // the last line was not written whole
}

// NewStream makes a Stream that writes to w. failed is called with the error of each line that is lost.
func NewStream(w io.Writer, failed func(error)) *Stream { return &Stream{to: w, failed: failed} }

// OpenStream makes a Stream that appends to a file, which it creates for its owner alone.
func OpenStream(path string, failed func(error)) (*Stream, error) {
	s := &Stream{path: path, failed: failed}
	return s, s.Reopen()
}

// Reopen opens the file again, under its name: a program that rotates logs has moved the old one away. If that fails, the
// old file remains in use. It does nothing for a stream.
func (s *Stream) Reopen() error {
	if s.path == "" {
		return nil
	}
	// A pipe would stop the server as long as nobody reads it: in the opening, and in each write when it is full.
	if info, err := os.Stat(s.path); err == nil && !info.Mode().IsRegular() && info.Mode().Type()&fs.ModeCharDevice == 0 {
		return fmt.Errorf("open the event log: %s is not a regular file; name another one, or stdout", s.path)
	}
	file, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the event log: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.file
	s.file, s.to, s.broken = file, file, false
	if old != nil {
		_ = old.Close() // nothing is buffered that this could lose
	}
	return nil
}

// Close closes the file, if there is one.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// line is an event as GET /events shows it.
type line struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	UserID    *string   `json:"user_id"`
	Username  *string   `json:"username"`
	Actor     *string   `json:"actor"`
	ClientID  *string   `json:"client_id"`
	SessionID *string   `json:"session_id"`
	TokenID   *string   `json:"token_id"`
	IPAddress *string   `json:"ip_address"`
	UserAgent *string   `json:"user_agent"`
}

// Line returns an event as a line of JSON, with the line break.
func Line(e store.Event) ([]byte, error) {
	text, err := json.Marshal(line{
		e.ID, e.At.UTC().Truncate(time.Microsecond), e.Kind, // as the database has it
		orNull(e.UserID), orNull(e.Username), orNull(e.Actor), orNull(e.ClientID), orNull(e.SessionID), orNull(e.TokenID), orNull(e.IPAddress), orNull(e.UserAgent),
	})
	return append(text, '\n'), err
}

// Write writes an event.
func (s *Stream) Write(e store.Event) {
	text, err := Line(e)
	if err == nil {
		err = s.append(text)
	}
	if err != nil {
		s.failed(fmt.Errorf("write the event %s to the event log; the database has it: %w", e.ID, err))
	}
}

func (s *Stream) append(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken { // by a full disk, perhaps; this line must not continue the other
		text = append([]byte("\n"), text...)
	}
	n, err := s.to.Write(text)
	s.broken = n > 0 && n < len(text) || s.broken && n == 0
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	if errors.Is(err, os.ErrClosed) {
		err = errors.New("the server is stopping")
	}
	return err
}

// orNull returns nil for an empty text, which an event has where it does not know something.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
