package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/server/internal/problem"
)

// small is a document with nothing wrong. The tests break it in one place each.
const small = `
openapi: 3.0.3
info: { title: small, version: '1' }
security: [{ OAuth2: [] }]
paths:
  /things/{thing_id}:
    parameters:
      - { name: thing_id, in: path, required: true, schema: { type: string, format: uuid } }
    put:
      operationId: putThing
      security: [{ OAuth2: ['things:write'] }]
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              properties: { name: { type: string, format: email } }
      responses:
        '200':
          description: ok
          headers: { X-Count: { schema: { type: integer, maximum: 9 } } }
          content:
            application/json:
              schema:
                type: object
                additionalProperties: false
                required: [name]
                properties: { name: { type: string, maxLength: 5 }, tags: { type: array, items: { type: string, format: date } } }
        '204': { description: nothing }
  /things:
    get:
      operationId: listThings
      responses: { '204': { description: nothing } }
components:
  securitySchemes:
    OAuth2:
      type: oauth2
      flows: { password: { tokenUrl: /token, scopes: { 'things:write': write } } }
`

func nobody(context.Context, *http.Request) (Caller, error) { return nil, nil }

func compile(document string) (*Contract, error) {
	return Compile([]byte(document), map[string]Scheme{"OAuth2": nobody})
}

// A document that leaves something open to guess is refused, with the operation and the reason.
func TestCompileRefusesWhatCannotBeEnforced(t *testing.T) {
	for name, c := range map[string]struct{ old, new, reason string }{
		"no security decision":      {"security: [{ OAuth2: [] }]\npaths", "paths", "listThings: no security"},
		"a scope not declared":      {"OAuth2: ['things:write']", "OAuth2: ['things:own']", "putThing: the scope things:own is not declared"},
		"a scheme not declared":     {"[{ OAuth2: ['things:write'] }]", "[{ ApiKey: [] }]", "putThing: the security scheme ApiKey"},
		"a scheme without code":     {"  securitySchemes:\n    OAuth2:", "  securitySchemes:\n    ApiKey: { type: apiKey, in: header, name: K }\n    OAuth2:", ""},
		"a pattern of Perl":         {"format: email", "pattern: '^(?!x)'", "body.name: the pattern ^(?!x) is not a regular expression that Go supports"},
		"a format of a body":        {"format: email", "format: e-mail", "body.name: nothing checks the string format e-mail"},
		"a format of a parameter":   {"format: uuid", "format: ulid", "thing_id: nothing checks the string format ulid"},
		"a format of an answer":     {"format: date ", "format: day ", "200.tags[]: nothing checks the string format day"},
		"two media types":           {"        content:\n          application/json:", "        content:\n          text/plain: { schema: { type: string } }\n          application/json:", "2 media types"},
		"a media type unknown":      {"        content:\n          application/json:", "        content:\n          application/xml:", "application/xml is not"},
		"a form with a list":        {"application/json:\n            schema:\n              type: object\n              additionalProperties: false\n              properties: { name: { type: string, format: email } }", "application/x-www-form-urlencoded:\n            schema:\n              type: object\n              properties: { name: { type: array, items: { type: string } } }", "putThing: a form is an object of strings"},
		"an open body":              {"              additionalProperties: false\n              properties: { name: { type: string, format", "              properties: { name: { type: string, format", "additionalProperties: false"},
		"a body open by name":       {"additionalProperties: false\n              properties: { name: { type: string, format", "additionalProperties: true\n              properties: { name: { type: string, format", "additionalProperties: false"},
		"an open object inside":     {"properties: { name: {", "properties: { inner: { type: object }, name: {", "body.inner must say additionalProperties: false"},
		"an operationId twice":      {"operationId: listThings", "operationId: putThing", "putThing: the operationId is used twice"},
		"no operationId":            {"operationId: listThings", "summary: list", "GET /things: no operationId"},
		"an answer without status":  {"'204': { description: nothing } }", "default: { description: nothing } }", `the answer "default" is not a status`},
		"OpenAPI 3.1":               {"openapi: 3.0.3", "openapi: 3.1.0", "3.1.0"},
		"OpenAPI 2":                 {"openapi: 3.0.3", "openapi: '2.0'", "2.0"},
		"what is no document":       {small, "]", "read the OpenAPI document"},
		"a reference that dangles":  {"schema: { type: string, format: uuid }", "schema: { $ref: '#/components/schemas/None' }", "read the OpenAPI document"},
		"a parameter without shape": {", schema: { type: string, format: uuid }", "", "thing_id has no schema"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(small, c.old, c.new, 1)
			if broken == small {
				t.Fatal("the test breaks nothing")
			}
			_, err := compile(broken)
			if c.reason == "" { // declared, but no operation uses it
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %v, want %q", err, c.reason)
			}
		})
	}
	if _, err := Compile([]byte(small), nil); err == nil || !strings.Contains(err.Error(), "the server does not know it") {
		t.Errorf("without the code of its scheme: %v", err)
	}
}

func compiled(t *testing.T) *Contract {
	t.Helper()
	c, err := compile(small)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRoutesAndDocumentMustAgree(t *testing.T) {
	put, list := &echo.Route{Method: "PUT", Path: "/things/:thing_id"}, &echo.Route{Method: "GET", Path: "/things"}
	for name, c := range map[string]struct {
		routes []*echo.Route
		reason string
	}{
		"both":            {[]*echo.Route{put, list}, ""},
		"one is missing":  {[]*echo.Route{list}, "PUT /things/{thing_id} (putThing) is in the OpenAPI document, but no handler is registered for it"},
		"one is too many": {[]*echo.Route{put, list, {Method: "DELETE", Path: "/things"}}, "DELETE /things is in the generated code, but not in the OpenAPI document"},
		"another method":  {[]*echo.Route{{Method: "POST", Path: "/things/:thing_id"}, list}, "putThing"},
		"another name":    {[]*echo.Route{{Method: "PUT", Path: "/things/:id"}, list}, "putThing"},
	} {
		rules := compiled(t)
		err := errors.Join(rules.CheckRoutes(c.routes), rules.CheckGenerated(c.routes))
		if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: got %v, want %q", name, err, c.reason)
		}
	}
}

// A fault of an answer says where it is, and never what stands there.
func TestAnswersThatDepartFromTheDocument(t *testing.T) {
	op := compiled(t).Operation("putThing")
	for name, c := range map[string]struct {
		status                 int
		mediaType, count, body string
		reason                 string
	}{
		"good":                    {200, "application/json", "3", `{"name":"ann"}`, ""},
		"good with a charset":     {200, "application/json; charset=UTF-8", "3", `{"name":"ann","tags":["2026-11-23"]}`, ""},
		"good and empty":          {204, "", "", "", ""},
		"another status":          {201, "application/json", "3", `{"name":"ann"}`, "the status 201 is not documented"},
		"another media type":      {200, "text/html", "3", `{"name":"ann"}`, "the media type"},
		"no media type":           {200, "", "3", `{"name":"ann"}`, "the media type"},
		"a header missing":        {200, "application/json", "", `{"name":"ann"}`, "the header X-Count is missing"},
		"a header of words":       {200, "application/json", "secret", `{"name":"ann"}`, "the header X-Count is not a number"},
		"a header out of range":   {200, "application/json", "12345", `{"name":"ann"}`, "the header X-Count"},
		"a body that is none":     {200, "application/json", "3", "secret", "the body is not JSON"},
		"a text that is too long": {200, "application/json", "3", `{"name":"secret"}`, "/name breaks maxLength"},
		"a field missing":         {200, "application/json", "3", `{}`, "/name breaks required"},
		"a field too many":        {200, "application/json", "3", `{"name":"ann","x":"secret"}`, "breaks properties"},
		"the wrong type":          {200, "application/json", "3", `{"name":12345}`, "/name breaks type"},
		"the wrong format":        {200, "application/json", "3", `{"name":"ann","tags":["secret"]}`, "/tags/0 breaks format"},
		"a body where none is":    {204, "", "", "secret", "the answer has a body"},
	} {
		header := http.Header{}
		for name, value := range map[string]string{"Content-Type": c.mediaType, "X-Count": c.count} {
			if value != "" {
				header.Set(name, value)
			}
		}
		err := op.CheckResponse(c.status, header, []byte(c.body))
		if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: got %v, want %q", name, err, c.reason)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "12345")) {
			t.Errorf("%s: the fault repeats the value: %v", name, err)
		}
	}
}

// openapi.yaml itself: it is valid, examples included, and keeps those of its house rules that hold
// a request or an answer within bounds. The others are the linter's.
func TestOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err = doc.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation()); err != nil {
		t.Error(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if len(op.Tags) != 1 || op.Summary == "" || op.Description == "" || op.OperationID == "" {
				t.Errorf("%s %s lacks a tag, a summary, a description or an operationId", method, path)
			}
			if op.RequestBody != nil {
				for _, content := range op.RequestBody.Value.Content {
					if content.Example == nil && len(content.Examples) == 0 {
						t.Errorf("%s %s: the body has no example", method, path)
					}
				}
			}
			for status, response := range op.Responses.Map() {
				for _, content := range response.Value.Content {
					if content.Example == nil && len(content.Examples) == 0 {
						t.Errorf("%s %s: the answer %s has no example", method, path, status)
					}
				}
			}
		}
	}
	for name, schema := range doc.Components.Schemas {
		bounded(t, name, schema.Value)
	}
}

// bounded reports texts, numbers and lists without an end.
func bounded(t *testing.T, where string, s *openapi3.Schema) {
	t.Helper()
	switch {
	case s.Type.Is(openapi3.TypeString) && s.MaxLength == nil:
		t.Errorf("%s has no maxLength", where)
	case (s.Type.Is(openapi3.TypeInteger) || s.Type.Is(openapi3.TypeNumber)) && (s.Min == nil || s.Max == nil):
		t.Errorf("%s has no range", where)
	case s.Type.Is(openapi3.TypeArray):
		if s.MaxItems == nil {
			t.Errorf("%s has no maxItems", where)
		}
		bounded(t, where+"[]", s.Items.Value)
	case s.Type.Is(openapi3.TypeObject) && s.Properties == nil:
		t.Errorf("%s is an object of anything", where)
	}
	for name, property := range s.Properties {
		bounded(t, where+"."+name, property.Value)
	}
}

// holder is a caller with those scopes.
type holder []string

// HasScope implements Caller.
func (h holder) HasScope(scope string) bool { return slices.Contains(h, scope) }

// headerScheme finds a caller behind a header: its words are scopes, "bad" is refused.
func headerScheme(name string) Scheme {
	return func(_ context.Context, r *http.Request) (Caller, error) {
		switch value := r.Header.Get(name); value {
		case "":
			return nil, nil
		case "bad":
			return nil, problem.New(problem.InvalidToken, "bad")
		default:
			return holder(strings.Fields(value)), nil
		}
	}
}

// OpenAPI 3.0.3 §4.8.30: one alternative is enough, all schemes of an alternative are needed.
func TestAlternativesOfSecurity(t *testing.T) {
	for name, c := range map[string]struct {
		security, a, b string
		want           problem.Code // "" for being let in
		anonymous      bool
	}{
		"one scheme":                      {"[{ A: [r] }]", "r", "", "", false},
		"nobody":                          {"[{ A: [r] }]", "", "r", problem.Unauthenticated, false},
		"too little":                      {"[{ A: [r, w] }]", "r", "", problem.InsufficientScope, false},
		"refused":                         {"[{ A: [r] }]", "bad", "", problem.InvalidToken, false},
		"both, with both":                 {"[{ A: [r], B: [w] }]", "r", "w", "", false},
		"both, with the first":            {"[{ A: [r], B: [w] }]", "r", "", problem.Unauthenticated, false},
		"both, with the second":           {"[{ A: [r], B: [w] }]", "", "w", problem.Unauthenticated, false},
		"both, one refused":               {"[{ A: [r], B: [w] }]", "r", "bad", problem.InvalidToken, false},
		"either, with the second":         {"[{ A: [r] }, { B: [w] }]", "", "w", "", false},
		"either, the first refused":       {"[{ A: [r] }, { B: [w] }]", "bad", "w", "", false},
		"either, none":                    {"[{ A: [r] }, { B: [w] }]", "", "", problem.Unauthenticated, false},
		"either, one refused":             {"[{ A: [r] }, { B: [w] }]", "", "bad", problem.InvalidToken, false},
		"either, one with too little":     {"[{ A: [r] }, { B: [w] }]", "bad", "r", problem.InsufficientScope, false},
		"optional, none":                  {"[{}, { A: [r] }]", "", "", "", true},
		"optional, with one":              {"[{}, { A: [r] }]", "r", "", "", false},
		"optional, refused":               {"[{}, { A: [r] }]", "bad", "", problem.InvalidToken, false},
		"optional, with too little":       {"[{}, { A: [r] }]", "w", "", "", true},
		"public, whatever is sent":        {"[]", "bad", "bad", "", true},
		"of the document, where none own": {"", "", "w", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			document := "openapi: 3.0.3\ninfo: { title: t, version: '1' }\nsecurity: [{ B: [w] }]\npaths:\n  /x:\n    get:\n      operationId: getX\n      responses: { '204': { description: d } }\n"
			if c.security != "" {
				document += "      security: " + c.security + "\n"
			}
			scheme := "{ type: oauth2, flows: { password: { tokenUrl: /t, scopes: { r: read, w: write } } } }"
			document += "components: { securitySchemes: { A: " + scheme + ", B: " + scheme + " } }"
			contract, err := Compile([]byte(document), map[string]Scheme{"A": headerScheme("A"), "B": headerScheme("B")})
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Header: http.Header{"A": {c.a}, "B": {c.b}}}
			caller, err := contract.Operation("getX").authorize(context.Background(), r)
			refusal, _ := errors.AsType[*problem.Error](err)
			if (err == nil) != (c.want == "") || refusal != nil && refusal.Code != c.want || err == nil && (caller == nil) != c.anonymous {
				t.Errorf("got %v, %v; want %q", caller, err, c.want)
			}
		})
	}
}

// A sentence about a body is made from the schema: it never holds what was sent, whatever rule that
// breaks.
func TestSentencesAboutBodies(t *testing.T) {
	document := strings.Replace(small, "properties: { name: { type: string, format: email } }", `properties:
                short: { type: string, maxLength: 3 }
                long: { type: string, minLength: 30 }
                digits: { type: string, pattern: '^[0-9]+$' }
                color: { type: string, enum: [red] }
                mail: { type: string, format: email }
                low: { type: integer, maximum: 9 }
                high: { type: integer, minimum: 99999999 }
                even: { type: integer, multipleOf: 2 }
                above: { type: integer, minimum: 7654321, exclusiveMinimum: true }
                few: { type: array, maxItems: 1, items: { type: string } }
                many: { type: array, minItems: 9, items: { type: string } }
                set: { type: array, uniqueItems: true, items: { type: string } }
                one: { oneOf: [{ type: integer }, { type: boolean }] }
                no: { not: { type: string } }
                deep: { type: object, additionalProperties: false, properties: { a: { type: integer } } }`, 1)
	c, err := compile(document)
	if err != nil {
		t.Fatal(err)
	}
	const secret, number = "hunter2-secret", float64(7654321)
	two := []any{secret, secret}
	for field, value := range map[string]any{
		"short": secret, "long": secret, "digits": secret, "color": secret, "mail": secret, "low": number, "high": number,
		"even": number, "above": number, "few": two, "many": two, "set": two, "one": secret, "no": secret,
		"deep/a": map[string]any{"a": secret}, "deep/b": map[string]any{"b": secret}, "unknown": secret,
	} {
		top, _, _ := strings.Cut(field, "/")
		p, ok := errors.AsType[*problem.Error](c.Operation("putThing").CheckBody(map[string]any{top: value}))
		if !ok || p.Code != problem.ValidationFailed || !slices.ContainsFunc(p.Fields, func(f problem.FieldError) bool { return f.Pointer == "/"+field }) {
			t.Errorf("%s: got %+v", field, p)
			continue
		}
		said := fmt.Sprintf("%+v %v", *p, p)
		if strings.Contains(said, "secret") || field != "above" && strings.Contains(said, "7654321") || strings.Contains(said, "7.654321e+06") && field != "above" {
			t.Errorf("%s: the error repeats the value: %s", field, said)
		}
	}
}
