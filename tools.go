// Package sesame holds the contract as it is written, and the lines that generate code from it.
// The generator itself is pinned by the tool directive of go.mod.
package sesame

import _ "embed"

// OpenAPI is openapi.yaml, byte for byte. Everything that the server knows of its own contract
// comes from here, so the file that was compiled in and the behaviour cannot drift apart.
//
//go:embed openapi.yaml
var OpenAPI []byte

//go:generate go tool oapi-codegen -config gen/api/config.yaml openapi.yaml
//go:generate go tool oapi-codegen -config gen/client/config.yaml openapi.yaml
