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
type Cursors struct{ key, second []byte }

// NewCursors makes Cursors. Replicas that share the master key accept each other's cursors.
func NewCursors(master MasterKey) Cursors {
	return Cursors{key: master.derive("cursors"), second: master.deriveSecond("cursors")}
}

const cursorMACSize = 16 // bytes

// Text returns the cursor after an item of a list. The name of the list includes its filters.
func (c Cursors) Text(list, id string) string {
	return base64.RawURLEncoding.EncodeToString(append(cursorMAC(c.key, list, id), id...))
}

// Read returns the id in a cursor, or ErrForgedCursor if it was not made for this list.
func (c Cursors) Read(list, text string) (id string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < cursorMACSize {
		return "", ErrForgedCursor
	}
	id = string(b[cursorMACSize:])
	made := func(key []byte) bool { return hmac.Equal(b[:cursorMACSize], cursorMAC(key, list, id)) }
	if !made(c.key) && (c.second == nil || !made(c.second)) {
		return "", ErrForgedCursor
	}
	return id, nil
}

func cursorMAC(key []byte, list, id string) []byte {
	return mac(key, []byte(list+"\x00"+id))[:cursorMACSize] // no id contains a NUL
}
