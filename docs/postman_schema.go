package docs

import (
	"fmt"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"
)

// jsonSchema makes the JSON Schema (draft 7) of one of OpenAPI 3.0, which is a dialect of its own. What
// it refers to comes with it, under definitions.
func jsonSchema(root, schema *yaml.Node) (any, error) {
	var document any
	if err := schema.Decode(&document); err != nil {
		return nil, err
	}
	c := &schemaConverter{root: root, definitions: map[string]any{}}
	converted := c.convert(document)
	if object, ok := converted.(map[string]any); ok && len(c.definitions) > 0 {
		object["definitions"] = c.definitions
	}
	return converted, c.err
}

type schemaConverter struct {
	root        *yaml.Node
	definitions map[string]any
	err         error
}

// asItIs are the keywords that mean the same in both.
var asItIs = []string{
	"type", "enum", "required", "pattern", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems",
	"minProperties", "maxProperties", "minimum", "maximum", "multipleOf",
}

// formats are those of JSON Schema, which Postman checks. It refuses to work with others.
var formats = map[any]bool{"date": true, "date-time": true, "email": true, "uri": true, "uuid": true}

func (c *schemaConverter) convert(schema any) any {
	from, ok := schema.(map[string]any)
	if !ok { // a boolean
		return schema
	}
	if ref, ok := from["$ref"].(string); ok {
		return c.refer(ref)
	}
	to := map[string]any{}
	for _, keyword := range asItIs {
		if v, ok := from[keyword]; ok {
			to[keyword] = v
		}
	}
	if formats[from["format"]] {
		to["format"] = from["format"]
	}
	for _, keyword := range []string{"items", "additionalProperties", "not"} {
		if v, ok := from[keyword]; ok {
			to[keyword] = c.convert(v)
		}
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		if parts, ok := from[keyword].([]any); ok {
			var converted []any
			for _, part := range parts {
				converted = append(converted, c.convert(part))
			}
			to[keyword] = converted
		}
	}
	if properties, ok := from["properties"].(map[string]any); ok {
		converted := map[string]any{}
		for name, property := range properties {
			converted[name] = c.convert(property)
		}
		to["properties"] = converted
	}
	for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		if from[exclusive] == true {
			to[exclusive] = to[bound]
			delete(to, bound)
		}
	}
	if from["nullable"] != true {
		return to
	}
	return orNull(to)
}

// orNull is the schema, and null besides.
func orNull(schema map[string]any) any {
	if _, typed := schema["type"]; !typed {
		return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	nullable := maps.Clone(schema)
	nullable["type"] = []any{schema["type"], "null"}
	if enum, ok := schema["enum"].([]any); ok {
		nullable["enum"] = append(enum[:len(enum):len(enum)], nil)
	}
	return nullable
}

// refer converts the schema that ref names, once.
func (c *schemaConverter) refer(ref string) any {
	name, ok := strings.CutPrefix(ref, "#/components/schemas/")
	target := find(c.root, "components", "schemas", name)
	if !ok || target == nil {
		c.err = fmt.Errorf("openapi.yaml: %s is not a schema of components", ref)
		return nil
	}
	if _, known := c.definitions[name]; !known {
		c.definitions[name] = nil // for a schema that refers to itself
		var document any
		if err := target.Decode(&document); err != nil {
			c.err = err
			return nil
		}
		c.definitions[name] = c.convert(document)
	}
	return map[string]any{"$ref": "#/definitions/" + name}
}
