package mock

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/contract"
)

const (
	// fullDepth is the depth up to which a sample has optional properties. Recursive schemas have no end, and some others hold
	// half of a large document.
	fullDepth = 4
	// maxSampleDepth is the maximum depth of a sample.
	maxSampleDepth = 12
	// maxSampleValues is the maximum number of values that are made for one sample, those that were tried included.
	maxSampleValues = 20_000
	// maxSampleItems and maxSampleText bound what minItems and minLength can demand.
	maxSampleItems = 100
	maxSampleText  = 10_000
	// maxBranches is the number of alternatives of a oneOf or anyOf that are tried.
	maxBranches = 30
)

// samples has the samples of a document's schemas. A large document has the same schemas in many responses.
type samples struct {
	mu    sync.Mutex
	known map[sampleKey]known
}

type sampleKey struct {
	schema *openapi3.Schema
	depth  int
}

type known struct {
	value any
	size  int // values in it, and those that were tried
	err   error
}

func newSamples() *samples { return &samples{known: map[sampleKey]known{}} }

// sample returns a sample of a schema, and the errors of documented values that it could not use. It must not be changed.
func (m *samples) sample(ref *openapi3.SchemaRef) (value any, broken []error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &sampler{left: maxSampleValues, known: m.known}
	value = p.value(ref, 0)
	if p.left <= 0 {
		p.broken = append(p.broken, fmt.Errorf("the schema needs a sample of more than %d values; give an example", maxSampleValues))
	}
	return value, p.broken
}

// sampler makes a value that fits a schema: an example, default, const or enum value of the document, or a value made
// from the type and the bounds. It makes the same value at every call.
type sampler struct {
	left   int // values that may be made
	path   []string
	broken []error // documented values that break their schema
	known  map[sampleKey]known
}

func (p *sampler) value(ref *openapi3.SchemaRef, depth int) any {
	if ref == nil || ref.Value == nil || depth > maxSampleDepth || p.left <= 0 {
		return nil
	}
	key := sampleKey{ref.Value, depth}
	k, ok := p.known[key]
	if ok {
		p.left -= k.size
	} else {
		before, broken := p.left, len(p.broken)
		k.value = p.make(ref.Value, depth)
		if k.size = before - p.left; len(p.broken) > broken {
			k.err = p.broken[broken]
			p.broken = p.broken[:broken]
		}
		if p.left > 0 { // else it is not complete
			p.known[key] = k
		}
	}
	if k.err != nil {
		p.broken = append(p.broken, k.err)
	}
	return k.value
}

func (p *sampler) make(s *openapi3.Schema, depth int) any {
	p.left--
	documented := documentedValues(s)
	for _, value := range documented {
		err := p.fits(s, value)
		if err == nil {
			return value
		}
		p.broken = append(p.broken, fmt.Errorf("an example at /%s is not used: %w", strings.Join(p.path, "/"), err))
	}
	made := p.choose(s, depth)
	if len(documented) > 0 && p.fits(s, made) != nil {
		return documented[0]
	}
	return made
}

// visitsPerValue is how many comparisons with a schema cost as much as a value.
const visitsPerValue = 100

// fits is contract.Fits, at the cost of a part of the values that may be made.
func (p *sampler) fits(s *openapi3.Schema, value any) error {
	visits, err := contract.FitsCounted(s, value)
	p.left -= visits / visitsPerValue
	return err
}

// at is value for a part of the sample.
func (p *sampler) at(name string, ref *openapi3.SchemaRef, depth int) any {
	p.path = append(p.path, name)
	defer func() { p.path = p.path[:len(p.path)-1] }()
	return p.value(ref, depth)
}

func documentedValues(s *openapi3.Schema) []any {
	var values []any
	if s.Example != nil {
		values = append(values, s.Example)
	}
	values = append(values, s.Examples...)
	for _, value := range []any{s.Const, s.Default} {
		if value != nil {
			values = append(values, value)
		}
	}
	return append(values, s.Enum...)
}

// choose tries the alternatives of oneOf and anyOf, with and without optional properties, until a value fits.
func (p *sampler) choose(s *openapi3.Schema, depth int) any {
	f := flatten(s)
	var first any
	branches := 1
	for _, choice := range f.choices {
		branches = max(branches, min(len(choice), maxBranches))
	}
	broken := len(p.broken)
	for _, minimal := range []bool{false, true} {
		for i := range branches {
			if value, ok := p.alternative(f, i, depth); ok && !minimal && p.fits(s, value) == nil {
				return value
			}
			value := p.made(f.branch(i), depth, minimal)
			if p.fits(s, value) == nil {
				return value
			}
			if i == 0 && !minimal {
				first, broken = value, len(p.broken)
			}
			if p.left <= 0 {
				return first
			}
		}
		if f.simple() && !isObject(&f.Schema) {
			break // there are no optional properties
		}
	}
	p.broken = p.broken[:min(broken, len(p.broken))]
	return first
}

// alternative makes a sample of one alternative by itself, with the properties beside it.
func (p *sampler) alternative(f *flat, i, depth int) (any, bool) {
	if len(f.choices) != 1 || i >= len(f.choices[0]) {
		return nil, false
	}
	ref := f.choices[0][i]
	value := p.value(ref, depth+1)
	object, ok := value.(map[string]any)
	if !ok {
		return value, true
	}
	beside := &flat{Schema: f.Schema, chosen: ref}
	joined := p.object(beside, depth, false)
	maps.Copy(joined, object)
	beside.discriminate(joined, flatten(ref.Value).Properties)
	return joined, true
}

// made makes a value from the type and the bounds of a schema without parts.
func (p *sampler) made(f *flat, depth int, minimal bool) any {
	s := &f.Schema
	if values := documentedValues(s); len(values) > 0 && !f.simple() {
		for _, value := range values {
			if p.fits(s, value) == nil {
				return value
			}
		}
	}
	switch {
	case isObject(s):
		return p.object(f, depth, minimal)
	case s.Type.Includes(openapi3.TypeArray) || s.Type == nil && s.Items != nil || len(s.PrefixItems) > 0:
		return p.array(s, depth)
	case s.Type.Includes(openapi3.TypeString) || s.Type == nil && (s.Format != "" || s.Pattern != "" || s.MinLength > 0 || s.MaxLength != nil):
		text := sampleString(s)
		p.left -= len(text) / 10
		return text
	case s.Type.Includes(openapi3.TypeInteger), s.Type.Includes(openapi3.TypeNumber), s.Type == nil && (s.Min != nil || s.Max != nil):
		return sampleNumber(s)
	case s.Type.Includes(openapi3.TypeBoolean):
		return true
	case s.Type == nil || len(*s.Type) == 0:
		return map[string]any{} // anything
	}
	return nil // type: 'null'
}

func isObject(s *openapi3.Schema) bool {
	if s.Type == nil {
		return len(s.Properties) > 0 || len(s.Required) > 0 || s.AdditionalProperties.Schema != nil || s.MinProps > 0
	}
	return s.Type.Includes(openapi3.TypeObject)
}

func (p *sampler) object(f *flat, depth int, minimal bool) map[string]any {
	s, object := &f.Schema, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property, required := s.Properties[name], slices.Contains(s.Required, name)
		if property == nil || property.Value == nil || property.Value.WriteOnly || !required && (minimal || depth > fullDepth) {
			continue
		}
		before := len(p.broken)
		value := p.at(name, property, depth+1)
		if !required && p.fits(property.Value, value) != nil {
			if len(p.broken) == before { // else an example is named already
				p.broken = append(p.broken, fmt.Errorf("/%s is left out of the sample: no value for its schema could be made; give an example", strings.Join(append(p.path, name), "/")))
			}
			continue
		}
		object[name] = value
	}
	for _, name := range s.Required {
		if _, described := s.Properties[name]; !described && object[name] == nil {
			object[name] = p.additional(s, name, depth)
		}
	}
	wanted := s.MinProps
	if s.AdditionalProperties.Schema != nil && len(s.Properties) == 0 && !minimal && depth <= fullDepth {
		wanted = max(wanted, 1) // shows the shape
	}
	for i := 1; uint64(len(object)) < min(wanted, maxSampleItems) && i <= maxSampleItems; i++ {
		name := "key" + strconv.Itoa(i)
		object[name] = p.additional(s, name, depth)
	}
	for _, example := range f.examples {
		joined := maps.Clone(object)
		maps.Copy(joined, example)
		if p.fits(s, joined) == nil {
			object = joined
		}
	}
	f.discriminate(object, s.Properties)
	return object
}

// additional makes the value of a property that the schema does not describe by its name.
func (p *sampler) additional(s *openapi3.Schema, name string, depth int) any {
	if s.AdditionalProperties.Schema != nil {
		return p.at(name, s.AdditionalProperties.Schema, depth+1)
	}
	return "string"
}

func (p *sampler) array(s *openapi3.Schema, depth int) any {
	items := make([]any, 0, 1)
	for i, ref := range s.PrefixItems {
		items = append(items, p.at(strconv.Itoa(i), ref, depth+1))
	}
	wanted := s.MinItems
	if depth <= fullDepth {
		wanted = max(wanted, 1)
	}
	if s.MaxItems != nil {
		wanted = min(wanted, *s.MaxItems)
	}
	for i := len(items); s.Items != nil && uint64(i) < min(wanted, maxSampleItems); i++ {
		value := p.at(strconv.Itoa(i), s.Items, depth+1)
		if s.UniqueItems && i > 0 {
			value = another(s.Items.Value, value, items, i)
		}
		if s.MinItems == 0 && p.fits(s.Items.Value, value) != nil {
			break
		}
		items = append(items, value)
	}
	return items
}

// another returns a value that is not in a list yet.
func another(s *openapi3.Schema, value any, list []any, n int) any {
	candidates := append([]any{value}, s.Enum...)
	switch value := value.(type) {
	case string:
		candidates = append(candidates, value+strconv.Itoa(n))
	case float64:
		candidates = append(candidates, value+float64(n))
	case bool:
		candidates = append(candidates, !value)
	}
	for _, candidate := range candidates {
		known := slices.ContainsFunc(list, func(v any) bool { return reflect.DeepEqual(v, candidate) })
		if !known && (s == nil || contract.Fits(s, candidate) == nil) {
			return candidate
		}
	}
	return value
}
