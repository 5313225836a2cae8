package guard_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/server/guard"
)

// service is a random document, with a handler for each of its operations.
type service struct {
	operations []operation
	undeclared []operation // the routers have them and the document does not
	base       string      // decoded
}

type operation struct {
	method   string
	segments []string // decoded; a parameter is {p0}, {p1} …
	path     string   // as the document spells it
	secured  bool     // by a scope of its own
	open     bool     // to callers without a token
	missing  bool     // the routers have no handler for it
}

func (o operation) scope() string { return o.method + o.path }

// Segments that routers read in different ways, and segments that resemble each other.
var texts = []string{
	"a", "b", "drafts", "private", "A", "größe", "Größe", "日本", "Products('1')", "x:cancel", ":z", "a b", `"q"`, "100%", "%64rafts", "%2f", "a+b", ";v=1",
	"..a", "...", "a.json", "*", "~", "a,b", "a=b&c", "?", "#", "é", "me",
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

func newOperation(random *rand.Rand) operation {
	o := operation{method: pick(random, []string{"GET", "GET", "GET", "POST", "HEAD"}), secured: random.IntN(4) > 0}
	o.open = !o.secured || random.IntN(3) == 0
	few := texts[:3+random.IntN(len(texts)-3)] // so that paths meet
	for range 1 + random.IntN(4) {
		segment := pick(random, few)
		if random.IntN(3) == 0 {
			segment = fmt.Sprintf("{p%d}", len(o.segments))
		}
		o.segments = append(o.segments, segment)
		spelled := segment
		if decoded, err := url.PathUnescape(segment); !isParameter(segment) && (random.IntN(3) == 0 || err == nil && decoded != segment) {
			spelled = url.PathEscape(segment) // otherwise as people write it
		}
		o.path += "/" + spelled
	}
	if random.IntN(12) == 0 {
		o.segments, o.path = append(o.segments, ""), o.path+"/"
	}
	return o
}

func newService(seed uint64) *service {
	random := rand.New(rand.NewPCG(seed, 1))
	s := &service{base: pick(random, []string{"", "", "/v1", "/größe/v1", "/a b"})}
	known := map[string]bool{}
	for range 2 + random.IntN(6) {
		o := newOperation(random)
		if key := o.method + strings.Join(o.segments, "/"); !known[key] {
			known[key] = true
			o.missing = random.IntN(8) == 0
			s.operations = append(s.operations, o)
		}
	}
	for range random.IntN(4) {
		o := newOperation(random)
		got := o
		if got.method == http.MethodHead { // a handler for HEAD may serve an operation of GET, and is checked like it
			got.method = http.MethodGet
		}
		if !slices.ContainsFunc(s.operations, func(other operation) bool { return alike(o, other) || alike(got, other) }) {
			s.undeclared = append(s.undeclared, o)
		}
	}
	return s
}

// alike reports whether two operations are one route.
func alike(a, b operation) bool {
	shape := func(o operation) (shape []string) {
		for _, segment := range o.segments {
			if isParameter(segment) {
				segment = "{}"
			}
			shape = append(shape, segment)
		}
		return shape
	}
	return a.method == b.method && slices.Equal(shape(a), shape(b))
}

func (s *service) document() []byte {
	paths, scopes := object{}, object{}
	for _, o := range s.operations {
		security := []object{}
		if o.secured {
			scopes[o.scope()] = "s"
			security = append(security, object{"Login": []string{o.scope()}})
			if o.open {
				security = append(security, object{})
			}
		}
		item, _ := paths[o.path].(object)
		if item == nil {
			item = object{}
		}
		item[strings.ToLower(o.method)] = object{"security": security, "responses": object{"200": object{"description": "ok"}}}
		paths[o.path] = item
	}
	text, err := json.Marshal(object{
		"openapi": "3.0.3", "info": object{"title": "random", "version": "1"}, "paths": paths,
		"servers": []object{{"url": "https://x.example" + (&url.URL{Path: s.base}).EscapedPath()}},
		"components": object{"securitySchemes": object{"Login": object{
			"type": "oauth2", "flows": object{"password": object{"tokenUrl": "/token", "scopes": scopes}},
		}}},
	})
	if err != nil {
		panic(err)
	}
	return text
}

// trace records the effects of a request.
type trace struct {
	asked  []string // scopes that the guard has required
	ran    []string // scopes of the operations whose handlers have run; "undeclared" for others
	values []string // of the parameters, as the handler sees them
}

type traceKey struct{}

// HasScope makes the trace a caller with every scope.
func (t *trace) HasScope(scope string) bool { t.asked = append(t.asked, scope); return true }

// byTrace finds the caller of a request that carries a trace and says that it has a token.
func byTrace(_ context.Context, r *http.Request) (guard.Owner, error) {
	if t, ok := r.Context().Value(traceKey{}).(*trace); ok && r.Header.Get("Authorization") != "" {
		return t, nil
	}
	return nil, nil
}

// routes calls add for every operation, with the handler's name. The handler fills in the trace.
func (s *service) routes(add func(o operation, run func(r *http.Request, parameter func(string) string))) {
	for i, o := range slices.Concat(s.operations, s.undeclared) {
		name := o.scope()
		if i >= len(s.operations) {
			name = "undeclared"
		}
		if o.missing {
			continue
		}
		add(o, func(r *http.Request, parameter func(string) string) {
			t := r.Context().Value(traceKey{}).(*trace)
			t.ran = append(t.ran, name)
			for _, segment := range o.segments {
				if isParameter(segment) {
					t.values = append(t.values, parameter(strings.Trim(segment, "{}")))
				}
			}
		})
	}
}

// serveMux fails when the mux refuses two operations of the document together.
func (s *service) serveMux() (mux *http.ServeMux, err error) {
	mux = http.NewServeMux()
	s.routes(func(o operation, run func(*http.Request, func(string) string)) {
		defer func() {
			if refused := recover(); refused != nil && slices.ContainsFunc(s.operations, func(other operation) bool { return alike(o, other) }) {
				err = fmt.Errorf("%v", refused)
			}
		}()
		pattern := o.method + " " + (&url.URL{Path: s.base}).EscapedPath() + o.path
		if strings.HasSuffix(pattern, "/") {
			pattern += "{$}"
		}
		mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { run(r, r.PathValue) })
	})
	return mux, err
}

// onEcho adds the routes to Echo or to a group.
func (s *service) onEcho(add func(method, path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route, base string) {
	s.routes(func(o operation, run func(*http.Request, func(string) string)) {
		path := base
		for _, segment := range o.segments {
			if isParameter(segment) {
				path += "/:" + strings.Trim(segment, "{}")
				continue
			}
			path += "/" + strings.ReplaceAll(segment, ":", `\:`)
		}
		add(o.method, path, func(c echo.Context) error { run(c.Request(), c.Param); return nil })
	})
}

// router is a service behind one kind of router.
type router struct {
	http.Handler
	bare   http.Handler // the same without a guard
	exact  bool         // it finds every operation of the document in every spelling
	closed bool         // it finds nothing
	hidden bool         // the guard cannot see its routes
}

// guarded serves the service in every way that the guide shows. It is nil for documents that are refused.
func guarded(t testing.TB, issuer string, s *service) map[string]router {
	t.Helper()
	g, err := guard.New(t.Context(), guard.Options{
		OpenAPI: s.document(), Issuer: issuer, Audience: audience, Log: slog.New(slog.DiscardHandler),
		Schemes: map[string]guard.Scheme{"Login": byTrace},
	})
	if err != nil {
		if !strings.Contains(err.Error(), "paths of the OpenAPI document are ambiguous") {
			t.Fatalf("%v\n%s", err, s.document())
		}
		return nil
	}
	t.Cleanup(g.Close)
	mux, err := s.serveMux()
	if err != nil {
		t.Fatalf("the guard takes a document that http.ServeMux refuses: %v", err)
	}
	routers := map[string]router{"ServeMux": {Handler: g.Handler(mux), bare: mux, exact: true}}
	// The handler of another operation that runs instead of a missing one cannot be seen there.
	complete := !slices.ContainsFunc(s.operations, func(o operation) bool { return o.missing })
	if complete {
		routers["ServeMux in a handler"] = router{Handler: g.Handler(http.HandlerFunc(mux.ServeHTTP)), bare: mux, exact: true, hidden: true}
	}
	if !s.onEchoAtAll() {
		return routers
	}
	onEcho := func(use func(e *echo.Echo)) *echo.Echo {
		e := echo.New()
		if use != nil {
			use(e)
		}
		s.onEcho(e.Add, s.base)
		return e
	}
	group := echo.New()
	s.onEcho(group.Group(s.base, g.Echo()).Add, "")
	bare := onEcho(nil)
	routers["Echo"] = router{Handler: onEcho(func(e *echo.Echo) { e.Use(g.Echo()) }), bare: bare}
	routers["Echo, plain paths"] = router{Handler: onEcho(func(e *echo.Echo) { e.Pre(guard.PlainPaths); e.Use(g.Echo()) }), bare: bare, exact: true}
	routers["Echo group"] = router{Handler: group, bare: bare}
	routers["Echo, too early"] = router{Handler: onEcho(func(e *echo.Echo) { e.Pre(g.Echo()) }), bare: bare, closed: true}
	if complete {
		routers["Echo in a handler"] = router{Handler: g.Handler(bare), bare: bare, exact: true, hidden: true}
	}
	return routers
}

// onEchoAtAll reports whether Echo has a way to write the paths. A * is the rest of the path to it, and a
// segment that begins with a colon makes its router panic.
func (s *service) onEchoAtAll() bool {
	for _, o := range slices.Concat(s.operations, s.undeclared) {
		if slices.ContainsFunc(o.segments, func(segment string) bool { return segment == "*" || strings.HasPrefix(segment, ":") }) {
			return false
		}
	}
	return true
}

// send makes a request as a server reads it, or fails for a target that no server takes.
func send(h http.Handler, method, target string, token bool) (*trace, int, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: x.example\r\n\r\n")))
	if err != nil {
		return nil, 0, err
	}
	if r.RequestURI != target {
		return nil, 0, errors.New("another request")
	}
	if token {
		r.Header.Set("Authorization", "Bearer x")
	}
	t := &trace{}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, t)))
	return t, w.Code, nil
}

// authorised sends a request, checks the promises of the guard, and returns the trace.
func (s *service) authorised(t testing.TB, name string, router router, method, target string) *trace {
	t.Helper()
	byKey := map[string]operation{}
	for _, o := range s.operations {
		byKey[o.scope()] = o
	}
	var known *trace
	for _, token := range []bool{true, false} {
		got, status, err := send(router, method, target, token)
		if err != nil {
			return nil
		}
		if len(got.ran) > 1 || router.closed && len(got.ran) > 0 {
			t.Errorf("%s: %s %s ran %v", name, method, target, got.ran)
		}
		if token {
			known = got
		}
		if len(got.ran) == 0 {
			continue
		}
		ran, declared := byKey[got.ran[0]]
		switch {
		case !declared && !router.hidden:
			t.Errorf("%s: %s %s ran a handler that the document does not know (%d)\n%s", name, method, target, status, s.document())
		case declared && token && ran.secured && !slices.Equal(got.asked, []string{ran.scope()}), declared && !ran.secured && len(got.asked) > 0:
			t.Errorf("%s: %s %s was authorised as %q, and the handler of %s ran\n%s", name, method, target, got.asked, ran.scope(), s.document())
		case declared && !token && !ran.open:
			t.Errorf("%s: %s %s ran %s without a token\n%s", name, method, target, ran.scope(), s.document())
		}
	}
	return known
}

// path returns a decoded path of the operation.
func (s *service) path(o operation, value func() string) (path string, values []string) {
	path = s.base
	for _, segment := range o.segments {
		if isParameter(segment) {
			segment = value()
			values = append(values, segment)
		}
		path += "/" + segment
	}
	return path, values
}

// respell encodes some bytes of a decoded path in another way, which does not change the path.
func respell(random *rand.Rand, path string) string {
	var spelled strings.Builder
	often := 1 + random.IntN(10)
	for _, b := range []byte(path) {
		switch {
		case b != '/' && (random.IntN(often) == 0 || strings.IndexByte("%?# \"", b) >= 0):
			fmt.Fprintf(&spelled, pick(random, []string{"%%%02x", "%%%02X"}), b)
		default:
			spelled.WriteByte(b)
		}
	}
	return spelled.String()
}

// distort returns a different path, usually one that programs read in different ways.
func distort(random *rand.Rand, target string) string {
	odd := []string{"/", "//", "/./", "/../", "/..", "%2f", "%2F", "%5c", `\`, "%00", "%2e%2e", "%2e", "..%2f", "%25", "%2564", "%ff", ";", "%0a", "%", "..;/", "%c0%af", "x"}
	at := random.IntN(len(target) + 1)
	switch random.IntN(5) {
	case 0:
		return strings.Replace(target, "/", pick(random, odd), 1+random.IntN(2))
	case 1:
		return strings.ReplaceAll(target, "%", "%25")
	case 2:
		return strings.ToUpper(target)
	case 3:
		return target[:at]
	}
	return target[:at] + pick(random, odd) + target[at:]
}

// N1: for random documents, every spelling of a path, and every router behind the guard, the handler that runs is that of the
// operation that was authorised; and every operation can be reached.
func TestWhatIsAuthorisedIsWhatRuns(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	taken, reached, ran := 0, 0, map[string]int{}
	for seed := range uint64(400) {
		s := newService(seed)
		routers := guarded(t, issuer.URL, s)
		if routers == nil {
			continue
		}
		taken++
		random := rand.New(rand.NewPCG(seed, 2))
		for name, router := range routers {
			for _, o := range s.operations {
				n := 0
				path, values := s.path(o, func() string { n++; return fmt.Sprintf("v %d%%", n) })
				plain, _, err := send(router.bare, o.method, (&url.URL{Path: path}).EscapedPath(), true)
				if err != nil || router.closed {
					continue
				}
				// Every spelling of the path of an operation that the router itself can reach.
				for i := range 4 {
					target := (&url.URL{Path: path}).EscapedPath()
					if i > 0 {
						target = respell(random, path)
					}
					got := s.authorised(t, name, router, o.method, target)
					if !slices.Equal(plain.ran, []string{o.scope()}) || i > 0 && !router.exact && len(got.ran) == 0 {
						continue
					}
					reached++
					if !slices.Equal(got.ran, []string{o.scope()}) || !slices.Equal(got.values, values) {
						t.Errorf("%s: %s %s ran %q with %q, want %q with %q\n%s", name, o.method, target, got.ran, got.values, o.scope(), values, s.document())
					}
				}
			}
			for range 30 {
				path, _ := s.path(pick(random, slices.Concat(s.operations, s.undeclared)), func() string { return pick(random, texts) })
				target := respell(random, path)
				for range random.IntN(3) {
					target = distort(random, target)
				}
				if got := s.authorised(t, name, router, pick(random, []string{"GET", "GET", "POST", "HEAD", "DELETE"}), target); got != nil && len(got.ran) > 0 {
					ran[name]++
				}
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	// The test is worth what it tries.
	if taken < 100 || reached < 1000 || len(ran) != 6 {
		t.Errorf("%d documents were taken, %d operations reached, and handlers ran: %v", taken, reached, ran)
	}
	t.Logf("%d documents, %d reached, ran %v", taken, reached, ran)
}

// FuzzPaths is TestWhatIsAuthorisedIsWhatRuns with fuzzed paths.
func FuzzPaths(f *testing.F) {
	for seed, target := range []string{
		"/pages/%64rafts", "/a/private/comments", "/b/..%2f..%2fx", "//a", "/v1/gr%C3%B6%c3%9fe", "/a/%2e%2e/b", "/a;x/b", "*", "http://x.example/a", "/a%5cb", "/%2561", "/a/",
	} {
		f.Add(uint8(seed), "GET", target)
	}
	issuer := newIssuer(f)
	services, routers := map[uint8]*service{}, map[uint8]map[string]router{}
	for seed := range uint8(64) {
		services[seed] = newService(uint64(seed))
		routers[seed] = guarded(f, issuer.URL, services[seed])
	}
	f.Fuzz(func(t *testing.T, seed uint8, method, target string) {
		seed %= 64
		for name, router := range routers[seed] {
			services[seed].authorised(t, name, router, method, target)
		}
	})
}
