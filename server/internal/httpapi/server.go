// Package httpapi translates between HTTP and the domain, and decides nothing. It puts Sesame's operations and the
// pages behind mailed links on an Echo server, and enforces the contract there.
//
// A request passes through Middleware (request id, log, CORS, then the contract: is it valid, who calls, may they),
// the generated decoding, and one method of Server, which calls the domain. An error returns unchanged to Middleware,
// which answers it. One file per tag of openapi.yaml.
//
// From HTTP to SQL, forwards only:
//
//	POST /token                     CreateToken → oauth.PasswordGrant → identity.Login → store
//	GET /users/me                   Schemes.bearer → identity.Authenticate → store (GetMe reads nothing more)
//	POST /password-resets/confirm   ConfirmPasswordReset → account.ResetPassword → store
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/audit"
	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/keys"
	"sesame/server/internal/mailer"
	"sesame/server/internal/oauth"
	"sesame/server/internal/tracing"
	"sesame/server/internal/upstream"
	"sesame/server/internal/web"
	"sesame/server/internal/webhook"
)

// Options are what the wiring hands over.
type Options struct {
	Contract *contract.Contract // Sesame's, or one that holds it
	Identity *identity.Service
	Accounts *account.Service
	OAuth    *oauth.Service
	Upstream *upstream.Service
	Audit    *audit.Log
	Mails    *mailer.Queue
	Webhooks *webhook.Service
	Keys     []*keys.Keys // of access tokens, and of ID tokens
	// Info describes the server.
	Info           func(context.Context) (Info, error)
	PublicURL      string                       // no trailing slash
	CheckResponses bool                         // compare every answer with the contract, and log what departs from it
	CORSOrigins    []string                     // whose pages may call the operations
	ClientIP       func(r *http.Request) string // the address of the client of a request
	Log            *slog.Logger
	Site           web.Site
	FirstRun       *web.FirstRun // nil for none
	// Measure counts a request and how long it took, for metrics. It may be nil.
	Measure func(method, route string, status int, took time.Duration)
	Tracer  *tracing.Tracer // makes the span of a request; nil for none
	// Ready reports whether the database can be read and written.
	Ready func(context.Context) error
	// Shared says that e has routes of others, too, which the middleware leaves alone.
	Shared bool
	// IsPage reports whether Echo has routed a request to a page of Sesame's, which no operation takes the place of.
	IsPage func(echo.Context) bool
}

// Server answers the operations of openapi.yaml.
type Server struct {
	Options
	middleware *Middleware
	pages      *web.Pages
	stopping   atomic.Bool
	exports    exports
}

// compile-time proof that every operation has its method
var _ api.StrictServerInterface = (*Server)(nil)

// Register puts the operations and pages on e, and the middleware that enforces the contract. It fails when the
// contract cannot be enforced or does not fit the generated code.
func Register(e *echo.Echo, o Options) (*Server, error) {
	s := &Server{Options: o, exports: exports{running: map[string]bool{}}}
	api.RegisterHandlers(e, api.NewStrictHandler(s, []api.StrictMiddlewareFunc{withoutBody}))
	if err := o.Contract.CheckGenerated(generated()); err != nil {
		return nil, fmt.Errorf("the contract and the generated code differ; run: make generate\n%w", err)
	}
	s.pages = &web.Pages{
		Site: o.Site, Identity: o.Identity, Accounts: o.Accounts, OAuth: o.OAuth, Upstream: o.Upstream, Audit: o.Audit, PublicURL: o.PublicURL, FirstRun: o.FirstRun, DescribeScope: o.Contract.DescribeScope,
	}
	if err := s.pages.Register(e); err != nil {
		return nil, err
	}
	enforce, err := o.Contract.Enforce()
	if err != nil {
		return nil, err
	}
	s.middleware = &Middleware{
		PublicURL: o.PublicURL, CORSOrigins: o.CORSOrigins, ClientIP: o.ClientIP, Log: o.Log, Site: o.Site, Measure: o.Measure, Tracer: o.Tracer,
		AnswersWithPages: func(c echo.Context) bool {
			op := o.Contract.FindRoute(http.MethodGet, c.Path()) // such a path has that method, too
			return op != nil && op.Pages || s.pages.Has(c.Path())
		},
		Operation: func(c echo.Context) *contract.Operation { return o.Contract.FindRoute(c.Request().Method, c.Path()) },
	}
	e.Pre(contract.PlainPaths)
	removeBase(e, o)
	s.RememberRouting(e)
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		enforced := enforce(s.withSender(next))
		if o.CheckResponses {
			enforced = o.Contract.CheckResponses(func(fault error) { o.Log.Error("answer departs from the contract", "fault", fault) }, s.middleware.answer)(enforced)
		}
		operation := s.middleware.Observe(enforced)
		if !o.Shared {
			return operation
		}
		operation, page := s.middleware.Observe(asRouted(enforced)), s.middleware.Observe(s.withSender(next))
		return func(c echo.Context) error {
			switch {
			case o.IsPage(c):
				return page(c)
			case o.Contract.Concerns(c):
				return operation(c)
			}
			return next(c)
		}
	})
	return s, nil
}

// routing is what Echo has routed a request by.
type routing struct{ method, path string }

const routingKey = "sesame.routing"

// RememberRouting adds to e a middleware that remembers what Echo routes a request by. Middleware of others may change a
// request before that, so call it again when all of them are registered.
func (s *Server) RememberRouting(e *echo.Echo) {
	if !s.Shared {
		return
	}
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set(routingKey, routing{c.Request().Method, c.Request().URL.Path})
			return next(c)
		}
	})
}

var errRerouted = errors.New("a middleware has changed the method or the path of the request after Echo had chosen the handler; " +
	"register it with Pre in place of Use")

// asRouted refuses a request whose method or path was changed after Echo chose its handler: it would be admitted to
// another operation than the handler's.
func asRouted(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if was, ok := c.Get(routingKey).(routing); !ok || was.method != c.Request().Method || was.path != c.Request().URL.Path {
			return errRerouted
		}
		return next(c)
	}
}

// generated are the routes of the generated code.
var generated = sync.OnceValue(func() []*echo.Route {
	e := echo.New()
	api.RegisterHandlers(e, nil) // which only takes their names
	return e.Routes()
})

// Serves reports whether an operation is Sesame's, by its method and its path as Echo has it.
func Serves(method, route string) bool {
	return slices.ContainsFunc(generated(), func(r *echo.Route) bool { return r.Method == method && r.Path == route })
}

// AnswerError answers an error, for Echo's HTTPErrorHandler.
func (s *Server) AnswerError(err error, c echo.Context) { s.middleware.AnswerError(err, c) }

// OffersFirstRun reports whether the sender of a request may make the first administrator.
func (s *Server) OffersFirstRun(r *http.Request) bool { return s.pages.OffersFirstRun(r) }

// Stop makes the server not ready, so that load balancers send nothing more.
func (s *Server) Stop() { s.stopping.Store(true) }

// caller is who the contract let in.
func caller(ctx context.Context) *identity.Caller { return contract.CallerFrom[*identity.Caller](ctx) }
