// Package docs serves the contract to people and to their tools: Swagger UI at /docs/, ReDoc at
// /redoc, openapi.yaml itself, as it was written, at /openapi.yaml and /openapi.json, and a Postman
// collection made from it at /docs/postman.json.
//
//	err := docs.Register(e, sesame.OpenAPI, "https://login.example.com")
//
// Everything comes from the server's own origin, and the pages forbid the browser anything else
// (Content-Security-Policy). Nothing is rendered, converted or compressed before somebody asks for it.
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

// Register adds the documentation's routes to e. It does not keep a copy of openAPI. A route for / is added only
// where there is none.
//
// publicURL is the absolute address under which the world sees the server; its path, if it has one,
// is the prefix that a reverse proxy takes off. /openapi.yaml and /openapi.json carry it in every
// address. The two pages read a variant that carries only its path, so that they also work for
// somebody who opens them under another host name, such as localhost.
func Register(e *echo.Echo, openAPI []byte, publicURL string) error {
	absolute, prefix, err := addressesOf(publicURL)
	if err != nil {
		return err
	}
	get := func(path string, h echo.HandlerFunc) { get(e, path, h) }
	toDocs := func(c echo.Context) error { return c.Redirect(http.StatusFound, prefix+"/docs/") }
	if !slices.ContainsFunc(e.Routes(), func(r *echo.Route) bool { return r.Path == "/" }) {
		get("/", toDocs)
	}
	get("/docs", toDocs)

	get("/openapi.yaml", fromAnywhere(serve(specYAML(openAPI, absolute))))
	get("/openapi.json", fromAnywhere(serve(specJSON(openAPI, absolute))))
	get("/docs/openapi.yaml", serve(specYAML(openAPI, prefix)))

	get("/docs/", serve(swaggerPage))
	for _, name := range swaggerAssets {
		get("/docs/"+name, serve(swaggerAsset(name)))
	}
	get("/docs/page.css", serve(swaggerPart("page.css", "text/css; charset=utf-8")))
	get("/docs/session.js", serve(swaggerPart("session.js", "application/javascript")))
	get("/docs/dialog.js", serve(swaggerPart("dialog.js", "application/javascript")))
	get("/redoc", serve(redocPage))
	get("/redoc/redoc.standalone.js", serve(redocBundle))
	return nil
}

// RegisterCollection adds /docs/postman.json, a collection of requests for Postman. It has scripts that
// know Sesame's own operations.
func RegisterCollection(e *echo.Echo, openAPI []byte, publicURL string) error {
	absolute, _, err := addressesOf(publicURL)
	if err != nil {
		return err
	}
	get(e, "/docs/postman.json", fromAnywhere(serve(postman(openAPI, absolute))))
	return nil
}

// addressesOf gives what goes in front of a path: for the world, and for the pages.
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

// fromAnywhere lets scripts of every origin read the answer. The contract is public, and importers
// that run in a browser need it.
func fromAnywhere(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAccessControlAllowOrigin, "*")
		return next(c)
	}
}
