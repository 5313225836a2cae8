package docs

import (
	"bytes"
	"os"
	"sync"

	"github.com/labstack/echo/v4"
)

// Follow is for `make dev`, after Register: from then on the two pages show a file, openapi.yaml as it is being written,
// and an open page shows each change within a second. The server still enforces and serves, as /openapi.yaml and
// /openapi.json, the contract that the program was built from.
func Follow(e *echo.Echo, file, publicURL string) error {
	absolute, prefix, err := addressesOf(publicURL)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	// Each open page asks twice a second. This answers before the middleware that would log it.
	contract := respond(following(file, prefix))
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().URL.Path == "/docs/openapi.yaml" {
				return contract(c)
			}
			return next(c)
		}
	})
	// These replace the routes that Register added.
	get(e, "/docs/dev.js", serve(part("swagger/dev.js")))
	get(e, "/docs/", serve(page("swagger.html", text, absolute, true)))
	get(e, "/redoc", serve(page("redoc.html", text, absolute, true)))
	return nil
}

// following makes the resource again whenever the file has changed. It serves a file that is not valid YAML unchanged:
// Swagger UI shows where the mistake is and keeps what it showed before.
func following(file, prefix string) func() (*resource, error) {
	var (
		mu   sync.Mutex
		seen []byte
		res  *resource
	)
	return func() (*resource, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if res != nil && bytes.Equal(text, seen) {
			return res, nil
		}
		fresh, err := specYAML(text, prefix)()
		if err != nil {
			fresh, err = newResource("application/yaml", text)
		}
		if err == nil {
			seen, res = text, fresh
		}
		return fresh, err
	}
}
