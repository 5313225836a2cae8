package contract

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The narrowest range that a document declares for a media type counts, whatever the case and the parameters.
func TestMediaTypesAreFound(t *testing.T) {
	t.Parallel()
	var all, few mediaTypes
	for _, name := range []string{"*/*", "application/*", "application/*+json", "Application/JSON; charset=utf-8", "application/vnd.shop+json;v=1", "text/*", "image/png"} {
		all.add(name, &openapi3.Schema{Title: name})
	}
	few.add("application/*+JSON", &openapi3.Schema{Title: "application/*+JSON"})
	few.add("Text/Plain", &openapi3.Schema{Title: "Text/Plain"})
	for mediaType, want := range map[string][2]string{
		"application/json":          {"Application/JSON; charset=utf-8", "application/*+JSON"},
		"application/problem+json":  {"application/*+json", "application/*+JSON"},
		"application/vnd.shop+json": {"application/vnd.shop+json;v=1", "application/*+JSON"},
		"application/xml":           {"application/*", ""},
		"application/jsonp":         {"application/*", ""},
		"text/plain":                {"text/*", "Text/Plain"},
		"image/png":                 {"image/png", ""},
		"image/gif":                 {"*/*", ""},
	} {
		for i, declared := range []mediaTypes{all, few} {
			got := ""
			if schema, ok := declared.find(mediaType); ok {
				got = schema.Title
			}
			if got != want[i] {
				t.Errorf("%s: got %q, want %q", mediaType, got, want[i])
			}
		}
	}
}
