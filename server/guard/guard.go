// Package guard lets other services trust Sesame's access tokens. It takes the service's own OpenAPI
// document, and lets a request through when its token has the scopes that the operation names there.
// The document is enforced by package contract, which is what Sesame itself runs.
//
//	g, err := guard.New(ctx, guard.Options{
//		OpenAPI: document, Issuer: "https://login.example", Audience: "https://api.example",
//	})
//	http.ListenAndServe(addr, g.Handler(mux)) // or, with Echo: e.Use(g.Echo())
//
// A handler asks guard.CallerFrom(r.Context()) who is calling. What it answers where the document wants a caller
// carries Cache-Control: no-store, unless the handler sets another value.
//
// The guard decodes the path of a request once and authorises the operation that the document has there.
// The router behind it gets the path in one spelling, which every router reads alike; Echo, which has
// chosen a route before, must have chosen that of the operation.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/internal/token/atjwt"
)

// Options say what to guard, and whose tokens to trust.
type Options struct {
	// OpenAPI is the service's document, in YAML or JSON, OpenAPI 3. All its security schemes of the
	// types oauth2, openIdConnect and http bearer mean an access token of the issuer.
	OpenAPI []byte
	// Issuer is Sesame's public URL, to the byte (SESAME_PUBLIC_URL).
	Issuer string
	// Audience is what must stand in a token's aud (SESAME_AUDIENCE).
	Audience string

	// BasePath is put before the paths of the document, and written as in an address. Without it, it is the
	// path of the document's first server; "/" says that there is none.
	BasePath string
	// ValidateRequests refuses parameters and bodies that do not fit the document as well.
	ValidateRequests bool
	// Schemes check what other security schemes the document has, such as API keys, by their names.
	Schemes map[string]contract.Scheme
	// StartTimeout is how long New waits for an issuer that does not answer yet. The default is 30 s.
	StartTimeout time.Duration
	// Client fetches the issuer's keys. The default one follows no redirect.
	Client *http.Client
	// Log hears of keys that could not be fetched, and at debug level why a token was refused.
	Log *slog.Logger
	// Now tells the time; for tests.
	Now func() time.Time
}

// Guard guards one service. It is safe for concurrent use.
type Guard struct {
	Options
	router *contract.Router
	keys   *keys
	parser *jwt.Parser
}

// New reads the document and fetches the issuer's keys. It fails when the document leaves open who may
// call an operation, names a scope that it does not declare, or uses a scheme that nobody checks; when
// routers might choose differently between its paths; and when the issuer gives no keys in time. The keys
// are refreshed until ctx ends or Close is called.
func New(ctx context.Context, o Options) (*Guard, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g := &Guard{Options: o}
	g.parser = atjwt.NewParser(o.Issuer, o.Audience, o.Now)
	doc, err := openapi3.NewLoader().LoadFromData(o.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("guard: read the OpenAPI document: %w", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		return nil, fmt.Errorf("guard: the document is OpenAPI %q; it must be 3", doc.OpenAPI)
	}
	compiled, err := contract.CompileService(doc, g.schemes(doc))
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	base, err := o.basePath(doc)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	if g.router, err = contract.NewRouter(base, compiled.Operations()); err != nil {
		return nil, fmt.Errorf("guard: the OpenAPI document leaves open which operation a request is for:\n%w", err)
	}
	if g.keys, err = fetchKeys(ctx, g.Options); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

func (o *Options) check() error {
	issuer, err := url.Parse(o.Issuer)
	switch {
	case err != nil || issuer.Scheme != "http" && issuer.Scheme != "https" || issuer.Host == "":
		return errors.New("the Issuer must be an address such as https://login.example")
	case o.Audience == "":
		return errors.New("the Audience is missing: without it, tokens meant for other services would be taken")
	case len(o.OpenAPI) == 0:
		return errors.New("the OpenAPI document is missing")
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// schemes binds every scheme of the document that means an access token.
func (g *Guard) schemes(doc *openapi3.T) map[string]contract.Scheme {
	schemes := map[string]contract.Scheme{}
	if doc.Components != nil {
		for name, ref := range doc.Components.SecuritySchemes {
			s := ref.Value
			if s.Type == "oauth2" || s.Type == "openIdConnect" || s.Type == "http" && strings.EqualFold(s.Scheme, "bearer") {
				schemes[name] = g.bearer
			}
		}
	}
	for name, scheme := range g.Schemes {
		schemes[name] = scheme
	}
	return schemes
}

// Close stops the refreshing of keys.
func (g *Guard) Close() { g.keys.stop() }

// basePath gives what is put before the paths, without a slash at the end. It fails for a path or an operation with
// servers of its own that are elsewhere: what the service has under the base path is another operation.
func (o *Options) basePath(doc *openapi3.T) (string, error) {
	base := o.BasePath
	if base == "" {
		var err error
		if base, err = pathOf(doc.Servers); err != nil {
			return "", fmt.Errorf("the address of the document's first server: %w", err)
		}
	}
	if !strings.HasPrefix(base, "/") || strings.ContainsAny(base, "?#{}") {
		return "", fmt.Errorf("the base path %q must be a path such as /v1", base)
	}
	base = strings.TrimSuffix(base, "/")
	for path, item := range doc.Paths.Map() {
		own := []openapi3.Servers{item.Servers}
		for _, operation := range item.Operations() {
			if operation.Servers != nil {
				own = append(own, *operation.Servers)
			}
		}
		for _, server := range slices.Concat(own...) {
			if elsewhere, err := pathOf(openapi3.Servers{server}); err != nil || strings.TrimSuffix(elsewhere, "/") != base {
				return "", fmt.Errorf("%s has a server of its own, %s, whose path is not the base path %q: give it a document of its own", path, server.URL, base)
			}
		}
	}
	return base, nil
}

// pathOf gives the path of the first server as it is written in an address.
func pathOf(servers openapi3.Servers) (string, error) {
	decoded, err := servers.BasePath()
	return (&url.URL{Path: decoded}).EscapedPath(), err
}

// Handler passes the requests that the document allows to next. Routes missing from the document get 404
// or 405, so that no route is open because it was forgotten; so do paths that two routers might read
// differently, with an escaped slash or with dots for a segment. A router behind next must prefer text to
// parameters, as http.ServeMux, Echo and chi do, and nothing may change the method or the path on the way
// to it. If next is an http.ServeMux, the guard checks that the pattern it chooses is the operation's.
func (g *Guard) Handler(next http.Handler) http.Handler {
	mux, _ := next.(*http.ServeMux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := g.router.Find(r.Method, r.URL)
		r = contract.Plain(r)
		if mux != nil && found.Operation != nil {
			if _, pattern := mux.Handler(r); pattern != "" {
				routed := g.router.FindInServeMux(r.Method, r.URL, pattern)
				if routed.Operation == nil {
					g.misrouted(r, found, pattern)
				}
				found = routed
			}
		}
		if admitted := g.admit(w, r, found); admitted != nil {
			next.ServeHTTP(w, admitted)
		}
	})
}

// Echo is Handler for Echo's Use, on the whole server or on a group. The route that Echo has chosen must be
// that of the operation, so in Pre, where Echo has chosen none, everything is 404.
func (g *Guard) Echo() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			found := g.router.Find(r.Method, r.URL)
			if found.Operation != nil && !found.IsEchoRoute(c.Path()) {
				g.misrouted(r, found, c.Path())
				found = contract.Match{}
			}
			admitted := g.admit(c.Response(), contract.Plain(r), found)
			if admitted == nil {
				return nil // is answered
			}
			c.SetRequest(admitted)
			c.SetParamValues(found.Values...) // decoded, as the plain path is
			return next(c)
		}
	}
}

// misrouted logs why an operation of the document gets 404. The path that was sent may hold secrets.
func (g *Guard) misrouted(r *http.Request, found contract.Match, route string) {
	g.Log.DebugContext(r.Context(), "refused: the router has chosen another route than the operation's",
		"operation", found.Operation.ID, "path", found.Operation.Path, "route", route)
}

// admit gives the request with its caller, or answers it and gives nil.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, found contract.Match) *http.Request {
	var err error
	op := found.Operation
	switch {
	case op == nil && len(found.Allowed) > 0:
		w.Header().Set("Allow", strings.Join(found.Allowed, ", "))
		err = problem.New(problem.MethodNotAllowed, "This address does not take the method; Allow lists those that it takes.")
	case op == nil:
		err = problem.New(problem.NotFound, "There is nothing at this address.")
	default:
		var admitted *http.Request
		if g.ValidateRequests {
			admitted, err = op.Admit(r, found.Params())
		} else {
			admitted, err = op.Authorize(r)
		}
		if err == nil {
			if !op.Public() { // a default, which the handler replaces by setting its own
				w.Header().Set("Cache-Control", "no-store")
			}
			return admitted
		}
	}
	g.answer(w, r, op, err)
	return nil
}
