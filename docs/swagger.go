package docs

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"
	echoSwagger "github.com/swaggo/echo-swagger"
)

// swaggerAssets are the files of echo-swagger that our page loads, swagger/swagger.html. Its own page needs an inline
// script and cannot have plugins, so it is not served.
var swaggerAssets = []string{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-16x16.png", "favicon-32x32.png"}

// swaggerAsset returns a file of echo-swagger. A route with its handler would answer 405 to HEAD and 404 to any query, and
// would not compress the 1.4 MB of the bundle or let browsers cache it.
func swaggerAsset(name string) func() (*resource, error) {
	return func() (*resource, error) {
		path := "/docs/" + name
		req := &http.Request{Method: http.MethodGet, RequestURI: path, URL: &url.URL{Path: path}}
		rec := &recorder{header: http.Header{}}
		if err := echoSwagger.WrapHandler(echo.New().NewContext(req, rec)); err != nil {
			return nil, err
		}
		if rec.status != http.StatusOK {
			return nil, fmt.Errorf("docs: echo-swagger answers %d for %s", rec.status, name)
		}
		return newResource(rec.header.Get(echo.HeaderContentType), rec.Bytes())
	}
}

// recorder is an http.ResponseWriter that keeps the answer.
type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }
