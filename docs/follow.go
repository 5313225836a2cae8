package docs

import (
	"bytes"
	"os"
	"sync"

	"github.com/labstack/echo/v4"
)

// Follow is for `make dev`, after Register: from then on the two pages show a file, openapi.yaml as
// it is being written, and an open page shows it anew within a second of each change. What is
// enforced, and what /openapi.yaml and /openapi.json hand out, stays what the program was built from.
func Follow(e *echo.Echo, file, publicURL string) error {
	_, prefix, err := addressesOf(publicURL)
	if err != nil {
		return err
	}
	// Each open page asks twice a second, which must not fill the log: it is answered before that.
	contract := respond(follow(file, prefix))
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().URL.Path == "/docs/openapi.yaml" {
				return contract(c)
			}
			return next(c)
		}
	})
	// A route that is added again takes the place of the one before.
	get(e, "/docs/dev.js", serve(swaggerPart("dev.js", "application/javascript")))
	get(e, "/docs/", serve(withScript(swaggerPage, "./dev.js")))
	get(e, "/redoc", serve(withScript(redocPage, "docs/dev.js")))
	return nil
}

// follow makes the resource again whenever the file has changed. A file that cannot be read as YAML
// is handed out as it is: Swagger UI says where it is wrong, and keeps what it showed before.
func follow(file, prefix string) func() (*resource, error) {
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

// withScript is a page with one more script at its end.
func withScript(page func() (*resource, error), src string) func() (*resource, error) {
	return func() (*resource, error) {
		plain, err := page()
		if err != nil {
			return nil, err
		}
		html, err := gunzip(plain.gzipped)
		if err != nil {
			return nil, err
		}
		script := []byte(`<script src="` + src + "\"></script>\n</body>")
		res, err := newResource(plain.mediaType, bytes.Replace(html, []byte("</body>"), script, 1))
		if err != nil {
			return nil, err
		}
		res.csp = plain.csp
		return res, nil
	}
}
