package docs

import (
	"bytes"
	"crypto/sha256"
	"embed"
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

// swaggerParts are what we add to the page; swagger/ holds them. The scripts stand between the
// library's own, since they add plugins to the list that its inline script hands to Swagger UI.
//
//go:embed swagger
var swaggerParts embed.FS

// swaggerEdits is what becomes of the library's page: its head says only "Swagger UI".
var swaggerEdits = []struct{ old, new string }{
	{"<title>Swagger UI</title>", `<title>Sesame API</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">`},
	{"</head>", `  <link rel="stylesheet" type="text/css" href="./page.css">
</head>`},
	{"<script>", `<script src="./session.js"></script>
<script src="./dialog.js"></script>
<script>`},
	{"SwaggerUIBundle.plugins.DownloadUrl", "SwaggerUIBundle.plugins.DownloadUrl"}, // where the plugins join
}

// csp forbids whatever a page does not need. Both pages put style attributes on elements, which
// cannot be hashed, so inline style is allowed; inline script is not.
const csp = "default-src 'none'; script-src 'self'%s; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; worker-src %s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func swaggerPage() (*resource, error) {
	html, _, err := fromLibrary("index.html")
	if err != nil {
		return nil, err
	}
	page := string(html)
	for _, edit := range swaggerEdits {
		if strings.Count(page, edit.old) != 1 {
			return nil, fmt.Errorf("docs: the page of echo-swagger does not have %s once", edit.old)
		}
		page = strings.Replace(page, edit.old, edit.new, 1)
	}
	_, script, _ := strings.Cut(page, "<script>")
	script, _, closed := strings.Cut(script, "</script>")
	if !closed {
		return nil, errors.New("docs: the inline script of echo-swagger's page has no end")
	}
	sum := sha256.Sum256([]byte(script))
	res, err := newResource(echo.MIMETextHTMLCharsetUTF8, []byte(page))
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

// swaggerPart is a file of swagger/.
func swaggerPart(name, mediaType string) func() (*resource, error) {
	return func() (*resource, error) {
		content, err := swaggerParts.ReadFile("swagger/" + name)
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
