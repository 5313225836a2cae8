package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sesame/server/internal/problem"
)

const (
	// MaxBody is the largest request body, in bytes.
	MaxBody = 64 << 10
	// maxDepth is how deep a JSON body may nest.
	maxDepth = 32
)

// body is what an operation takes.
type body struct {
	required bool
	schemas  map[string]*openapi3.Schema // by media type; nil for one that is not looked into
	query    map[string]bool             // what may stand in the query beside a form
}

type callersKey struct{}

// CallerFrom gives the caller of that type whom the contract let in, or zero: for a stranger, and where no
// scheme of the operation finds such callers.
func CallerFrom[T Caller](ctx context.Context) (caller T) {
	callers, _ := ctx.Value(callersKey{}).([]Caller)
	for _, c := range callers {
		if c, ok := c.(T); ok {
			return c
		}
	}
	return caller
}

// Admit checks a request that was routed to the operation, with the parameters of its path, and gives
// it back with the caller in its context. It asks first who is calling, then what: a stranger learns
// nothing from a body.
func (op *Operation) Admit(r *http.Request, params map[string]string) (*http.Request, error) {
	r, err := op.Authorize(r)
	if err != nil {
		return nil, err
	}
	if len(op.parameters) > 0 || op.body != nil {
		if err = op.validate(r, params); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Authorize is the first half of Admit: it looks at the caller alone.
func (op *Operation) Authorize(r *http.Request) (*http.Request, error) {
	callers, err := op.authorize(r.Context(), r)
	if err != nil || callers == nil {
		return r, err
	}
	return r.WithContext(context.WithValue(r.Context(), callersKey{}, callers)), nil
}

// authorize finds out who is calling and whether they may. There are no callers for a stranger.
func (op *Operation) authorize(ctx context.Context, r *http.Request) ([]Caller, error) {
	var refusal error
	for _, alternative := range op.security {
		callers, err := alternative.try(ctx, r)
		if err == nil {
			return callers, nil
		}
		// A refused credential outweighs a missing one, and a missing scope outweighs both: that
		// caller is known, and learns what to ask for.
		if refusal == nil || rank(err) > rank(refusal) {
			refusal = err
		}
	}
	// Credentials that do not stand are refused even where none are needed: whoever sends a token
	// believes that it counts. One that merely lacks the scope is as good as none.
	if op.anonymous && (refusal == nil || rank(refusal) != rankRefused) {
		return nil, nil
	}
	return nil, refusal
}

const (
	rankMissing = iota
	rankRefused
	rankScope
)

func rank(err error) int {
	if p, ok := errors.AsType[*problem.Error](err); ok {
		switch p.Code {
		case problem.Unauthenticated:
			return rankMissing
		case problem.InsufficientScope:
			return rankScope
		}
	}
	return rankRefused
}

// try asks for every scheme of one alternative, and gives a caller for each.
func (r requirement) try(ctx context.Context, request *http.Request) ([]Caller, error) {
	callers := make([]Caller, 0, len(r))
	for _, part := range r {
		caller, err := part.scheme(ctx, request)
		if err != nil {
			return nil, err
		}
		if caller == nil {
			return nil, problem.New(problem.Unauthenticated, "This operation needs an access token.")
		}
		for _, scope := range part.scopes {
			if !caller.HasScope(scope) {
				e := problem.New(problem.InsufficientScope, fmt.Sprintf("The access token lacks the scope %s.", scope))
				e.Scope = strings.Join(part.scopes, " ") // all that are needed
				return nil, e
			}
		}
		callers = append(callers, caller)
	}
	return callers, nil
}

// validate checks parameters and body. It leaves behind what it has read: a JSON body that knows
// its validated value, or the parsed form, so that nothing is decoded a second and different way.
func (op *Operation) validate(r *http.Request, pathParams map[string]string) error {
	if err := op.checkQuery(r.URL.RawQuery); err != nil {
		return err
	}
	invalid := problem.New(problem.ValidationFailed, "The request does not fit the contract.")
	input := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: pathParams,
		Options: &openapi3filter.Options{
			MultiError: true, SkipSettingDefaults: true,
			SchemaValidationOptions: []openapi3.SchemaValidationOption{formatOption},
		},
	}
	for _, parameter := range op.parameters {
		if err := openapi3filter.ValidateParameter(r.Context(), input, parameter); err != nil {
			addFields(invalid, "/"+parameter.Name, err)
		}
	}
	if op.body != nil {
		schema, value, err := op.body.read(r)
		if err != nil {
			return err
		}
		checkBody(schema, value, invalid)
		if op.Foreign && schema != nil {
			checkCase([]*openapi3.Schema{schema}, value, "", invalid)
		}
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

// CheckBody holds a JSON value against what the operation takes.
func (op *Operation) CheckBody(value any) error {
	invalid := problem.New(problem.ValidationFailed, "The request does not fit the contract.")
	if checkBody(op.body.schemas[mediaJSON], value, invalid); len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

func checkBody(schema *openapi3.Schema, value any, invalid *problem.Error) {
	if schema == nil {
		return
	}
	err := schema.VisitJSON(value, formatOption, openapi3.MultiErrors(), openapi3.VisitAsRequest())
	if err != nil {
		addFields(invalid, "", err)
	}
}

// read gives the body as a JSON value, an object of strings for a form, and the schema that it must
// fit; no schema for one that is left out or not looked into.
func (b *body) read(r *http.Request) (*openapi3.Schema, any, error) {
	if !b.required && r.ContentLength == 0 {
		return nil, nil, nil
	}
	mediaType, ok := b.mediaType(r.Header)
	if !ok {
		types := strings.Join(slices.Sorted(maps.Keys(b.schemas)), " or ")
		return nil, nil, problem.New(problem.UnsupportedMediaType, fmt.Sprintf("Send %s, uncompressed.", types))
	}
	schema := b.schemas[mediaType]
	if schema == nil {
		return nil, nil, nil
	}
	data, err := readBody(r)
	if err != nil {
		return nil, nil, err
	}
	if mediaType == mediaForm {
		value, err := b.readForm(r, data)
		return schema, value, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil, problem.New(problem.BadRequest, "The body is empty.")
	}
	value, err := readJSON(data)
	if err != nil {
		return nil, nil, err
	}
	r.Body = validated{io.NopCloser(bytes.NewReader(data)), value}
	return schema, value, nil
}

// readBody reads no more than MaxBody, and waits for nothing of a body that is announced as larger.
func readBody(r *http.Request) ([]byte, error) {
	tooLarge := problem.New(problem.PayloadTooLarge, fmt.Sprintf("The body is larger than %d KiB.", MaxBody>>10))
	if r.ContentLength > MaxBody {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge
	}
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, "The body ended before it was complete.", err)
	}
	return data, nil
}

// mediaType finds which of the body's media types a request has. A document may declare a range,
// image/*, which is not looked into. A header that is given twice is one with a comma (RFC 9110 §5.3),
// which is no media type.
func (b *body) mediaType(header http.Header) (string, bool) {
	mediaType, params, err := mime.ParseMediaType(strings.Join(header["Content-Type"], ","))
	encoding, charset := strings.Join(header["Content-Encoding"], ","), params["charset"]
	if err != nil || encoding != "" && !strings.EqualFold(encoding, "identity") ||
		charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", false
	}
	kind, _, _ := strings.Cut(mediaType, "/")
	for _, candidate := range []string{mediaType, kind + "/*", "*/*"} {
		if _, ok := b.schemas[candidate]; ok {
			return candidate, true
		}
	}
	return "", false
}

// validated is a body that hands out its value, which the generated code takes in place of decoding
// the text again: encoding/json would fold the case of keys.
type validated struct {
	io.ReadCloser
	value any
}

// ValidatedValue is what the generated code looks for.
func (v validated) ValidatedValue() any { return v.value }

// readJSON reads one JSON value (RFC 8259), and refuses what readers disagree about: a key given
// twice, invalid UTF-8, lone surrogates, a value after the value, absurd depth.
func readJSON(data []byte) (value any, err error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		_, err = decoder.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, malformed(err)
		}
		if decoder.StackDepth() > maxDepth {
			return nil, problem.New(problem.BadRequest, fmt.Sprintf("The JSON nests deeper than %d.", maxDepth))
		}
	}
	if err = json.Unmarshal(data, &value); err != nil {
		return nil, malformed(err)
	}
	return value, nil
}

func malformed(err error) error {
	p := problem.Wrap(problem.BadRequest, "The body is not valid JSON.", nil)
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return p
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		p.Detail = "The body has a key twice."
		return p.At(pointer(string(syntax.JSONPointer)), "is given twice")
	case !utf8.ValidString(string(syntax.JSONPointer)):
		return p
	}
	return p.At(pointer(string(syntax.JSONPointer)), "is not valid JSON")
}

// readForm reads a form strictly: RFC 6749 §3.2 wants each parameter at most once and treats one
// without a value as omitted, and nothing of the query may leak in.
func (b *body) readForm(r *http.Request, data []byte) (any, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	undeclared := func(name string) bool { return !b.query[name] }
	if len(query) == 0 && r.URL.RawQuery != "" || err != nil || slices.ContainsFunc(slices.Collect(maps.Keys(query)), undeclared) {
		return nil, problem.New(problem.BadRequest, "Parameters belong in the body, not in the query.")
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, problem.New(problem.BadRequest, "The body is not a valid form.")
	}
	value := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return nil, problem.New(problem.BadRequest, "A parameter is given twice.").At(pointer("/"+escape(name)), "is given twice")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, problem.New(problem.BadRequest, "The form is not valid UTF-8.")
		}
		if values[0] == "" {
			delete(form, name)
			continue
		}
		value[name] = values[0]
	}
	// What the generated code reads next; with both set, net/http parses nothing again. Who hands the
	// request on reads the body.
	r.Form, r.PostForm, r.Body = form, form, io.NopCloser(bytes.NewReader(data))
	return value, nil
}
