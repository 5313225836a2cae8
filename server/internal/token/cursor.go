package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// ErrForgedCursor says that a cursor is not one of ours, or of another list.
var ErrForgedCursor = errors.New("not a cursor of this list")

// Cursors writes and reads the cursors of paged lists. A cursor is the last item's id, in base64url behind an
// HMAC over the list's name and the id, so that only places which a page has ended at can be gone on from.
type Cursors struct{ key []byte }

// NewCursors makes Cursors; all replicas that share the master key understand one another.
func NewCursors(master MasterKey) Cursors { return Cursors{key: master.derive("cursors")} }

const cursorMAC = 16 // bytes

// Text writes the cursor behind an item of a list. The list's name says what it was narrowed to, too.
func (c Cursors) Text(list, id string) string {
	return base64.RawURLEncoding.EncodeToString(append(c.mac(list, id), id...))
}

// Read gives the id that a cursor stands for; ErrForgedCursor if it was not made for this list.
func (c Cursors) Read(list, text string) (id string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < cursorMAC {
		return "", ErrForgedCursor
	}
	id = string(b[cursorMAC:])
	if !hmac.Equal(b[:cursorMAC], c.mac(list, id)) {
		return "", ErrForgedCursor
	}
	return id, nil
}

func (c Cursors) mac(list, id string) []byte {
	h := hmac.New(sha256.New, c.key)
	h.Write([]byte(list + "\x00" + id)) // no id holds a NUL
	return h.Sum(nil)[:cursorMAC]
}
