// Package contract enforces an OpenAPI 3.0 document: who may make a request, what a request may hold, and what a response
// must look like. Compile turns each operation of the document into an Operation, once, at the start.
//
//	c, err := contract.Compile(sesame.OpenAPI, map[string]contract.Scheme{"OAuth2Password": bearer})
//	enforce, err := c.Enforce()
//	e.Use(enforce)
//	api.RegisterHandlers(e, handlers)
//	err = c.CheckRoutes(e.Routes())
//
// Compile fails for a document that leaves something unspecified: an operation without security, an undeclared scope or
// scheme, a string format without a check.
//
// compile.go makes the operations, scopes.go the scopes and demand.go what an operation demands of a sign-in; route.go and template.go find the operation of a request, and
// request.go admits it. echo.go and servemux.go connect the operations with the two routers.
package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/getkin/kin-openapi/openapi3"
)

// Caller is an authenticated caller, as a Scheme returns it.
type Caller interface {
	// HasScope reports whether the caller may use a scope of the document.
	HasScope(scope string) bool
}

// Scheme authenticates a request with one security scheme. It returns nil and no error if the request has no credentials of
// its kind. Its errors become the response.
type Scheme func(ctx context.Context, r *http.Request) (Caller, error)

// Contract is a compiled document.
type Contract struct {
	Title      string                // of the document
	operations map[string]*Operation // by operationId
	routes     map[string]*Operation // by method and path, as Echo has them
	scopes     Scopes
	described  map[string]string // the scopes
	ignored    []error
	paths      map[string]bool // the paths as Echo has them, with and without the names of parameters
	router     *Router         // once it is enforced
}

// Operation is a compiled operation of the document.
type Operation struct {
	ID     string
	Method string
	Path   string // as in the document, "/users/{user_id}"
	// OAuthErrors says that errors of the operation have the form of RFC 6749 §5.2: its 400 is application/json, not
	// application/problem+json.
	OAuthErrors bool
	// Pages says that a person reads the answers: its 400 is text/html.
	Pages bool
	// Foreign says that the operation is not one of the server's own.
	Foreign bool
	// Demand is how a person must have signed in for it; the zero Demand for no matter how.
	Demand Demand
	// Document is the source of the operation, with every reference resolved.
	Document *openapi3.Operation

	security   []requirement
	anonymous  bool // it can be called without credentials
	parameters []*openapi3.Parameter
	query      []string // names of the query parameters, if it allows no others
	lenient    bool     // unknown parameters and members of the body are ignored, and empty parameters absent, as OAuth 2 has it (x-ignore-unknown)
	body       *body
	responses  map[int]response // by status; 4 is 4XX, and 0 is default
}

// requirement is one alternative of an operation's security: all its schemes, with their scopes.
type requirement []struct {
	scheme Scheme
	scopes []string
}

// Compile reads a document and connects its security schemes with their code. The error names every fault of the document.
func Compile(document []byte, schemes map[string]Scheme) (*Contract, error) {
	return CompileShared(document, schemes, func(string, string) bool { return true })
}

// CompileShared is Compile for a document that also has foreign operations. Their security must be as complete as that of
// the server's own, but shapes that the document does not specify are not validated. own reports whether an operation is
// the server's, by its method and its path as Echo has it.
func CompileShared(document []byte, schemes map[string]Scheme, own func(method, route string) bool) (*Contract, error) {
	doc, err := read(document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") {
		return nil, fmt.Errorf("the OpenAPI document is %s; 3.0 is what is enforced well", doc.OpenAPI)
	}
	return (&compiler{doc: doc, schemes: schemes, own: own}).compile()
}

// lastRead is the document that read was called with last. Only prepare changes it.
var lastRead atomic.Pointer[struct {
	text []byte
	doc  *openapi3.T
}]

// read parses a document, unless it has just been parsed: a process that holds many servers, as tests do, reads the
// same one for each, and that is most of what a start costs.
func read(text []byte) (*openapi3.T, error) {
	if last := lastRead.Load(); last != nil && bytes.Equal(last.text, text) {
		return last.doc, nil
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err == nil {
		lastRead.Store(&struct {
			text []byte
			doc  *openapi3.T
		}{bytes.Clone(text), doc})
	}
	return doc, err
}

// CompileForeign takes a document of others as it comes. What it leaves open is not enforced: an
// operation without security is public, and an unknown string format, or a body that is neither JSON nor a form, allows
// everything. The ID of an operation without an operationId of its own is "GET /path".
func CompileForeign(doc *openapi3.T, schemes map[string]Scheme) (*Contract, error) {
	return (&compiler{doc: doc, schemes: schemes, anyone: true}).compile()
}

// CompileService takes the document of another service, for package guard. Its security must be complete: an operation
// without security, an undeclared scope and an unknown scheme are faults. Shapes that the document does not specify are not
// validated.
func CompileService(doc *openapi3.T, schemes map[string]Scheme) (*Contract, error) {
	return (&compiler{doc: doc, schemes: schemes}).compile()
}

func (c *compiler) compile() (*Contract, error) {
	c.scopes, c.checked, c.prepared = map[string]bool{}, map[*openapi3.Schema]bool{}, map[*openapi3.Schema]bool{}
	c.unenforced, c.descriptions = map[string]bool{}, map[string]string{}
	c.declaredScopes()
	c.noDemand("the document", c.doc.Extensions)
	c.noDemand("the paths", c.doc.Paths.Extensions)
	if c.doc.Components != nil {
		for _, name := range slices.Sorted(maps.Keys(c.doc.Components.SecuritySchemes)) {
			c.noDemand("the security scheme "+name, c.doc.Components.SecuritySchemes[name].Value.Extensions)
		}
	}
	result := &Contract{operations: map[string]*Operation{}, routes: map[string]*Operation{}, paths: map[string]bool{}}
	if c.doc.Info != nil {
		result.Title = c.doc.Info.Title
	}
	paths := c.doc.Paths
	for _, path := range slices.Sorted(maps.Keys(paths.Map())) {
		item := paths.Value(path)
		c.noDemand("the path "+path, item.Extensions)
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			c.foreign = c.own == nil || !c.own(method, echoPath(path))
			op := c.operation(method, path, item)
			if result.operations[op.ID] != nil {
				c.open("%s: the operationId is used twice", op.ID)
				op.ID = method + " " + path
			}
			result.operations[op.ID] = op
			result.routes[method+" "+echoPath(path)] = op
			result.paths[echoPath(path)], result.paths[unnamed(echoPath(path))] = true, true
		}
	}
	if err := errors.Join(c.faults...); err != nil {
		return nil, fmt.Errorf("the OpenAPI document cannot be enforced:\n%w", err)
	}
	if len(c.unenforced) > 0 {
		c.ignored = append(c.ignored, fmt.Errorf("these keywords of OpenAPI 3.1 are not enforced: %s", strings.Join(slices.Sorted(maps.Keys(c.unenforced)), ", ")))
	}
	result.scopes, result.ignored, result.described = c.who, c.ignored, c.descriptions
	result.scopes.Declared = slices.Sorted(maps.Keys(c.scopes))
	return result, nil
}

// Scopes are the scopes that the document declares.
func (c *Contract) Scopes() Scopes { return c.scopes }

// DescribeScope returns what the document says of a scope.
func (c *Contract) DescribeScope(scope string) string { return c.described[scope] }

// Ignored returns the mistakes in a document that CompileForeign has taken as it comes.
func (c *Contract) Ignored() []error { return c.ignored }

// Operations lists the operations, sorted by their ID.
func (c *Contract) Operations() []*Operation {
	list := make([]*Operation, 0, len(c.operations))
	for _, id := range slices.Sorted(maps.Keys(c.operations)) {
		list = append(list, c.operations[id])
	}
	return list
}

// Operation returns the operation with that ID, or nil.
func (c *Contract) Operation(id string) *Operation { return c.operations[id] }

// Public reports whether the operation ignores credentials (security: []).
func (op *Operation) Public() bool { return op.anonymous && len(op.security) == 0 }

// Anonymous reports whether the operation can be called without credentials.
func (op *Operation) Anonymous() bool { return op.anonymous }

// Scopes lists the scopes of the first security alternative that has any.
func (op *Operation) Scopes() []string {
	for _, r := range op.security {
		for _, s := range r {
			if len(s.scopes) > 0 {
				return s.scopes
			}
		}
	}
	return nil
}
