// Package sesame holds the contract as it is written, and the lines that generate code from it. What
// the server enforces is the copy in gen/api, which is quicker to read at a start; Stale tells
// whether the two are one.
// The generator itself is pinned by the tool directive of go.mod.
package sesame

import (
	"crypto/sha1" //nolint:gosec // git's name for a file, not a signature
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
)

// OpenAPI is openapi.yaml, byte for byte, as it is served to people and their tools.
//
//go:embed openapi.yaml
var OpenAPI []byte

// generatedFrom names the openapi.yaml that gen/ was made from, as git names files.
//
//go:embed gen/openapi.yaml.hash
var generatedFrom string

//go:generate go tool oapi-codegen -config gen/api/config.yaml openapi.yaml
//go:generate go tool oapi-codegen -config gen/client/config.yaml openapi.yaml
//go:generate sh -c "git hash-object --no-filters openapi.yaml > gen/openapi.yaml.hash"

// Stale reports whether openapi.yaml has changed since the code in gen/ was made from it: then the
// server would enforce one contract and show another.
func Stale() bool {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(OpenAPI)), OpenAPI...)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:]) != strings.TrimSpace(generatedFrom)
}
