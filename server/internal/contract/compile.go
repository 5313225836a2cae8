package contract

import (
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
)

// compiler collects what is wrong with a document while it compiles it.
type compiler struct {
	doc     *openapi3.T
	schemes map[string]Scheme
	own     func(method, route string) bool // nil if no operation is the server's own
	foreign bool                            // of the operation that is being compiled: what the document leaves open of its shapes is not a fault
	anyone  bool                            // nor is what it leaves open of who may call
	scopes  map[string]bool
	who     Scopes                    // all but Declared
	checked map[*openapi3.Schema]bool // a schema may hold itself
	faults  []error
}

func (c *compiler) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf(format, args...))
}

// open reports what a document leaves open, which only our own must not.
func (c *compiler) open(format string, args ...any) {
	if !c.foreign {
		c.fault(format, args...)
	}
}

// unguarded reports what a document leaves open about who may call.
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
	// A parameter of the operation stands in for one of its path that has its name and place.
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
	if source.RequestBody != nil {
		c.body(op, source.RequestBody.Value)
	}
	for status, ref := range source.Responses.Map() {
		c.response(op, status, ref.Value)
	}
	if _, ok := op.responses[400].content[mediaJSON]; ok && (c.own == nil || !c.foreign) {
		op.OAuthErrors = true
	}
	return op
}

// security compiles an operation's alternatives. Without a decision, its own or the document's,
// nobody knows who may call it, so that is a fault and not an open door.
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
		op.security = append(op.security, r)
	}
}

func (c *compiler) body(op *Operation, source *openapi3.RequestBody) {
	if len(source.Content) != 1 {
		c.open("%s: the request body has %d media types; one is enforced", op.ID, len(source.Content))
	}
	op.body = &body{required: source.Required, schemas: map[string]*openapi3.Schema{}, query: map[string]bool{}}
	for _, parameter := range op.parameters {
		if parameter.In == openapi3.ParameterInQuery {
			op.body.query[parameter.Name] = true
		}
	}
	for mediaType, content := range source.Content {
		if !isJSON(mediaType) && mediaType != mediaForm || content == nil || content.Schema == nil {
			c.open("%s: a request body is JSON or a form, with a schema; %s is not", op.ID, mediaType)
			op.body.schemas[mediaType] = nil
			continue
		}
		c.schema(op, "body", content.Schema)
		if mediaType == mediaForm && !ofTexts(content.Schema.Value) {
			c.open("%s: a form is an object of strings", op.ID)
			op.body.schemas[mediaType] = nil
			continue
		}
		if isJSON(mediaType) && !c.foreign {
			c.closed(op, "body", content.Schema.Value, map[*openapi3.Schema]bool{})
		}
		op.body.schemas[mediaType] = content.Schema.Value
	}
}

// ofTexts reports whether a form can be held against a schema as it is sent. How one writes a number or a
// list is a matter of its own (encoding), which is not looked into.
func ofTexts(s *openapi3.Schema) bool {
	for _, property := range s.Properties {
		if !property.Value.Type.Is(openapi3.TypeString) {
			return false
		}
	}
	return len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) == 0
}

// isJSON takes application/json and the types that are written in it (RFC 6839 §3.1).
func isJSON(mediaType string) bool {
	return mediaType == mediaJSON || strings.HasSuffix(mediaType, "+json")
}

// closed wants every object of a JSON body to say additionalProperties: false. OAuth tells servers to
// ignore unknown form parameters; an unknown JSON field is a mistake of the caller, who would
// otherwise believe that it was heard.
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
	r := response{content: map[string]*openapi3.Schema{}, headers: map[string]*openapi3.Schema{}}
	for mediaType, content := range source.Content {
		if content == nil || content.Schema == nil {
			c.open("%s: %s has no schema", op.ID, status)
			r.content[mediaType] = openapi3.NewSchema() // which takes anything
			continue
		}
		c.schema(op, status, content.Schema)
		r.content[mediaType] = content.Schema.Value
	}
	for name, ref := range source.Headers {
		if ref.Value.Schema != nil {
			r.headers[name] = ref.Value.Schema.Value
		}
	}
	op.responses[code] = r
}

// schema looks for string formats that nothing would check.
func (c *compiler) schema(op *Operation, where string, ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil {
		c.open("%s: %s has no schema", op.ID, where)
		return
	}
	s := ref.Value
	if c.checked[s] {
		return
	}
	c.checked[s] = true
	if _, known := formats[s.Format]; s.Format != "" && s.Type.Is(openapi3.TypeString) && !known {
		c.open("%s: %s: nothing checks the string format %s", op.ID, where, s.Format)
	}
	for name, property := range s.Properties {
		c.schema(op, where+"."+name, property)
	}
	if s.Items != nil {
		c.schema(op, where+"[]", s.Items)
	}
	for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
		c.schema(op, where, part)
	}
}
