package mock

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	// fullDepth is the depth up to which a sample has optional properties. Recursive schemas have no end, and some others hold
	// half of a large document.
	fullDepth = 4
	// maxSampleDepth is the maximum depth of a sample.
	maxSampleDepth = 12
)

// samplesOf has a value for each string format.
var samplesOf = map[string]string{
	"uuid": "019ad827-9c2f-713a-a564-7e27e6b20354", "email": "ann@example.com", "uri": "https://example.com/",
	"url": "https://example.com/", "date-time": "2026-11-24T14:11:00Z", "date": "2026-11-24", "time": "14:11:00Z",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "hostname": "example.com", "byte": "c2VzYW1l", "duration": "PT10M",
}

// sample returns a value that fits a schema: its example, default or first enum value, or a value made from its type and
// bounds. It is the same at every call. It may not match a pattern.
func sample(ref *openapi3.SchemaRef) any { return sampleAt(ref, 0) }

func sampleAt(ref *openapi3.SchemaRef, depth int) any {
	if ref == nil || ref.Value == nil || depth > maxSampleDepth {
		return nil
	}
	s := ref.Value
	switch {
	case s.Example != nil:
		return s.Example
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Const != nil:
		return s.Const
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AllOf) > 0:
		return sampleAll(s, depth)
	case len(s.OneOf) > 0:
		return sampleAt(s.OneOf[0], depth+1)
	case len(s.AnyOf) > 0:
		return sampleAt(s.AnyOf[0], depth+1)
	case s.Type.Includes(openapi3.TypeObject) || len(s.Properties) > 0:
		return sampleObject(s, depth)
	case s.Type.Includes(openapi3.TypeArray):
		return sampleArray(s, depth)
	case s.Type.Includes(openapi3.TypeString):
		return sampleString(s)
	case s.Type.Includes(openapi3.TypeInteger), s.Type.Includes(openapi3.TypeNumber):
		return sampleNumber(s)
	case s.Type.Includes(openapi3.TypeBoolean):
		return true
	}
	return nil
}

// sampleAll joins the parts of an allOf with the properties beside it.
func sampleAll(s *openapi3.Schema, depth int) any {
	all := sampleObject(s, depth)
	for _, part := range s.AllOf {
		value := sampleAt(part, depth+1)
		object, ok := value.(map[string]any)
		if !ok {
			return value // an allOf around one type that is no object, which adds a description to it
		}
		maps.Copy(all, object)
	}
	return all
}

func sampleObject(s *openapi3.Schema, depth int) map[string]any {
	object := map[string]any{}
	for name, property := range s.Properties {
		if property.Value == nil || property.Value.WriteOnly {
			continue
		}
		if depth > fullDepth && !slices.Contains(s.Required, name) {
			continue
		}
		object[name] = sampleAt(property, depth+1)
	}
	return object
}

func sampleArray(s *openapi3.Schema, depth int) any {
	items := make([]any, 0, 1)
	if s.Items == nil || s.MaxItems != nil && *s.MaxItems == 0 || depth > fullDepth && s.MinItems == 0 {
		return items
	}
	for range max(s.MinItems, 1) {
		items = append(items, sampleAt(s.Items, depth+1))
	}
	return items
}

func sampleString(s *openapi3.Schema) string {
	text, known := samplesOf[s.Format]
	if !known {
		text = "string"
	}
	if short := int(min(s.MinLength, 10_000)) - len(text); short > 0 {
		text += strings.Repeat("x", short)
	}
	if s.MaxLength != nil && uint64(len(text)) > *s.MaxLength {
		text = text[:*s.MaxLength]
	}
	return text
}

func sampleNumber(s *openapi3.Schema) any {
	low, high := 0.0, math.Inf(1)
	if s.Min != nil {
		low = *s.Min
	}
	if s.Max != nil {
		high = *s.Max
	}
	if bound := s.ExclusiveMin; bound.Value != nil {
		low = *bound.Value + 1
	} else if bound.IsTrue() {
		low++
	}
	value := math.Min(math.Max(low, 1), high)
	if s.MultipleOf != nil && *s.MultipleOf > 0 {
		value = math.Ceil(low / *s.MultipleOf) * *s.MultipleOf
	}
	if s.Type.Includes(openapi3.TypeInteger) {
		return int64(math.Ceil(value))
	}
	return value
}
