// Package swaggerFiles replaces github.com/swaggo/files/v2 (see the replace directive in the go.mod of Sesame). That module
// embeds 11 MB: an old Swagger UI with its source maps. The package docs embeds a newer one, in 0.5 MB, and adds it to FS
// before echo-swagger reads FS.
package swaggerFiles

import (
	"embed"
	"io/fs"
)

// FS holds the files of Swagger UI. It is empty until the package docs adds its own.
var FS fs.FS = embed.FS{}
