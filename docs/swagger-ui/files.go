// Package swaggerFiles stands in for github.com/swaggo/files/v2 (see the replace directive in the
// go.mod above): the same Swagger UI, without the nine megabytes of source maps and of builds that
// no page loads, which would otherwise be a quarter of the program.
package swaggerFiles

import (
	"embed"
	"io/fs"
)

//go:embed dist/*
var dist embed.FS

// FS holds the files of Swagger UI that our page loads.
var FS, _ = fs.Sub(dist, "dist")
