// Package mock is a server made from an OpenAPI document alone, so that a front end can be built before the back end. It
// validates requests and checks tokens and scopes with package contract, as the real server does, and responds with the
// examples of the document.
//
//	document, err := mock.Load("openapi.yaml")
//	m, err := mock.Register(e, mock.Options{Document: document, PublicURL: "http://127.0.0.1:8080", …})
//
// The token endpoint accepts any credentials and issues signed tokens. A request can choose its response, with
// Prefer: code=429 or Prefer: code=422, example=wrong (RFC 7240).
//
// document.go reads documents; answer.go, sample.go and prefer.go make responses; ours.go and tokens.go have the endpoints
// that issue tokens.
package mock

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"sesame/server/internal/contract"
	"sesame/server/internal/httpapi"
	"sesame/server/internal/web"
)

// Options are the dependencies and settings of a Mock.
type Options struct {
	Document  *Document
	PublicURL string // no trailing slash; the issuer of the tokens
	Audience  string
	AccessTTL time.Duration
	Log       *slog.Logger
	Now       func() time.Time
}

// Mock is a server for the operations of a document.
type Mock struct {
	Options
	Contract *contract.Contract
	router   *contract.Router
	// unreachable names the paths of the document that no request can have. The mock serves the others.
	unreachable error
	tokens      *tokens
	middleware  *httpapi.Middleware
	samples     *samples
	// ours are the endpoints of the mock itself, by path and method, without which tokens would not work.
	ours map[string]map[string]handler
}

// operationKey is the key of Echo's context for the operation of a request.
const operationKey = "mock.operation"

// Register adds the mock to e. The mock sees every request before the routes of e.
func Register(e *echo.Echo, o Options) (*Mock, error) {
	m := &Mock{Options: o, samples: newSamples()}
	var err error
	if m.tokens, err = newTokens(o); err != nil {
		return nil, err
	}
	if m.Contract, err = contract.CompileForeign(o.Document.openAPI, m.tokens.schemes(o.Document.openAPI)); err != nil {
		return nil, err
	}
	m.tokens.scopes = m.Contract.Scopes()
	m.router, m.unreachable = contract.NewForeignRouter(o.Document.base, m.Contract.Operations())
	m.middleware = &httpapi.Middleware{PublicURL: o.PublicURL, ClientIP: echo.ExtractIPDirect(), Log: o.Log, Site: web.Site{Name: m.Contract.Title, Home: o.PublicURL + "/"}, Operation: func(c echo.Context) *contract.Operation {
		op, _ := c.Get(operationKey).(*contract.Operation)
		return op
	}}
	e.HTTPErrorHandler = m.middleware.AnswerError
	m.registerOurs()
	e.Use(m.middleware.Observe, m.serve)
	return m, nil
}

var everyOrigin = middleware.CORSWithConfig(middleware.CORSConfig{
	AllowOrigins:  []string{"*"},
	ExposeHeaders: []string{"X-Request-ID", "WWW-Authenticate", "Retry-After", "Location", "Preference-Applied"},
})

// serve handles the operations of the document and the endpoints of the mock. The routes of Echo handle the rest. Scripts
// of every origin may call operations, because a front end under development has an origin of its own. They may not read
// the other routes, which serve a document that may not be public yet.
func (m *Mock) serve(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := contract.Plain(c.Request())
		found := m.router.Find(r.Method, r.URL)
		var own map[string]handler
		if r.URL.RawPath == "" {
			own = m.ours[r.URL.Path]
		}
		if found.Operation == nil && found.Allowed == nil && own == nil {
			c.Response().Before(func() { c.Response().Header().Del(echo.HeaderAccessControlAllowOrigin) })
			return next(c)
		}
		if r.Method == http.MethodOptions && found.Operation != nil && r.Header.Get(echo.HeaderAccessControlRequestMethod) == "" {
			return m.answer(c, r, found, own) // an operation of the document, and no preflight
		}
		return everyOrigin(func(c echo.Context) error { return m.answer(c, r, found, own) })(c)
	}
}

func (m *Mock) answer(c echo.Context, r *http.Request, found contract.Match, own map[string]handler) error {
	switch h := own[r.Method]; {
	case found.Operation != nil:
		return m.operate(c, r, found, h)
	case h != nil:
		c.SetPath(r.URL.Path)
		a, err := h(c.Response(), r, newAnswer(http.StatusOK))
		if err != nil {
			return err
		}
		return a.send(c)
	}
	allowed := slices.Sorted(maps.Keys(own))
	allowed = slices.Compact(slices.Sorted(slices.Values(append(allowed, found.Allowed...))))
	c.Response().Header().Set(echo.HeaderAllow, strings.Join(allowed, ", "))
	return echo.ErrMethodNotAllowed
}

// operate responds for an operation of the document. own is the mock's endpoint there, or nil.
func (m *Mock) operate(c echo.Context, r *http.Request, found contract.Match, own handler) error {
	op := found.Operation
	c.Set(operationKey, op)
	c.SetPath(op.Path)
	wish, err := readPrefer(r.Header.Values("Prefer"))
	if err != nil {
		return err
	}
	if wish != (preference{}) {
		a, err := m.preferred(op, wish)
		if err != nil {
			return err
		}
		return a.send(c)
	}
	admitted, err := op.Admit(r, found.Params())
	if err != nil {
		return m.refuse(c, op, err)
	}
	a := m.samples.success(op)
	if own != nil {
		if a, err = own(c.Response(), admitted, a); err != nil {
			return m.refuse(c, op, err)
		}
	}
	return a.send(c)
}

// refuse responds with an error in Sesame's form if the document allows it, and otherwise with the document's example for
// that status, so that a front end sees what the real server will send. The log has the reason in both cases.
func (m *Mock) refuse(c echo.Context, op *contract.Operation, err error) error {
	ours := newAnswer(0)
	probe := c.Echo().NewContext(c.Request(), ours)
	probe.Set(operationKey, op)
	ours.header = c.Response().Header().Clone()
	m.middleware.AnswerError(err, probe)
	answer := ours
	if op.CheckResponse(ours.status, ours.header, ours.body.Bytes()) != nil {
		for _, status := range []int{ours.status, http.StatusBadRequest} {
			if documented := responseFor(op, status); documented != nil {
				answer = m.samples.compose(documented, status, "")
				break
			}
		}
	}
	if fault := answer.send(c); fault != nil {
		return fault
	}
	return err // for the log; the response is sent
}

// preferred returns the response that a request has chosen.
func (m *Mock) preferred(op *contract.Operation, wish preference) (*answer, error) {
	var a *answer
	if wish.code == 0 {
		a = m.samples.success(op)
		wish.code = a.status
	}
	documented := responseFor(op, wish.code)
	switch {
	case documented != nil && wish.example != "" && !slices.Contains(exampleNames(documented), wish.example):
		return nil, badPreference("there is no such example for %s and this status; there is: %s",
			op.ID, strings.Join(exampleNames(documented), ", "))
	case documented != nil:
		a = m.samples.compose(documented, wish.code, wish.example)
	case wish.code >= 400 && wish.example == "":
		a = undocumented(wish.code) // a proxy may send it
	default:
		return nil, badPreference("there is no such answer of %s in the contract; there is: %s",
			op.ID, strings.Join(statuses(op), ", "))
	}
	a.header.Set("Preference-Applied", wish.String())
	return a, nil
}

// Faults returns what was not read as the document has it, the paths that no request can reach, and the responses of the mock that do not fit the document, because
// an example breaks its schema or no example could be made.
func (m *Mock) Faults() []error {
	var faults []error
	for _, note := range m.Document.notes {
		faults = append(faults, errors.New(note))
	}
	faults = append(faults, m.Contract.Ignored()...)
	if m.unreachable != nil {
		faults = append(faults, m.unreachable)
	}
	told := map[string]bool{}
	for _, op := range m.Contract.Operations() {
		if status := m.samples.success(op).status; responseFor(op, status) == nil {
			faults = append(faults, fmt.Errorf("%s: no success is documented; the mock answers %d without a body", op.ID, status))
		}
		for _, code := range statuses(op) {
			for _, fault := range m.faultsOf(op, code) {
				if _, text, _ := strings.Cut(fault.Error(), ": "); !told[text] { // the same response of another operation
					told[text] = true
					faults = append(faults, fault)
				}
			}
		}
	}
	return faults
}

// faultsOf returns the faults of one documented response.
func (m *Mock) faultsOf(op *contract.Operation, code string) []error {
	status, documented := statusOf(code), responseFor(op, statusOf(code))
	if documented == nil || !isNumber(code) {
		return nil
	}
	for _, name := range append([]string{""}, exampleNames(documented)...) {
		a := m.samples.compose(documented, status, name)
		a.header.Set(echo.HeaderXRequestID, "x") // the middleware adds it
		err := op.CheckResponse(a.status, a.header, a.body.Bytes())
		if err != nil && name != "" {
			err = fmt.Errorf("%w (the example %s)", err, name)
		}
		if err != nil {
			return []error{err}
		}
	}
	mediaType, content := mainContent(documented.Content)
	if content == nil || !contract.IsJSON(mediaType) {
		return nil
	}
	var faults []error
	if _, broken := m.samples.best(content.Example, content.Examples, content.Schema); len(broken) > 0 {
		faults = append(faults, fmt.Errorf("%s: %d: %w", op.ID, status, broken[0]))
	}
	return faults
}
