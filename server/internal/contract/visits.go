package contract

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxVisits is how many schemas the validator may visit for one value. It tries each alternative of a oneOf or anyOf, and the one
// that fits a second time, so that a schema that contains itself takes a multiple of the time with every level of the value: a
// client could keep a core busy for hours with one small body.
const maxVisits = 300_000

// maxNested is how many schemas may be parts of each other, in allOf and the like, for one value.
const maxNested = 500

var errTooComplex = errors.New("is too complex: its schema has too many alternatives for values that are nested so deeply")

// visitJSON is the method of the validator, within maxVisits. It also returns the number of visits.
func visitJSON(s *openapi3.Schema, value any, options ...openapi3.SchemaValidationOption) (visits int, err error) {
	c := visitCounter{left: maxVisits}
	if c.count(s, value); c.left <= 0 {
		return maxVisits, errTooComplex
	}
	return maxVisits - c.left, s.VisitJSON(value, options...)
}

// visitCounter counts as the validator visits.
type visitCounter struct {
	left   int
	active []*openapi3.Schema // those for the present value; the validator stops at a schema that contains itself
}

func (c *visitCounter) count(s *openapi3.Schema, value any) {
	if s == nil || c.left <= 0 || slices.Contains(c.active, s) {
		return
	}
	if c.left -= 1 + len(s.Enum)/16; len(c.active) > maxNested {
		c.left = 0
	}
	c.active = append(c.active, s)
	defer func() { c.active = c.active[:len(c.active)-1] }()
	c.ref(s.Not, value)
	c.alternatives(s, s.OneOf, value)
	c.alternatives(s, s.AnyOf, value)
	for _, part := range s.AllOf {
		c.ref(part, value)
	}
	outside := c.active
	defer func() { c.active = outside }()
	c.active = nil
	switch value := value.(type) {
	case []any:
		for _, item := range value[min(len(s.PrefixItems), len(value)):] {
			c.ref(s.Items, item)
		}
	case map[string]any:
		for name, member := range value {
			if property := s.Properties[name]; property != nil {
				c.ref(property, member)
			} else {
				c.ref(s.AdditionalProperties.Schema, member)
			}
		}
	}
}

func (c *visitCounter) ref(ref *openapi3.SchemaRef, value any) {
	if ref != nil {
		c.count(ref.Value, value)
	}
}

// alternatives counts all of them, and the most expensive one twice.
func (c *visitCounter) alternatives(s *openapi3.Schema, list openapi3.SchemaRefs, value any) {
	chosen, most := discriminated(s, value), 0
	for _, ref := range list {
		if chosen == "" || chosen == ref.Ref {
			before := c.left
			c.ref(ref, value)
			most = max(most, before-c.left)
		}
	}
	c.left -= most
}

// discriminated returns the reference to the only alternative that the validator tries, or "".
func discriminated(s *openapi3.Schema, value any) string {
	object, ok := value.(map[string]any)
	if s.Discriminator == nil || !ok {
		return ""
	}
	name, _ := object[s.Discriminator.PropertyName].(string)
	ref := s.Discriminator.Mapping[name].Ref
	if ref != "" && !strings.Contains(ref, "/") {
		return "#/components/schemas/" + ref
	}
	return ref
}

// prepare makes the validator look into the schemas that have parts and no type. It would otherwise search them for a rule first,
// without an end if one contains itself. Servers of one process share a document (see lastRead): the first that needs a schema
// changes it, and the others find that done.
func (c *compiler) prepare(s *openapi3.Schema) {
	preparing.Lock()
	defer preparing.Unlock()
	c.prepareLocked(s)
}

var preparing sync.Mutex

func (c *compiler) prepareLocked(s *openapi3.Schema) {
	if s == nil || c.prepared[s] {
		return
	}
	c.prepared[s] = true
	refs := slices.Concat(openapi3.SchemaRefs{
		s.Not, s.Items, s.AdditionalProperties.Schema, s.Contains, s.PropertyNames, s.UnevaluatedItems.Schema, s.UnevaluatedProperties.Schema,
		s.If, s.Then, s.Else, s.ContentSchema,
	}, s.OneOf, s.AnyOf, s.AllOf, s.PrefixItems)
	for _, members := range []openapi3.Schemas{s.Properties, s.PatternProperties, s.DependentSchemas} {
		for _, ref := range members {
			refs = append(refs, ref)
		}
	}
	for _, ref := range refs {
		if ref != nil {
			if !s.AllowEmptyValue {
				s.AllowEmptyValue = true // the validator takes it for a rule, and it has no other effect
			}
			c.prepareLocked(ref.Value)
		}
	}
}
