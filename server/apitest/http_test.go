package apitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/contract"
)

// request is what a test sends. At most one of json, form and raw is its body.
type request struct {
	method, path string
	token        string // Bearer
	json         any    // encoded, unless it is a string, which is sent as it is
	form         url.Values
	raw          io.Reader         // with its Content-Type in header
	header       map[string]string // overrides
}

// answer is a response. do has compared it with the contract.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte

	sent     *string // the body of the request, unless it was raw
	sentType string  // its Content-Type
}

// do sends a request and compares the answer, errors included, with the contract.
func (s *server) do(t *testing.T, r request) *answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	a.t = t
	if err = checkAnswer(r.method, r.path, a); err != nil {
		t.Errorf("%s %s: %v\n%s", r.method, r.path, err, a.body)
	}
	return a
}

// try sends a request and compares nothing. A goroutine of a test calls it, since it must not end the test.
func (s *server) try(r request) (*answer, error) {
	body, contentType := r.raw, ""
	var sent *string // the body, unless it is raw
	switch {
	case r.form != nil:
		text := r.form.Encode()
		body, contentType, sent = strings.NewReader(text), "application/x-www-form-urlencoded", &text
	case r.json != nil:
		text, ok := r.json.(string)
		if !ok {
			encoded, err := json.Marshal(r.json)
			if err != nil {
				return nil, err
			}
			text = string(encoded)
		}
		body, contentType, sent = strings.NewReader(text), "application/json", &text
	case r.raw == nil:
		sent = new(string)
	}
	q, err := http.NewRequest(r.method, s.url+r.path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		q.Header.Set("Content-Type", contentType)
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	for name, value := range r.header {
		if q.Header.Set(name, value); name == "Host" {
			q.Host = value
		}
	}
	response, err := s.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return &answer{
		t: s.t, status: response.StatusCode, header: response.Header, body: text,
		sent: sent, sentType: q.Header.Get("Content-Type"),
	}, err
}

var parameter = regexp.MustCompile(`\\\{[^}]+\\\}`)

// routes are the operations with the patterns of their paths.
var routes = sync.OnceValue(func() (all []route) {
	for _, op := range rules.Operations() {
		all = append(all, route{op, regexp.MustCompile("^" + parameter.ReplaceAllString(regexp.QuoteMeta(op.Path), "[^/]+") + "$")})
	}
	return all
})

type route struct {
	*contract.Operation
	pattern *regexp.Regexp
}

// findOperation returns the operation of a request, or nil. A fixed path has precedence over one with a parameter.
func findOperation(method, path string) *contract.Operation {
	path, _, _ = strings.Cut(path, "?")
	var found *contract.Operation
	for _, r := range routes() {
		if r.Method == method && r.pattern.MatchString(path) && (found == nil || r.Path == path) {
			found = r.Operation
		}
	}
	return found
}

// checkAnswer compares an answer with its operation. An error outside of all operations must be a problem (RFC 9457).
func checkAnswer(method, path string, a *answer) error {
	if a.header.Get("X-Request-ID") == "" {
		return errors.New("the answer has no X-Request-ID")
	}
	if op := findOperation(method, path); op != nil {
		recorded.add(exchange{op.ID, method, path, a.sentType, a.sent, a.status, a.header, string(a.body)})
		return errors.Join(checkCaching(op, a), op.CheckResponse(a.status, a.header, a.body))
	}
	if a.status < 400 || method == http.MethodHead {
		return nil // the pages of package docs
	}
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || !p.Code.Valid() || a.header.Get("Content-Type") != "application/problem+json" {
		return fmt.Errorf("%d is not answered with a problem", a.status)
	}
	return nil
}

// checkCaching reports a response that a cache could keep, other than the three that declare it (N12). So every test
// that speaks to an operation looks for this.
func checkCaching(op *contract.Operation, a *answer) error {
	want := "no-store"
	if a.status == 200 && (op.ID == "getMetadata" || op.ID == "getOpenIDConfiguration" || op.ID == "getKeys") {
		want = "public, max-age=300"
	}
	if got := a.header.Values("Cache-Control"); !slices.Equal(got, []string{want}) {
		return fmt.Errorf("%s: %d: Cache-Control is %q, want %q", op.ID, a.status, got, want)
	}
	return nil
}

// want ends the test unless the answer has a status and, if one is given, a code.
func (a *answer) want(status int, code ...string) *answer {
	a.t.Helper()
	if a.status != status || len(code) > 0 && a.code() != code[0] {
		a.t.Fatalf("got %d %s, want %d %s\n%s", a.status, a.code(), status, strings.Join(code, ""), a.body)
	}
	return a
}

// code is the code of a problem, or the error of an OAuth response.
func (a *answer) code() string {
	var e struct {
		Code  string `json:"code"`
		Error string `json:"error"`
	}
	_ = json.Unmarshal(a.body, &e) // a success has neither
	return e.Code + e.Error
}

// pointsAt ends the test unless one of the problem's errors has a pointer.
func (a *answer) pointsAt(pointer string) *answer {
	a.t.Helper()
	if !slices.ContainsFunc(decode[api.Problem](a).Errors, func(e api.FieldError) bool { return e.Pointer == pointer }) {
		a.t.Fatalf("no error points at %s\n%s", pointer, a.body)
	}
	return a
}

func decode[T any](a *answer) (value T) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, &value); err != nil {
		a.t.Fatalf("%v\n%s", err, a.body)
	}
	return value
}
