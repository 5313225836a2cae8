package token

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
)

// ErrForgedCursor is the error for a cursor that this server did not make for this list.
var ErrForgedCursor = errors.New("not a cursor of this list")

// Cursors makes and reads the cursors of paged lists. A cursor is the id of the last item of a page, in base64url, after
// an HMAC over the name of the list and the id. So a client can continue only where a page has ended.
type Cursors struct{ key []byte }

// NewCursors makes Cursors. Replicas that share the master key accept each other's cursors.
func NewCursors(master MasterKey) Cursors { return Cursors{key: master.derive("cursors")} }

const cursorMAC = 16 // bytes

// Text returns the cursor after an item of a list. The name of the list includes its filters.
func (c Cursors) Text(list, id string) string {
	return base64.RawURLEncoding.EncodeToString(append(c.mac(list, id), id...))
}

// Read returns the id in a cursor, or ErrForgedCursor if it was not made for this list.
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
	return mac(c.key, []byte(list+"\x00"+id))[:cursorMAC] // no id contains a NUL
}
