package contract

import (
	"mime"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// mediaTypes are the media types of a body or a response.
type mediaTypes []declaredType

// declaredType is a media type or a range, such as image/*, of the document.
type declaredType struct {
	name    string           // as the document writes it
	essence string           // in lower case, without parameters
	schema  *openapi3.Schema // nil if the content is not validated
}

func (m *mediaTypes) add(name string, schema *openapi3.Schema) {
	*m = append(*m, declaredType{name, essence(name), schema})
	slices.SortFunc(*m, func(a, b declaredType) int { return strings.Compare(a.name, b.name) })
}

// find returns the schema for the media type of a message, which is in lower case and has no parameters. The more specific
// of two ranges wins: application/json, then application/*+json, then application/*, then */*.
func (m mediaTypes) find(mediaType string) (schema *openapi3.Schema, ok bool) {
	best := -1
	for _, declared := range m {
		if rank := covers(declared.essence, mediaType); rank > best {
			best, schema, ok = rank, declared.schema, true
		}
	}
	return schema, ok
}

// names lists the media types for an error.
func (m mediaTypes) names() string {
	names := make([]string, len(m))
	for i, declared := range m {
		names[i] = declared.name
	}
	return strings.Join(names, " or ")
}

// covers reports whether a declared type or range covers a media type, by a number that is higher for a narrower range. It
// is negative if it does not.
func covers(declared, mediaType string) int {
	if declared == mediaType {
		return 3
	}
	kind, rest, _ := strings.Cut(declared, "/")
	given, subtype, _ := strings.Cut(mediaType, "/")
	switch {
	case declared == "*/*" || declared == "*":
		return 0
	case kind != given || !strings.HasPrefix(rest, "*"):
		return -1
	case rest == "*":
		return 1
	case rest[1] == '+' && (strings.HasSuffix(subtype, rest[1:]) || subtype == rest[2:]): // application/json is one of application/*+json
		return 2
	}
	return -1
}

// essence returns a media type in lower case and without parameters.
func essence(mediaType string) string {
	if parsed, _, err := mime.ParseMediaType(mediaType); err == nil {
		return parsed
	}
	mediaType, _, _ = strings.Cut(mediaType, ";")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// IsJSON reports whether a media type is application/json, or has the suffix +json (RFC 6839 §3.1), whatever its case and
// its parameters. The range application/*+json is JSON, too.
func IsJSON(mediaType string) bool {
	mediaType = essence(mediaType)
	return mediaType == mediaJSON || strings.HasSuffix(mediaType, "+json")
}

// isForm reports whether bodies of a media type are read as forms. Of multipart forms, those of the server's own operations
// alone are.
func isForm(mediaType string, own bool) bool {
	kind := essence(mediaType)
	return kind == mediaForm || own && kind == mediaMultipart
}

// isRange reports whether a declared media type is a range that may be JSON or a form.
func isRange(mediaType string) bool { return strings.Contains(mediaType, "*") }
