// Package guard protects another service with Sesame's access tokens. It takes the service's own OpenAPI document and
// passes a request on if its token has the scopes that the document requires for the operation. Sesame enforces its own
// document with the same code.
//
//	g, err := guard.New(ctx, guard.Options{
//		OpenAPI: document, Issuer: "https://login.example", Audience: "https://api.example",
//	})
//	http.ListenAndServe(addr, g.Handler(mux)) // or, with Echo: e.Use(g.Echo())
//
// In a handler, guard.CallerFrom(r.Context()) returns the caller. The answers of operations that require a caller carry
// Cache-Control: no-store, unless the handler sets another value.
//
// The guard verifies tokens locally, with the issuer's public keys, so a token works until it expires (10 minutes by
// default) even after a logout. Personal access tokens are opaque: with Options.Introspect the guard asks the issuer about them.
//
// The guard decodes the path of a request once and authorizes the operation that the document has for it. The router
// behind the guard gets the path in one spelling, which every router reads in the same way. Echo has already chosen a route
// when its middleware runs, so the guard refuses the request unless that is the operation's route.
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
	"sync"
	"sync/atomic"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
	"sesame/server/internal/openapi"
	"sesame/server/internal/token/atjwt"
)

// Options configure a Guard. OpenAPI, Issuer and Audience are required.
type Options struct {
	// OpenAPI is the service's document: OpenAPI 3.0 or 3.1, or Swagger 2.0, in YAML or JSON, in one file. All its security schemes of the types oauth2,
	// openIdConnect and http bearer require an access token of the issuer.
	OpenAPI []byte
	// Issuer is Sesame's public URL (SESAME_PUBLIC_URL), compared byte for byte.
	Issuer string
	// Audience is the audience that tokens must have: SESAME_AUDIENCE, or one of SESAME_AUDIENCES.
	Audience string

	// BasePath is the prefix of the paths of the document, percent-encoded as in a URL. The default is the path of the
	// document's first server; "/" is no prefix.
	BasePath string
	// ValidateRequests also refuses requests whose parameters or body do not fit the document.
	ValidateRequests bool
	// Metadata serves the metadata of the service at /.well-known/oauth-protected-resource, followed by the path of the Audience,
	// and names its address in the challenges (RFC 9728): a client that gets 401 finds the issuer by itself. The Audience must
	// then be the URL of the service, and one of SESAME_AUDIENCES, since such a client asks for a token for it.
	Metadata bool
	// Introspect makes the guard accept personal access tokens of the issuer, which it cannot verify by itself: it asks the issuer as
	// this service client (RFC 7662), and uses the answer for 30 seconds. So it accepts a revoked token for up to 30 seconds. While the
	// issuer does not answer, such tokens get 503. nil refuses them with 401. Their audience is SESAME_AUDIENCE.
	Introspect *ServiceClient
	// Schemes check the other security schemes of the document, such as API keys, by name.
	Schemes map[string]Scheme
	// StartTimeout is how long New waits for an issuer that does not answer yet. The default is 30 s. If it is negative, New does
	// not wait: requests with a token get 503 until the issuer has answered (see Ready).
	StartTimeout time.Duration
	// Proxied says that the handler behind the guard passes requests on to another program, whose router the guard cannot ask. Paths
	// that such a router may read as those of another operation then get 404, too: with a semicolon, which Java's containers cut
	// off; with text that is percent-encoded twice; and with a parameter that differs from the text of another path of the document
	// only in letter case or in an ending such as .json.
	Proxied bool
	// Client fetches the issuer's keys. The default client follows no redirects.
	Client *http.Client
	// Log receives failures to fetch keys and, at debug level, why a request was refused. The default is slog.Default().
	Log *slog.Logger
	// Now replaces time.Now, for tests.
	Now func() time.Time
}

// Scheme checks the credentials of a security scheme that does not use access tokens, and returns their owner. It
// returns nil and no error if the request has no credentials of its kind, and ErrInvalidCredentials, or an error that
// wraps it, if they are not valid. The guard answers any other error with 500.
type Scheme func(ctx context.Context, r *http.Request) (Owner, error)

// Owner is the owner of the credentials that a Scheme checks.
type Owner interface {
	// HasScope reports whether the owner has a scope that the document requires.
	HasScope(scope string) bool
}

// OwnerFrom returns the owner that a Scheme has returned for a guarded request, or the zero value of T.
func OwnerFrom[T Owner](ctx context.Context) T { return contract.CallerFrom[T](ctx) }

func (s Scheme) check(ctx context.Context, r *http.Request) (contract.Caller, error) {
	return s(ctx, r)
}

// ErrInvalidCredentials is answered with 401.
var ErrInvalidCredentials = errors.New("the credentials are not valid")

// Guard protects one service. It is safe for concurrent use.
type Guard struct {
	options Options
	router  *contract.Router
	keys    atomic.Pointer[keys] // nil until the issuer has answered
	parser  *jwt.Parser
	public  *published // nil without Metadata
	ids     []string   // of the operations
	// introspector looks up personal access tokens; nil without Introspect, and until there are keys.
	introspector *introspector

	stop    context.CancelFunc
	waiting sync.WaitGroup // for the issuer
}

// New compiles the document and fetches the issuer's keys, which it refreshes until ctx ends or Close is called. It fails
// if an operation of the document has no security requirement, requires a scope that is not declared, or uses a security
// scheme that neither the guard nor Schemes check; if routers might choose between its paths in different ways; and if the
// issuer does not serve its keys within StartTimeout.
func New(ctx context.Context, o Options) (*Guard, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	g := &Guard{options: o}
	g.parser = atjwt.NewParser(o.Issuer, o.Now, o.Audience)
	source, err := openapi.ReadStrict(openapi.Document{Name: "the OpenAPI document", Text: o.OpenAPI}, nil)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	doc, err := source.T()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	compiled, err := contract.CompileService(doc, g.schemes(doc))
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	if o.ValidateRequests {
		for _, ignored := range compiled.Ignored() {
			o.Log.WarnContext(ctx, "guard: a part of the OpenAPI document is not enforced", "reason", ignored)
		}
	}
	if o.Metadata {
		if g.public, err = publish(o, compiled); err != nil {
			return nil, fmt.Errorf("guard: %w", err)
		}
	}
	for _, op := range compiled.Operations() {
		g.ids = append(g.ids, op.ID)
	}
	base, err := o.basePath(doc)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	if g.router, err = contract.NewRouter(base, compiled.Operations()); err != nil {
		return nil, fmt.Errorf("guard: the paths of the OpenAPI document are ambiguous:\n%w", err)
	}
	if err = g.start(ctx); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

// Operations returns what OperationFrom can return.
func (g *Guard) Operations() []string { return slices.Clone(g.ids) }

func (o *Options) check() error {
	issuer, err := url.Parse(o.Issuer)
	switch {
	case err != nil || issuer.Scheme != "http" && issuer.Scheme != "https" || issuer.Host == "":
		return errors.New("the Issuer must be a URL such as https://login.example")
	case o.Audience == "":
		return errors.New("the Audience is missing: without it, the guard would accept tokens for other services")
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

// schemes returns the check of each security scheme of the document.
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
	for name, scheme := range g.options.Schemes {
		schemes[name] = scheme.check
	}
	return schemes
}

// basePath returns the prefix of the paths, without a slash at the end. It fails if a path or an operation has servers of
// its own with another path, because the guard would then protect the wrong route.
func (o *Options) basePath(doc *openapi3.T) (string, error) {
	base := o.BasePath
	if base == "" {
		var err error
		if base, err = pathOf(doc.Servers); err != nil {
			return "", fmt.Errorf("the URL of the document's first server: %w", err)
		}
	}
	if o.BasePath != "" && !strings.HasPrefix(base, "/") || strings.ContainsAny(base, "?#{}") {
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
			if elsewhere, err := pathOf(openapi3.Servers{server}); err != nil || elsewhere != base {
				return "", fmt.Errorf("%s has a server of its own, %s, whose path is not the base path %q; move it to a document of its own", path, server.URL, base)
			}
		}
	}
	return base, nil
}

// pathOf returns the path of the first server, percent-encoded and without a slash at the end.
func pathOf(servers openapi3.Servers) (string, error) {
	base, missing, err := openapi.BasePath(servers)
	if err == nil && len(missing) > 0 {
		err = openapi.NoDefault(missing)
	}
	return base, err
}

// PlainPaths is a middleware for Echo's Pre. With it Echo also finds the routes of paths with an unusual spelling, such as
// /%64rafts for /drafts, which get 404 otherwise.
func PlainPaths(next echo.HandlerFunc) echo.HandlerFunc { return contract.PlainPaths(next) }

// Handler passes the requests that the document allows to next. Routes missing from the document get 404 or 405, even if
// next defines them, so that a forgotten route is not open. Paths that two routers might read in different ways, with an
// escaped slash or with dots for a segment, get 404.
//
// A router behind next must prefer literal segments to parameters, as http.ServeMux, Echo and chi do, and nothing between
// may change the method or the path. If next is an http.ServeMux, the guard checks that the pattern that it chooses is the
// operation's.
func (g *Guard) Handler(next http.Handler) http.Handler {
	mux, _ := next.(*http.ServeMux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := g.router.Find(r.Method, r.URL)
		if g.options.Proxied && g.router.MayBeMisread(r.URL, found) {
			g.options.Log.DebugContext(r.Context(), "refused: another router may read the path as that of another operation",
				"operation", found.Operation.ID, "path", found.Operation.Path)
			found = contract.Match{}
		}
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

// Echo is Handler for Echo's Use, on the whole server or on a group. It answers 404 unless the route that Echo has chosen is
// the operation's, so it does not work in Pre, before Echo has chosen one.
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
				return nil // admit has answered
			}
			c.SetRequest(admitted)
			c.SetParamValues(found.Values...) // decoded, like the plain path
			return next(c)
		}
	}
}

type operationKey struct{}

// OperationFrom returns the operationId of a guarded request, or its method and path if the document gives it none.
func OperationFrom(ctx context.Context) string {
	id, _ := ctx.Value(operationKey{}).(string)
	return id
}
