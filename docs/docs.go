// Package docs serves the contract to people and to their tools: Swagger UI at /docs/, ReDoc at /redoc, the document itself
// at /openapi.yaml and /openapi.json, and a Postman collection at /docs/postman.json.
//
//	err := docs.Register(e, sesame.OpenAPI, "https://login.example.com")
//
// Everything comes from the server's own origin, and the Content-Security-Policy of the pages forbids any other. Nothing
// is rendered, converted or compressed before the first request for it.
//
// Register lists the routes. Each of them serves a resource (resource.go), which is made from the document: spec.go and
// json.go make the document that is served, pages.go and swagger.go the pages, and postman.go the collection.
package docs

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// Register adds the documentation's routes to e. It does not copy openAPI. It adds a route for / and one
// for /favicon.ico only where there is none.
//
// publicURL is the absolute URL by which clients reach the server; its path, if it has one, is the prefix that a reverse
// proxy removes. /openapi.yaml and /openapi.json contain it in every address. The pages read a variant that contains only
// its path, so that they also work under another host name, such as localhost.
func Register(e *echo.Echo, openAPI []byte, publicURL string) error {
	absolute, prefix, err := addressesOf(publicURL)
	if err != nil {
		return err
	}
	get := func(path string, h echo.HandlerFunc) { get(e, path, h) }
	toDocs := func(c echo.Context) error { return c.Redirect(http.StatusFound, prefix+"/docs/") }
	taken := func(path string) bool {
		return slices.ContainsFunc(e.Routes(), func(r *echo.Route) bool { return r.Path == path })
	}
	if !taken("/") {
		get("/", toDocs)
	}
	if !taken("/favicon.ico") { // browsers request it for what is no page, such as /openapi.json
		get("/favicon.ico", serve(part("swagger/favicon.svg")))
	}
	get("/docs", toDocs)

	get("/openapi.yaml", fromAnywhere(serve(specYAML(openAPI, absolute))))
	get("/openapi.json", fromAnywhere(serve(specJSON(openAPI, absolute))))
	get("/docs/openapi.yaml", serve(specYAML(openAPI, prefix)))

	get("/docs/", serve(page("swagger.html", openAPI, absolute, false)))
	get("/redoc", serve(page("redoc.html", openAPI, absolute, false)))
	for _, name := range []string{"theme.js", "theme.css", "favicon.svg", "page.js", "page.css", "session.js", "login.js", "code.js", "dialog.js", "reading.js"} {
		get("/docs/"+name, serve(part("swagger/"+name)))
	}
	for _, name := range []string{"page.js", "page.css"} {
		get("/redoc/"+name, serve(part("redoc/"+name)))
	}
	get("/docs/oauth2-redirect.html", serve(page("oauth2-redirect.html", openAPI, absolute, false)))
	for _, name := range swaggerAssets {
		get("/docs/"+name, serve(swaggerAsset(name)))
	}
	get("/redoc/redoc.standalone.js", serve(func() (*resource, error) { return gzippedResource(mediaTypeOf("redoc.standalone.js"), redocJS), nil }))
	return nil
}

// RegisterCollection adds /docs/postman.json, a collection of requests for Postman. It logs in at Sesame's POST /token.
func RegisterCollection(e *echo.Echo, openAPI []byte, publicURL string) error {
	absolute, _, err := addressesOf(publicURL)
	if err != nil {
		return err
	}
	get(e, "/docs/postman.json", fromAnywhere(serve(postman(openAPI, absolute))))
	return nil
}

// addressesOf returns what goes in front of a path: for clients, and for the pages.
func addressesOf(publicURL string) (absolute, prefix string, err error) {
	base, err := url.Parse(publicURL)
	if err != nil {
		return "", "", fmt.Errorf("docs: public URL: %w", err)
	}
	if base.Scheme == "" || base.Host == "" {
		return "", "", errors.New("docs: public URL: must be absolute")
	}
	return strings.TrimSuffix(publicURL, "/"), strings.TrimSuffix(base.EscapedPath(), "/"), nil
}

func get(e *echo.Echo, path string, h echo.HandlerFunc) {
	e.Match([]string{http.MethodGet, http.MethodHead}, path, h)
}

// fromAnywhere lets scripts of every origin read the answer. The contract is public, and importers that run in a browser
// need it.
func fromAnywhere(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAccessControlAllowOrigin, "*")
		return next(c)
	}
}
