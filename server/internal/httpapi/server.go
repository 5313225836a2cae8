// Package api is the only package that knows Echo and the generated code: it translates between
// HTTP and the domain, and decides nothing. One file per tag of openapi.yaml; errors.go is the one
// place from which an error is answered.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/auth"
	"sesame/server/internal/contract"
)

// Options are what the wiring hands over.
type Options struct {
	PublicURL      string   // no trailing slash
	CheckResponses bool     // compare every answer with the contract, and log what departs from it
	CORSOrigins    []string // whose pages may call
	Log            *slog.Logger
	// NewService makes the domain for the scopes that the contract declares.
	NewService func(scopes []string) *auth.Service
	// Ready reports whether the database can be read and written.
	Ready func(context.Context) error
}

// Server answers the operations of openapi.yaml.
type Server struct {
	Options
	Contract *contract.Contract
	service  *auth.Service
	stopping atomic.Bool
}

// compile-time proof that every operation has its method
var _ api.StrictServerInterface = (*Server)(nil)

// Register compiles the contract, puts its operations on e, and makes e answer every error. It
// fails when the contract cannot be enforced or does not fit the generated code.
func Register(e *echo.Echo, o Options) (*Server, error) {
	s := &Server{Options: o}
	document, err := api.GetSpecJSON()
	if err != nil {
		return nil, fmt.Errorf("unpack the contract: %w", err)
	}
	s.Contract, err = contract.Compile(document, map[string]contract.Scheme{"OAuth2Password": s.bearer, "ClientBasic": s.basic})
	if err != nil {
		return nil, err
	}
	s.service = o.NewService(s.Contract.Scopes())
	edge := &Edge{PublicURL: o.PublicURL, CORSOrigins: o.CORSOrigins, Log: o.Log, Operation: func(c echo.Context) *contract.Operation {
		return s.Contract.FindRoute(c.Request().Method, c.Path())
	}}
	e.HTTPErrorHandler = edge.AnswerError
	e.Pre(contract.PlainPaths)
	e.Use(edge.Observe)
	if o.CheckResponses {
		e.Use(s.Contract.CheckResponses(func(fault error) { o.Log.Error("answer departs from the contract", "fault", fault) }))
	}
	middlewares, err := s.Contract.Middlewares()
	if err != nil {
		return nil, err
	}
	for _, op := range s.Contract.Operations() {
		if op.Method != http.MethodGet { // which changes nothing, so that nothing is recorded of it
			middlewares[op.ID] = append(middlewares[op.ID], withSender)
		}
	}
	api.RegisterHandlersWithOptions(e, api.NewStrictHandler(s, nil), api.RegisterHandlersOptions{OperationMiddlewares: middlewares})
	if err = s.Contract.CheckRoutes(e.Routes()); err != nil {
		return nil, fmt.Errorf("the contract and the generated code differ:\n%w", err)
	}
	s.registerPages(e)
	return s, nil
}

// Service is the domain behind the operations.
func (s *Server) Service() *auth.Service { return s.service }

// Stop makes the server not ready, so that load balancers send nothing more.
func (s *Server) Stop() { s.stopping.Store(true) }

// caller is who the contract let in.
func caller(ctx context.Context) *auth.Caller { return contract.CallerFrom[*auth.Caller](ctx) }
