package docs

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"
	echoSwagger "github.com/swaggo/echo-swagger"
	swaggerFiles "github.com/swaggo/files/v2"
)

// swaggerUI has the files of Swagger UI, compressed; swagger/ui/README.md says where they come from. echo-swagger alone
// would serve the version of swaggo/files, which is older than our style and our plugins need.
//
//go:embed swagger/ui/*.gz
var swaggerUI embed.FS

// swaggerAssets are the files of Swagger UI that our page loads, swagger/swagger.html. The page of echo-swagger needs an
// inline script and cannot have plugins, so it is not served.
var swaggerAssets = []string{"swagger-ui.css", "swagger-ui-bundle.js", "oauth2-redirect.js"}

// echo-swagger reads this variable at every request.
func init() { swaggerFiles.FS = withSwaggerUI{swaggerFiles.FS} }

// withSwaggerUI is the files of swaggo/files and ours, whose names differ: a program that imports this package can have an
// echo-swagger page of its own, which needs the others.
type withSwaggerUI struct{ others fs.FS }

// Open implements fs.FS.
func (f withSwaggerUI) Open(name string) (fs.File, error) {
	if file, err := swaggerUI.Open("swagger/ui/" + name); err == nil {
		return file, nil
	}
	return f.others.Open(name)
}

// swaggerAsset returns a file of Swagger UI. A route with the handler of echo-swagger would answer 405 to HEAD and 404 to any
// query, and would not let browsers cache the 1.7 MB of the bundle.
func swaggerAsset(name string) func() (*resource, error) {
	return func() (*resource, error) {
		path := "/docs/" + name + ".gz"
		req := &http.Request{Method: http.MethodGet, RequestURI: path, URL: &url.URL{Path: path}}
		rec := &recorder{header: http.Header{}}
		if err := echoSwagger.WrapHandler(echo.New().NewContext(req, rec)); err != nil {
			return nil, err
		}
		if rec.status != http.StatusOK {
			return nil, fmt.Errorf("docs: echo-swagger answers %d for %s", rec.status, name)
		}
		return gzippedResource(mediaTypeOf(name), rec.Bytes()), nil
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
