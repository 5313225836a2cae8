package docs

import (
	_ "embed"
	"fmt"

	"github.com/labstack/echo/v4"
)

// redocJS is ReDoc, already compressed; redoc/README.md says where it comes from and what was changed.
//
//go:embed redoc/redoc.standalone.js.gz
var redocJS []byte

//go:embed redoc/index.html
var redocHTML []byte

func redocPage() (*resource, error) {
	res, err := newResource(echo.MIMETextHTMLCharsetUTF8, redocHTML)
	if err != nil {
		return nil, err
	}
	res.csp = fmt.Sprintf(csp, "", "blob:") // its search runs in a worker that it makes from a blob
	return res, nil
}

func redocBundle() (*resource, error) {
	return gzippedResource("application/javascript", redocJS), nil
}
