package contract

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/problem"
)

// checkCase refuses keys that are a property's name in other letters. A schema that allows further properties takes them
// for one of these, which it does not look into, but encoding/json takes them for the property itself: so a value that
// was never checked would reach a handler. schemas are those that the value may be held against.
func checkCase(schemas []*openapi3.Schema, value any, where string, invalid *problem.Error) {
	all := madeOf(schemas)
	switch value := value.(type) {
	case []any:
		items := parts(all, func(s *openapi3.Schema) *openapi3.SchemaRef { return s.Items })
		for i, item := range value {
			checkCase(items, item, where+"/"+strconv.Itoa(i), invalid)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			members := parts(all, func(s *openapi3.Schema) *openapi3.SchemaRef { return s.Properties[key] })
			if len(members) == 0 {
				if name := foldedName(all, key); name != "" {
					invalid.At(pointer(where+"/"+escape(key)), fmt.Sprintf("is not a property; did you mean %s?", name))
					return // one for each object: a body holds thousands of keys
				}
				members = parts(all, func(s *openapi3.Schema) *openapi3.SchemaRef { return s.AdditionalProperties.Schema })
			}
			checkCase(members, value[key], where+"/"+escape(key), invalid)
		}
	}
}

// foldedName is a property whose name differs from a key in letters alone, as encoding/json compares them.
func foldedName(schemas []*openapi3.Schema, key string) string {
	for _, s := range schemas {
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if strings.EqualFold(name, key) {
				return name
			}
		}
	}
	return ""
}

// parts gives a part of each schema that has it.
func parts(schemas []*openapi3.Schema, part func(*openapi3.Schema) *openapi3.SchemaRef) (all []*openapi3.Schema) {
	for _, s := range schemas {
		if ref := part(s); ref != nil && ref.Value != nil {
			all = append(all, ref.Value)
		}
	}
	return all
}

// madeOf gives schemas and those in their allOf, anyOf and oneOf, each once: a schema may hold itself.
func madeOf(schemas []*openapi3.Schema) (all []*openapi3.Schema) {
	for queue := slices.Clone(schemas); len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		if slices.Contains(all, s) {
			continue
		}
		all = append(all, s)
		for _, ref := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
			if ref.Value != nil {
				queue = append(queue, ref.Value)
			}
		}
	}
	return all
}
