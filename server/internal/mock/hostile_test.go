package mock

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A schema that contains itself without a type, and one whose parts are doubled forty times, would take the whole memory, or
// years, of the validator. The mock starts, and answers.
func TestNoSchemaHoldsTheMockUp(t *testing.T) {
	t.Parallel()
	doubled := func(keyword, last string) string {
		var b strings.Builder
		b.WriteString(`"A": {"$ref": "#/components/schemas/A0"}`)
		for i := range 40 {
			next := fmt.Sprintf(`{"$ref": "#/components/schemas/A%d"}`, i+1)
			fmt.Fprintf(&b, `, "A%d": {%q: [%s, %s]}`, i, keyword, next, next)
		}
		return b.String() + `, "A40": ` + last
	}
	for name, schemas := range map[string]string{
		"allOf of itself":               `"A": {"allOf": [{"$ref": "#/components/schemas/A"}]}`,
		"alternatives of each other":    `"A": {"oneOf": [{"$ref": "#/components/schemas/B"}]}, "B": {"anyOf": [{"$ref": "#/components/schemas/A"}]}`,
		"not itself":                    `"A": {"not": {"$ref": "#/components/schemas/A"}}`,
		"properties without a type":     `"A": {"properties": {"next": {"$ref": "#/components/schemas/A"}}}`,
		"map of itself without a type":  `"A": {"additionalProperties": {"$ref": "#/components/schemas/A"}}`,
		"items of itself, without type": `"A": {"items": {"$ref": "#/components/schemas/A"}}`,
		"if itself":                     `"A": {"properties": {"b": {"if": {"$ref": "#/components/schemas/A"}}}}`,
		"doubled allOf":                 doubled("allOf", `{"type": "object", "properties": {"x": {"type": "string"}}}`),
		"doubled allOf of nothing":      doubled("allOf", `{}`),
		"doubled oneOf":                 doubled("oneOf", `{"type": "object", "properties": {"x": {"type": "string"}}}`),
		"doubled anyOf":                 doubled("anyOf", `{"type": "integer"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, send := startText(t, "api.json", fmt.Sprintf(`{"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"post": {
				"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}},
				"parameters": [{"name": "q", "in": "query", "schema": {"$ref": "#/components/schemas/A"}}],
				"responses": {"200": {"description": "D", "headers": {"X-A": {"schema": {"$ref": "#/components/schemas/A"}}},
				"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}}}}, "components": {"schemas": {%s}}}`, schemas))
			m.Faults()
			if got := send(http.MethodPost, "/a", "application/json", `{"x": "y"}`).Code; got != http.StatusOK && got != http.StatusUnprocessableEntity {
				t.Errorf("POST /a = %d; want 200 or 422", got)
			}
		})
	}
}
