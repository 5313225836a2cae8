package account

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sesame/server/internal/problem"
)

// maxMetadata bounds the metadata of an account, in bytes. It is in ID tokens, which clients send in URLs.
const maxMetadata = 2000

// metadataOf returns a JSON object as it is stored: without white space, and "" for an empty one. Errors: ValidationFailed.
func metadataOf(text string) (*string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil || compact.Bytes()[0] != '{' {
		return nil, problem.Invalid().At("/user_metadata", "must be a JSON object")
	}
	if compact.Len() > maxMetadata {
		return nil, problem.Invalid().At("/user_metadata", fmt.Sprintf("is longer than %d bytes", maxMetadata))
	}
	if compact.String() == "{}" {
		return new(string), nil
	}
	return new(compact.String()), nil
}
