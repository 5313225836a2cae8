package token

import (
	"crypto/sha256"
	"strings"

	"github.com/google/uuid"
)

// ClientKey returns the id under which the server stores a client, for the client_id that the client sends and that tokens name. They
// are the same, unless the client_id is the URL of a metadata document: a URL cannot be a part of a path, and has no short bound. The
// version of the UUID, 8, is that of no other id, so the key is the id of no person and of no client that an operator has made.
func ClientKey(clientID string) string {
	if !IsDocumentURI(clientID) {
		return clientID
	}
	sum := sha256.Sum256([]byte("client ID metadata document\x00" + clientID))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id.String()
}

// IsDocumentURI reports whether a client_id is the URL of a metadata document.
func IsDocumentURI(clientID string) bool { return strings.HasPrefix(clientID, "https://") }
