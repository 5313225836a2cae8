package docs

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	echoSwagger "github.com/swaggo/echo-swagger"
)

// swaggerAssets are the files that the page uses. Whatever else the library embeds, such as a page
// that loads a demo from elsewhere, is not served.
var swaggerAssets = []string{
	"swagger-ui.css",
	"swagger-ui-bundle.js",
	"swagger-ui-standalone-preset.js",
	"favicon-16x16.png",
	"favicon-32x32.png",
}

// The library's head says only "Swagger UI". There is one contract and so nothing to choose in the
// top bar; and the link under the title leads to the variant for this page, which is of no use
// outside it: the introduction links to the one with absolute addresses.
const (
	swaggerTitle = "<title>Swagger UI</title>"
	sesameTitle  = `<title>Sesame API</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <style>.swagger-ui .topbar, .swagger-ui .info hgroup > a { display: none }</style>`
)

// csp forbids whatever a page does not need. Both pages put style attributes on elements, which
// cannot be hashed, so inline style is allowed; inline script is not.
const csp = "default-src 'none'; script-src 'self'%s; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; worker-src %s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func swaggerPage() (*resource, error) {
	html, _, err := fromLibrary("index.html")
	if err != nil {
		return nil, err
	}
	page := bytes.Replace(html, []byte(swaggerTitle), []byte(sesameTitle), 1)
	if bytes.Equal(page, html) {
		return nil, errors.New("docs: the page of echo-swagger has another title than expected")
	}
	_, script, found := strings.Cut(string(page), "<script>")
	script, _, closed := strings.Cut(script, "</script>")
	if !found || !closed {
		return nil, errors.New("docs: the page of echo-swagger has no inline script")
	}
	sum := sha256.Sum256([]byte(script))
	res, err := newResource(echo.MIMETextHTMLCharsetUTF8, page)
	if err != nil {
		return nil, err
	}
	res.csp = fmt.Sprintf(csp, " 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", "'none'")
	return res, nil
}

func swaggerAsset(name string) func() (*resource, error) {
	return func() (*resource, error) {
		content, mediaType, err := fromLibrary(name)
		if err != nil {
			return nil, err
		}
		return newResource(mediaType, content)
	}
}

// swaggerHandler is echo-swagger as it comes. Behind a route of its own it would answer 404 to any
// query string and 405 to HEAD, and would neither compress nor let anything be cached.
var swaggerHandler = echoSwagger.EchoWrapHandler(func(c *echoSwagger.Config) {
	c.URLs = []string{"openapi.yaml"} // its URL option would add to two defaults that answer 500
	c.DeepLinking = true
	c.PersistAuthorization = false // it would write the typed password to the browser's storage
	c.OAuth = &echoSwagger.OAuthConfig{AppName: "Sesame"}
})

// fromLibrary asks echo-swagger for one of its files.
func fromLibrary(name string) (content []byte, mediaType string, err error) {
	path := "/docs/" + name
	req := &http.Request{Method: http.MethodGet, RequestURI: path, URL: &url.URL{Path: path}}
	rec := &recorder{header: http.Header{}}
	if err := swaggerHandler(echo.New().NewContext(req, rec)); err != nil {
		return nil, "", err
	}
	if rec.status != http.StatusOK {
		return nil, "", fmt.Errorf("docs: echo-swagger answers %d for %s", rec.status, name)
	}
	return rec.body.Bytes(), rec.header.Get(echo.HeaderContentType), nil
}

// recorder keeps an answer instead of sending it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header and the two methods after it implement http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// Write keeps b.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) { r.status = status }
