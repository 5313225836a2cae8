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
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"sesame/server/contract"
	"sesame/server/problem"
	"sesame/server/token/atjwt"
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

	// BasePath is put before the paths of the document. Without it, it is the path of the document's
	// first server; "/" says that there is none.
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
	routes map[string]*contract.Operation // by method and path, with {} for each parameter
	keys   *keys
	parser *jwt.Parser
}

// New reads the document and fetches the issuer's keys. It fails when the document leaves open who may
// call an operation, names a scope that it does not declare, or uses a scheme that nobody checks; and
// when the issuer gives no keys in time. The keys are refreshed until ctx ends or Close is called.
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
	base := o.BasePath
	if base == "" {
		if base, err = doc.Servers.BasePath(); err != nil {
			return nil, fmt.Errorf("guard: the address of the document's first server: %w", err)
		}
	}
	base = strings.TrimSuffix(base, "/")
	if g.router, err = contract.NewRouter(base, compiled.Operations()); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g.routes = map[string]*contract.Operation{}
	for _, op := range compiled.Operations() {
		route := op.Method + " " + base + pathParameter.ReplaceAllString(op.Path, "{}")
		if g.routes[route] != nil {
			return nil, fmt.Errorf("guard: %s %s is there twice, with other names for its parameters", op.Method, op.Path)
		}
		g.routes[route] = op
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

// Handler lets what the document allows through to next. What it does not know is answered with 404
// or 405, so that no route is open because it was forgotten. Paths that two routers might read in
// two ways, with an escaped slash or with dots for a part, are not known.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ambiguous(r.URL) {
			g.answer(w, r, nil, errNotFound())
			return
		}
		op, params, allowed := g.router.Find(r.Method, r.URL.EscapedPath())
		if admitted := g.admit(w, r, op, params, allowed); admitted != nil {
			next.ServeHTTP(w, admitted)
		}
	})
}

func ambiguous(u *url.URL) bool {
	escaped, parts := strings.ToLower(u.EscapedPath()), strings.Split(u.Path, "/")
	return strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") || slices.Contains(parts, ".") || slices.Contains(parts, "..")
}

// Echo is Handler for Echo's Use, on the whole server or on a group. The operation is that of the route
// which Echo has chosen.
func (g *Guard) Echo() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r, route := c.Request(), documented(c.Path())
			op := g.routes[r.Method+" "+route]
			params := map[string]string{}
			var allowed []string
			if op != nil {
				for i, name := range pathParameter.FindAllStringSubmatch(op.Path, -1) {
					params[name[1]] = c.ParamValues()[i]
				}
			} else {
				allowed = g.methods(route)
			}
			admitted := g.admit(c.Response(), r, op, params, allowed)
			if admitted == nil {
				return nil // is answered
			}
			c.SetRequest(admitted)
			return next(c)
		}
	}
}

var pathParameter = regexp.MustCompile(`\{([^{}]+)\}`)

var echoParameter = regexp.MustCompile(`\\:|:[^/]+`)

// documented writes a path of Echo as a document does, without the names of its parameters, which the two
// may call otherwise. An escaped colon is text.
func documented(path string) string {
	return echoParameter.ReplaceAllStringFunc(path, func(part string) string {
		if part == `\:` {
			return ":"
		}
		return "{}"
	})
}

func (g *Guard) methods(path string) (allowed []string) {
	for route := range g.routes {
		if method, known, _ := strings.Cut(route, " "); known == path {
			allowed = append(allowed, method)
		}
	}
	slices.Sort(allowed)
	return allowed
}

// admit gives the request with its caller, or answers it and gives nil.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, op *contract.Operation, params map[string]string, allowed []string) *http.Request {
	var err error
	switch {
	case op == nil && len(allowed) > 0:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		err = problem.New(problem.MethodNotAllowed, "This address does not take the method; Allow lists those that it takes.")
	case op == nil:
		err = errNotFound()
	default:
		var admitted *http.Request
		if g.ValidateRequests {
			admitted, err = op.Admit(r, params)
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

func errNotFound() error { return problem.New(problem.NotFound, "There is nothing at this address.") }
