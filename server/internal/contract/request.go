package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	// maxDepth is the maximum depth of a JSON body.
	maxDepth = 32
)

// body is the request body of an operation.
type body struct {
	required bool
	own      bool // the server's generated code reads it
	schemas  mediaTypes
	query    map[string]bool // parameters that the query may have beside a form
}

type callersKey struct{}

// CallerFrom returns the authenticated caller of type T, or zero if there is none: for an anonymous request, or if no scheme
// of the operation returns callers of that type.
func CallerFrom[T Caller](ctx context.Context) (caller T) {
	callers, _ := ctx.Value(callersKey{}).([]Caller)
	for _, c := range callers {
		if c, ok := c.(T); ok {
			return c
		}
	}
	return caller
}

// Admit authorizes and validates a request that was routed to the operation, with the parameters of its path, and returns
// it with the caller in its context. It validates nothing of an unauthorized request, so that its errors tell nothing.
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

// Authorize is the first half of Admit. It does not validate parameters and body.
func (op *Operation) Authorize(r *http.Request) (*http.Request, error) {
	callers, err := op.authorize(r.Context(), r)
	if err != nil || callers == nil {
		return r, err
	}
	return r.WithContext(context.WithValue(r.Context(), callersKey{}, callers)), nil
}

// authorize returns the authenticated callers, one for each scheme of the alternative that matched. An anonymous request has none.
func (op *Operation) authorize(ctx context.Context, r *http.Request) ([]Caller, error) {
	var refusal error
	for _, alternative := range op.security {
		callers, err := alternative.try(ctx, r)
		if err == nil {
			err = op.Demand.check(callers)
		}
		if err == nil {
			return callers, nil
		}
		// The most helpful error wins: a missing scope or second factor, since that caller is authenticated, then an invalid
		// credential, then a missing one.
		if refusal == nil || rank(err) > rank(refusal) {
			refusal = err
		}
	}
	// An invalid credential is an error even where none is needed, because the client expects it to work. A valid one
	// without the scope counts as none.
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
		case problem.InsufficientScope, problem.StaleLogin:
			return rankScope
		}
	}
	return rankRefused
}

// try authenticates with every scheme of one alternative, and returns a caller for each.
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
				e.Scope = strings.Join(part.scopes, " ") // all required scopes (RFC 6750 §3)
				return nil, e
			}
		}
		callers = append(callers, caller)
	}
	return callers, nil
}

// validate checks parameters and body. The request then holds the value that was validated, so that the generated code
// does not decode the body a second time with different rules.
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
		if op.lenient && r.URL.Query().Get(parameter.Name) == "" { // RFC 6749 §3.1: it is omitted
			continue
		}
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

// CheckBody validates a JSON value as the body of the operation.
func (op *Operation) CheckBody(value any) error {
	invalid := problem.New(problem.ValidationFailed, "The request does not fit the contract.")
	schema, _ := op.body.schemas.find(mediaJSON)
	if checkBody(schema, value, invalid); len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

func checkBody(schema *openapi3.Schema, value any, invalid *problem.Error) {
	if schema == nil {
		return
	}
	_, err := visitJSON(schema, value, formatOption, openapi3.MultiErrors(), openapi3.VisitAsRequest())
	if err != nil {
		addFields(invalid, "", err)
	}
}

// read returns the body as a JSON value, an object of strings for a form, and its schema. The schema is nil if there is no
// body, or if its content is not validated.
func (b *body) read(r *http.Request) (*openapi3.Schema, any, error) {
	if !b.required && r.ContentLength == 0 {
		if b.own { // the generated code would parse a body that is not there by whatever type it has
			r.Form, r.PostForm, r.Header = url.Values{}, url.Values{}, r.Header.Clone()
			r.Header.Del("Content-Type")
		}
		return nil, nil, nil
	}
	mediaType, params, schema, ok := b.mediaType(r.Header)
	if !ok {
		return nil, nil, b.unsupported()
	}
	if schema == nil || !IsJSON(mediaType) && !isForm(mediaType, b.own) {
		return nil, nil, nil
	}
	data, err := readBody(r)
	if err != nil {
		return nil, nil, err
	}
	if isForm(mediaType, b.own) {
		if !ofTexts(schema) { // of a range, such as */*
			return nil, nil, nil
		}
		value, err := b.readForm(r, data, mediaType, params)
		return schema, value, err
	}
	if !inCharset(string(data), params) {
		return nil, nil, b.unsupported()
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

func (b *body) unsupported() error {
	return problem.New(problem.UnsupportedMediaType, fmt.Sprintf("Send %s, uncompressed and in UTF-8.", b.schemas.names()))
}

// readBody reads at most MaxBody bytes. It reads nothing if Content-Length is larger.
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

// mediaType returns the media type of a request and its parameters, with its schema if the document declares it or a range
// around it. The content of other types than JSON and forms is not validated. Two Content-Type headers are the same as one
// with a comma (RFC 9110 §5.3), which is invalid.
func (b *body) mediaType(header http.Header) (string, map[string]string, *openapi3.Schema, bool) {
	mediaType, params, err := mime.ParseMediaType(strings.Join(header["Content-Type"], ","))
	encoding := strings.Join(header["Content-Encoding"], ",")
	if err != nil || encoding != "" && !strings.EqualFold(encoding, "identity") || !inCharset("", params) {
		return "", nil, nil, false
	}
	schema, ok := b.schemas.find(mediaType)
	return mediaType, params, schema, ok
}

// ofASCII are charsets that write ASCII as UTF-8 does. Some clients declare one of them for every text.
var ofASCII = []string{"us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252"}

// inCharset reports whether a text can be read as UTF-8 although the parameters of its media type may declare another
// charset.
func inCharset(text string, params map[string]string) bool {
	switch charset := strings.ToLower(params["charset"]); {
	case charset == "" || charset == "utf-8" || charset == "utf8":
		return true
	case !slices.Contains(ofASCII, charset):
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// validated is a body with its value. The generated code uses the value instead of decoding the text with encoding/json,
// which ignores the case of keys.
type validated struct {
	io.ReadCloser
	value any
}

// ValidatedValue is called by the generated code.
func (v validated) ValidatedValue() any { return v.value }

// readJSON reads one JSON value (RFC 8259). It fails for everything that parsers treat differently: duplicate keys, invalid
// UTF-8, lone surrogates, a second value, great depth.
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
