// Package contract enforces an OpenAPI 3.0 document: what a request may hold, who may make it, and
// what an answer may look like. The document is compiled once, at start, into one Operation each.
//
//	c, err := contract.Compile(sesame.OpenAPI, map[string]contract.Scheme{"OAuth2Password": bearer})
//	enforce, err := c.Enforce()
//	e.Use(enforce)
//	api.RegisterHandlers(e, handlers)
//	err = c.CheckRoutes(e.Routes())
//
// Compile refuses a document that leaves anything open to guess: an operation without a security
// decision, a scope or scheme that is not declared, a string format that nobody checks.
package contract

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Caller is whoever a Scheme found behind a request.
type Caller interface {
	// HasScope reports whether the caller may use a scope of the document.
	HasScope(scope string) bool
}

// Scheme reads the credentials of one security scheme from a request and finds their owner. With no
// credentials of its kind in the request it returns nil and no error; its errors are answered as
// they are.
type Scheme func(ctx context.Context, r *http.Request) (Caller, error)

// Contract is a compiled document.
type Contract struct {
	Title      string                // of the document
	operations map[string]*Operation // by operationId
	routes     map[string]*Operation // by method and path, as Echo has them
	scopes     Scopes
	paths      map[string]bool // the paths as Echo has them, with and without the names of parameters
	router     *Router         // once it is enforced
}

// Operation is one operation of the document, ready to be enforced.
type Operation struct {
	ID     string
	Method string
	Path   string // as in the document, "/users/{user_id}"
	// OAuthErrors says that the operation answers errors as RFC 6749 §5.2 has them: its 400 is
	// application/json, not application/problem+json.
	OAuthErrors bool
	// Foreign says that the operation is none of the server's own.
	Foreign bool
	// Document is the operation as it is written, with every reference resolved.
	Document *openapi3.Operation

	security   []requirement
	anonymous  bool // one may come without any credentials
	parameters []*openapi3.Parameter
	query      []string // the names of those in the query, where it may have no others
	body       *body
	responses  map[int]response
}

// requirement is one alternative of an operation's security: all its schemes, with their scopes.
type requirement []struct {
	scheme Scheme
	scopes []string
}

// Compile reads a document and binds its security schemes. Every fault of the document is reported,
// all in one error.
func Compile(document []byte, schemes map[string]Scheme) (*Contract, error) {
	return CompileShared(document, schemes, func(string, string) bool { return true })
}

// CompileShared is Compile for a document that holds operations of others, too: their security is as strict as that of
// the server's own, but what the document leaves open of their shapes is not enforced. own reports whether an operation is
// the server's, by its method and its path as Echo has it.
func CompileShared(document []byte, schemes map[string]Scheme, own func(method, route string) bool) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.0.") {
		return nil, fmt.Errorf("the OpenAPI document is %s; 3.0 is what is enforced well", doc.OpenAPI)
	}
	return (&compiler{doc: doc, schemes: schemes, own: own}).compile()
}

// CompileForeign takes a document of others as it comes. What it leaves open is not enforced: an
// operation without a security decision can be called by anyone, a string format that is not known
// lets everything through, and so does a body that is neither JSON nor a form. An operation without
// an operationId, or with one that is not its own, is known as "GET /path".
func CompileForeign(doc *openapi3.T, schemes map[string]Scheme) (*Contract, error) {
	return (&compiler{doc: doc, schemes: schemes, anyone: true}).compile()
}

// CompileService takes the document of another service that is to be guarded. Who may call has to be
// as plain in it as in our own: an operation without a security decision, a scope that is not declared
// and a scheme that is not known are faults. What it leaves open of its shapes is not enforced.
func CompileService(doc *openapi3.T, schemes map[string]Scheme) (*Contract, error) {
	return (&compiler{doc: doc, schemes: schemes}).compile()
}

func (c *compiler) compile() (*Contract, error) {
	c.scopes, c.checked = map[string]bool{}, map[*openapi3.Schema]bool{}
	c.declaredScopes()
	result := &Contract{operations: map[string]*Operation{}, routes: map[string]*Operation{}, paths: map[string]bool{}}
	if c.doc.Info != nil {
		result.Title = c.doc.Info.Title
	}
	paths := c.doc.Paths
	for _, path := range slices.Sorted(maps.Keys(paths.Map())) {
		item := paths.Value(path)
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
	result.scopes = c.who
	result.scopes.Declared = slices.Sorted(maps.Keys(c.scopes))
	return result, nil
}

// Scopes are the scopes that the document declares.
func (c *Contract) Scopes() Scopes { return c.scopes }

// Operations lists the operations, sorted by their ID.
func (c *Contract) Operations() []*Operation {
	list := make([]*Operation, 0, len(c.operations))
	for _, id := range slices.Sorted(maps.Keys(c.operations)) {
		list = append(list, c.operations[id])
	}
	return list
}

// Operation gives the operation of that ID, or nil.
func (c *Contract) Operation(id string) *Operation { return c.operations[id] }

// Public reports whether the operation looks at no credentials at all (security: []).
func (op *Operation) Public() bool { return op.anonymous && len(op.security) == 0 }

// Anonymous reports whether the operation can be used without credentials.
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
