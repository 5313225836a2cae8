// Package admin serves the administrator's page at /admin/. The page is a client of Sesame's like any other: it signs people in
// with the authorization code flow, as the built-in client "admin", and calls the operations of openapi.yaml.
//
//	err := admin.Register(e, admin.Options{PublicURL: "https://login.example.com", Name: "Example", Colors: site.Colors()})
//
// Its sources are in src, and README.md says how to change them. dist has what `make admin` builds from them.
package admin

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/docs"
)

//go:embed index.html favicon.svg dist
var files embed.FS

var index = template.Must(template.ParseFS(files, "index.html"))

// policy allows the page what its own server sends, and nothing inline. No script can make HTML from a text: the page needs none
// of the functions that trusted types are for. frame-ancestors keeps other pages from laying themselves over it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Options are what the page shows of the service.
type Options struct {
	PublicURL string // no trailing slash
	Name      string // of the service
	Logo      string // the address of the logo, from the public URL; "" for none
	Colors    string // a style sheet with the colors of the operator
	// FirstRun reports whether the sender of a request may make the first administrator. They are led to the page for that.
	FirstRun func(*http.Request) bool
}

// Register adds the routes of the page to e.
func Register(e *echo.Echo, o Options) error {
	base, err := url.Parse(o.PublicURL)
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err = index.Execute(&html, o); err != nil {
		return err
	}
	script, err := files.ReadFile("dist/app.js")
	if err != nil {
		return err
	}
	style, err := files.ReadFile("dist/app.css")
	if err != nil {
		return err
	}
	icon, err := files.ReadFile("favicon.svg")
	if err != nil {
		return err
	}
	get := func(path string, h echo.HandlerFunc) { e.Match([]string{http.MethodGet, http.MethodHead}, path, h) }
	root := strings.TrimSuffix(base.EscapedPath(), "/")
	firstRun := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if o.FirstRun(c.Request()) {
				return c.Redirect(http.StatusFound, root+"/first-run")
			}
			return next(c)
		}
	}
	get("/admin", firstRun(func(c echo.Context) error { return c.Redirect(http.StatusFound, root+"/admin/") }))
	get("/admin/", firstRun(isolated(docs.Static(echo.MIMETextHTMLCharsetUTF8, policy, html.Bytes()))))
	get("/admin/app.js", docs.Static("application/javascript", "", script))
	get("/admin/app.css", docs.Static("text/css; charset=utf-8", "", append([]byte(o.Colors), style...)))
	get("/admin/favicon.svg", docs.Static("image/svg+xml", "", icon))
	return nil
}

// isolated keeps windows of other origins from holding a reference to the page, and old browsers from showing it in a frame.
func isolated(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set(echo.HeaderXFrameOptions, "DENY")
		return next(c)
	}
}
