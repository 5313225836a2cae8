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
	"strings"

	"github.com/labstack/echo/v4"
)

// Register adds the documentation's routes to e. It does not keep a copy of openAPI.
//
// publicURL is the absolute address under which the world sees the server; its path, if it has one,
// is the prefix that a reverse proxy takes off. /openapi.yaml and /openapi.json carry it in every
// address. The two pages read a variant that carries only its path, so that they also work for
// somebody who opens them under another host name, such as localhost.
func Register(e *echo.Echo, openAPI []byte, publicURL string) error {
	base, err := url.Parse(publicURL)
	if err != nil {
		return fmt.Errorf("docs: public URL: %w", err)
	}
	if base.Scheme == "" || base.Host == "" {
		return errors.New("docs: public URL: must be absolute")
	}
	absolute := strings.TrimSuffix(publicURL, "/")
	prefix := strings.TrimSuffix(base.EscapedPath(), "/")

	get := func(path string, h echo.HandlerFunc) {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, h)
	}
	toDocs := func(c echo.Context) error { return c.Redirect(http.StatusFound, prefix+"/docs/") }
	get("/", toDocs)
	get("/docs", toDocs)

	get("/openapi.yaml", fromAnywhere(serve(specYAML(openAPI, absolute))))
	get("/openapi.json", fromAnywhere(serve(specJSON(openAPI, absolute))))
	get("/docs/openapi.yaml", serve(specYAML(openAPI, prefix)))
	get("/docs/postman.json", fromAnywhere(serve(postman(openAPI, absolute))))

	get("/docs/", serve(swaggerPage))
	for _, name := range swaggerAssets {
		get("/docs/"+name, serve(swaggerAsset(name)))
	}
	get("/redoc", serve(redocPage))
	get("/redoc/redoc.standalone.js", serve(redocBundle))
	return nil
}

// fromAnywhere lets scripts of every origin read the answer. The contract is public, and importers
// that run in a browser need it.
func fromAnywhere(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAccessControlAllowOrigin, "*")
		return next(c)
	}
}
