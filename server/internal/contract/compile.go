package contract

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
	// mediaMultipart is how browsers send FormData (RFC 7578).
	mediaMultipart = "multipart/form-data"
)

// compiler compiles a document and collects its faults.
type compiler struct {
	doc          *openapi3.T
	schemes      map[string]Scheme
	own          func(method, route string) bool // nil if no operation is the server's own
	foreign      bool                            // the current operation is not the server's own, so the document need not describe its shapes completely
	anyone       bool                            // nor who may call it
	scopes       map[string]bool
	who          Scopes                    // all but Declared
	descriptions map[string]string         // of the scopes
	checked      map[*openapi3.Schema]bool // against endless recursion
	prepared     map[*openapi3.Schema]bool
	faults       []error
	unenforced   map[string]bool // keywords of OpenAPI 3.1
	ignored      []error         // faults of a document that is taken as it comes
}

func (c *compiler) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

// open reports what a document does not specify. That is a fault for the server's own operations alone.
func (c *compiler) open(format string, args ...any) {
	if !c.foreign {
		c.fault(format, args...)
	}
}

// unguarded reports an operation without a decision about who may call it.
func (c *compiler) unguarded(format string, args ...any) {
	if !c.anyone {
		c.fault(format, args...)
	}
}

func (c *compiler) operation(method, path string, item *openapi3.PathItem) *Operation {
	source := item.GetOperation(method)
	op := &Operation{ID: source.OperationID, Method: method, Path: path, Foreign: c.foreign, Document: source, responses: map[int]response{}}
	if op.ID == "" {
		op.ID = method + " " + path
		c.open("%s: no operationId", op.ID)
	}
	c.security(op, source)
	c.demand(op, source)
	// A parameter of the operation replaces that of the path with the same name and place.
	inherited := slices.DeleteFunc(slices.Clone(item.Parameters), func(ref *openapi3.ParameterRef) bool {
		return source.Parameters.GetByInAndName(ref.Value.In, ref.Value.Name) != nil
	})
	for _, ref := range slices.Concat(inherited, source.Parameters) {
		op.parameters = append(op.parameters, ref.Value)
		if ref.Value.In == openapi3.ParameterInQuery && !c.foreign {
			op.query = append(op.query, ref.Value.Name)
		}
		c.schema(op, ref.Value.Name, ref.Value.Schema)
	}
	op.lenient, _ = source.Extensions["x-ignore-unknown"].(bool)
	if source.RequestBody != nil {
		c.body(op, source.RequestBody.Value)
	}
	for status, ref := range source.Responses.Map() {
		c.response(op, status, ref.Value)
	}
	if _, ok := op.responses[400].content.find("text/html"); ok && !c.foreign {
		op.Pages = true
	}
	if refusal, ok := op.responses[400].content.find(mediaJSON); ok && (c.own == nil || !c.foreign) {
		op.OAuthErrors = !c.foreign || isOAuthError(refusal)
	}
	return op
}

// security compiles an operation's alternatives. An operation without security, its own or the document's default, is a
// fault and not public.
func (c *compiler) security(op *Operation, source *openapi3.Operation) {
	alternatives := source.Security
	if alternatives == nil {
		if len(c.doc.Security) == 0 {
			c.unguarded("%s: no security, neither its own nor the document's; write security: [] if anyone may call it", op.ID)
			op.anonymous = c.anyone
			return
		}
		alternatives = &c.doc.Security
	}
	op.anonymous = len(*alternatives) == 0
	for _, alternative := range *alternatives {
		if len(alternative) == 0 { // {}
			op.anonymous = true
			continue
		}
		var r requirement
		for _, name := range slices.Sorted(maps.Keys(alternative)) {
			scheme := c.schemes[name]
			if c.anyone && scheme == nil {
				c.ignored = append(c.ignored, fmt.Errorf("%s: the security scheme %s is not declared; it is ignored", op.ID, name))
				continue
			}
			if c.doc.Components.SecuritySchemes[name] == nil || scheme == nil {
				c.fault("%s: the security scheme %s is not declared, or the server does not know it", op.ID, name)
			}
			for _, scope := range alternative[name] {
				if !c.scopes[scope] {
					c.unguarded("%s: the scope %s is not declared", op.ID, scope)
					c.scopes[scope] = true
				}
			}
			r = append(r, struct {
				scheme Scheme
				scopes []string
			}{scheme, alternative[name]})
		}
		if op.security = append(op.security, r); len(r) == 0 {
			op.anonymous = true
		}
	}
}

func (c *compiler) body(op *Operation, source *openapi3.RequestBody) {
	if !oneShape(source.Content) {
		c.open("%s: the request body has %d media types; one is enforced, or the two of a form with one schema", op.ID, len(source.Content))
	}
	op.body = &body{required: source.Required, own: !c.foreign, query: map[string]bool{}}
	for _, parameter := range op.parameters {
		if parameter.In == openapi3.ParameterInQuery {
			op.body.query[parameter.Name] = true
		}
	}
	for mediaType, content := range source.Content {
		validated := IsJSON(mediaType) || isForm(mediaType, !c.foreign) || c.foreign && isRange(mediaType)
		if !validated || content == nil || content.Schema == nil {
			c.open("%s: a request body is JSON or a form, with a schema; %s is not", op.ID, mediaType)
			op.body.schemas.add(mediaType, nil)
			continue
		}
		c.schema(op, "body", content.Schema)
		if isForm(mediaType, !c.foreign) && !ofTexts(content.Schema.Value) {
			c.open("%s: a form is an object of strings", op.ID)
			op.body.schemas.add(mediaType, nil)
			continue
		}
		if IsJSON(mediaType) && !c.foreign && !op.lenient {
			c.closed(op, "body", content.Schema.Value, map[*openapi3.Schema]bool{})
		}
		op.body.schemas.add(mediaType, content.Schema.Value)
	}
}

// oneShape reports whether a body is of one media type, or a form of either kind with the same schema.
func oneShape(content openapi3.Content) bool {
	form, parts := content[mediaForm], content[mediaMultipart]
	return len(content) == 1 ||
		len(content) == 2 && form != nil && parts != nil && form.Schema != nil && parts.Schema != nil && form.Schema.Value == parts.Schema.Value
}

// ofTexts reports whether a form can be validated against a schema, which must have strings alone. The encodings of numbers
// and lists are not supported.
func ofTexts(s *openapi3.Schema) bool {
	for _, property := range s.Properties {
		if !property.Value.Type.Is(openapi3.TypeString) {
			return false
		}
	}
	return len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) == 0
}

// isOAuthError reports whether a schema describes an error of RFC 6749 §5.2, whose member error is a text. Many documents
// have errors of their own in application/json.
func isOAuthError(s *openapi3.Schema) bool {
	for _, part := range madeOf([]*openapi3.Schema{s}) {
		code, description := part.Properties["error"], part.Properties["error_description"]
		if code != nil && description != nil && code.Value != nil && code.Value.Type.Is(openapi3.TypeString) {
			return true
		}
	}
	return false
}

// closed requires additionalProperties: false of every object in a JSON body. An unknown field is a mistake of the client,
// which would otherwise believe that the server used it. Forms are different: OAuth requires servers to ignore unknown
// parameters. So does RFC 7591 §2 for the metadata of clients, whose operation says x-ignore-unknown.
func (c *compiler) closed(op *Operation, where string, s *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	if seen[s] {
		return
	}
	seen[s] = true
	if s.Type.Is(openapi3.TypeObject) && (s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has) {
		c.fault("%s: %s must say additionalProperties: false", op.ID, where)
	}
	for name, property := range s.Properties {
		c.closed(op, where+"."+name, property.Value, seen)
	}
	if s.Items != nil {
		c.closed(op, where+"[]", s.Items.Value, seen)
	}
}

func (c *compiler) response(op *Operation, status string, source *openapi3.Response) {
	code, err := strconv.Atoi(strings.TrimSuffix(strings.ToUpper(status), "XX")) // 4XX is kept as 4
	if status == "default" {
		code, err = 0, nil
	}
	if err != nil || code < 100 && !c.foreign {
		c.open("%s: the answer %q is not a status", op.ID, status)
		return
	}
	r := response{headers: map[string]*openapi3.Schema{}}
	for mediaType, content := range source.Content {
		if content == nil || content.Schema == nil {
			c.open("%s: %s has no schema", op.ID, status)
			r.content.add(mediaType, openapi3.NewSchema()) // accepts anything
			continue
		}
		c.schema(op, status, content.Schema)
		r.content.add(mediaType, content.Schema.Value)
	}
	for name, ref := range source.Headers {
		if ref.Value.Schema != nil {
			c.prepare(ref.Value.Schema.Value)
			r.headers[name] = ref.Value.Schema.Value
		}
	}
	op.responses[code] = r
}

// schema reports string formats without a check, and what of a foreign schema is not enforced.
func (c *compiler) schema(op *Operation, where string, ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil {
		c.open("%s: %s has no schema", op.ID, where)
		return
	}
	s := ref.Value
	c.prepare(s)
	if c.checked[s] {
		return
	}
	c.checked[s] = true
	if _, known := formats[s.Format]; s.Format != "" && s.Type.Is(openapi3.TypeString) && !known {
		c.open("%s: %s: nothing checks the string format %s", op.ID, where, s.Format)
	}
	c.pattern(op, where, s)
	if c.foreign {
		c.foreignSchema(s)
	}
	for name, property := range s.Properties {
		c.schema(op, where+"."+name, property)
	}
	if s.Items != nil {
		c.schema(op, where+"[]", s.Items)
	}
	if s.AdditionalProperties.Schema != nil {
		c.schema(op, where+".*", s.AdditionalProperties.Schema)
	}
	for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
		c.schema(op, where, part)
	}
}

// pattern reports a pattern that the validator cannot compile, for which it would refuse every value.
func (c *compiler) pattern(op *Operation, where string, s *openapi3.Schema) {
	if s.Pattern == "" {
		return
	}
	probe := &openapi3.Schema{Pattern: s.Pattern}
	if e, ok := errors.AsType[*openapi3.SchemaError](probe.VisitJSON("")); !ok || e.Origin == nil {
		return
	}
	const reason = "%s: %s: the pattern %s is not a regular expression that Go supports: it has lookahead or backreferences, or is not valid"
	if c.own != nil { // the author can change it
		c.fault(reason, op.ID, where, s.Pattern)
		return
	}
	c.ignored = append(c.ignored, fmt.Errorf(reason+"; it is not enforced", op.ID, where, s.Pattern))
	s.Pattern = ""
}

// foreignSchema makes the validator enforce const, which it knows as an enum alone, and notes the keywords that it does not
// enforce.
func (c *compiler) foreignSchema(s *openapi3.Schema) {
	if s.Const != nil && len(s.Enum) == 0 {
		s.Enum = []any{s.Const}
	}
	for keyword, used := range map[string]bool{
		"if": s.If != nil, "contains": s.Contains != nil, "prefixItems": len(s.PrefixItems) > 0, "patternProperties": len(s.PatternProperties) > 0,
		"propertyNames": s.PropertyNames != nil, "dependentSchemas": len(s.DependentSchemas) > 0, "dependentRequired": len(s.DependentRequired) > 0,
		"unevaluatedItems":      s.UnevaluatedItems.Schema != nil || s.UnevaluatedItems.Has != nil,
		"unevaluatedProperties": s.UnevaluatedProperties.Schema != nil || s.UnevaluatedProperties.Has != nil,
	} {
		if used {
			c.unenforced[keyword] = true
		}
	}
}
