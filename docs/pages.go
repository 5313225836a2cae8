package docs

import (
	"bytes"
	"embed"
	"html/template"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

// The pages with their scripts and styles. ReDoc itself is already compressed; redoc/README.md says where
// it comes from and what was changed.
var (
	//go:embed swagger/*.html swagger/*.js swagger/*.css swagger/*.svg redoc/redoc.html redoc/page.*
	files embed.FS
	//go:embed redoc/redoc.standalone.js.gz
	redocJS []byte

	pages = template.Must(template.ParseFS(files, "swagger/swagger.html", "swagger/oauth2-redirect.html", "redoc/redoc.html"))
)

// policy is the Content-Security-Policy of the pages: everything comes from the server, and nothing else is allowed. Both
// put style attributes on elements, which cannot be hashed, so inline styles are allowed; inline scripts are not. The
// search of ReDoc runs in a worker that it creates from a blob.
var policy = map[string]string{"swagger.html": csp("'none'"), "redoc.html": csp("blob:"), "oauth2-redirect.html": csp("'none'")}

func csp(worker string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; worker-src " + worker + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// page returns one of the pages. base is the public URL. follow adds the script that shows changes of the contract.
func page(name string, openAPI []byte, base string, follow bool) func() (*resource, error) {
	return func() (*resource, error) {
		root, _ := parse(openAPI) // without it, as in a file that is being written, the page has no title
		var html bytes.Buffer
		if err := pages.ExecuteTemplate(&html, name, struct {
			Title, PublicURL string
			Follow           bool
		}{strings.TrimSuffix(text(root, "info", "title"), " API"), base, follow}); err != nil {
			return nil, err
		}
		res, err := newResource(echo.MIMETextHTMLCharsetUTF8, html.Bytes())
		if err != nil {
			return nil, err
		}
		res.csp = policy[name]
		return res, nil
	}
}

// part returns a script, a style or an image of the pages.
func part(name string) func() (*resource, error) {
	return func() (*resource, error) {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return newResource(mediaTypeOf(name), content)
	}
}

func mediaTypeOf(name string) string {
	return map[string]string{".js": "application/javascript", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}[path.Ext(name)]
}
