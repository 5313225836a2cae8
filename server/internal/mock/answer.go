package mock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"sesame/server/internal/contract"
)

// answer is a response before it is sent. It is an http.ResponseWriter.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newAnswer(status int) *answer { return &answer{status: status, header: http.Header{}} }

// Header returns the headers.
func (a *answer) Header() http.Header { return a.header }

// Write adds to the body.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// WriteHeader sets the status.
func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) send(c echo.Context) error {
	maps.Copy(c.Response().Header(), a.header)
	c.Response().WriteHeader(a.status)
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		return nil
	}
	_, err := c.Response().Write(a.body.Bytes())
	return err
}

// setJSON makes value the body.
func (a *answer) setJSON(mediaType string, value any) {
	text, err := json.Marshal(value)
	if err != nil { // JSON cannot hold some values of YAML, such as .inf
		text = []byte("null")
	}
	a.body.Reset()
	a.body.Write(text)
	a.header.Set(echo.HeaderContentType, mediaType)
}

// statuses returns the keys of an operation's documented responses: "200", "4XX", "default".
func statuses(op *contract.Operation) []string {
	return slices.Sorted(maps.Keys(op.Document.Responses.Map()))
}

// statusOf returns a status for a key. default is mostly used for errors.
func statusOf(key string) int {
	if status, err := strconv.Atoi(strings.Replace(strings.ToUpper(key), "XX", "00", 1)); err == nil {
		return status
	}
	return http.StatusInternalServerError
}

func isNumber(key string) bool {
	_, err := strconv.Atoi(key)
	return err == nil
}

// responseFor returns the documented response for a status, such as 404: that of 404, 4XX or default, or nil.
func responseFor(op *contract.Operation, status int) *openapi3.Response {
	responses := op.Document.Responses
	hundred := strconv.Itoa(status / 100)
	for _, key := range []string{strconv.Itoa(status), hundred + "XX", hundred + "xx", "default"} {
		if ref := responses.Value(key); ref != nil && ref.Value != nil {
			return ref.Value
		}
	}
	return nil
}

// success returns the response to a valid request: the lowest 2xx, or the lowest 3xx, or the default, or an empty 200.
func (m *samples) success(op *contract.Operation) *answer {
	keys := statuses(op)
	for _, digit := range []string{"2", "3", "d"} {
		for _, key := range keys {
			if strings.HasPrefix(key, digit) {
				status := statusOf(key)
				if digit == "d" {
					status = http.StatusOK
				}
				return m.compose(op.Document.Responses.Value(key).Value, status, "")
			}
		}
	}
	return newAnswer(http.StatusOK)
}

// undocumented returns an error that the document does not have, as a proxy may send it.
func undocumented(status int) *answer {
	a := newAnswer(status)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		a.header.Set(echo.HeaderRetryAfter, "1")
	}
	a.setJSON("application/problem+json", map[string]any{ // RFC 9457 §4.2.1
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": "The contract does not document this status for this operation; Prefer asked for it.",
	})
	return a
}

// compose makes an answer from a documented response, with the example of that name if there is one.
func (m *samples) compose(response *openapi3.Response, status int, example string) *answer {
	a := newAnswer(status)
	for name, header := range response.Headers {
		if header.Value == nil {
			continue
		}
		if value, _ := m.best(header.Value.Example, header.Value.Examples, header.Value.Schema); value != nil {
			a.header.Set(name, headerText(value))
		}
	}
	mediaType, content := mainContent(response.Content)
	if content == nil {
		if mediaType != "" {
			a.header.Set(echo.HeaderContentType, mediaType)
		}
		return a
	}
	value := m.content(content, example)
	if contract.IsJSON(mediaType) {
		a.setJSON(mediaType, value)
		return a
	}
	a.header.Set(echo.HeaderContentType, mediaType)
	if text, ok := value.(string); ok { // other values would need a conversion
		a.body.WriteString(text)
	}
	return a
}

// headerText writes a value as a header has it (style simple).
func headerText(value any) string {
	switch value := value.(type) {
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any:
		texts := make([]string, len(value))
		for i, item := range value {
			texts[i] = headerText(item)
		}
		return strings.Join(texts, ",")
	case map[string]any:
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			texts = append(texts, name, headerText(value[name]))
		}
		return strings.Join(texts, ",")
	}
	return fmt.Sprint(value)
}

// mainContent returns the JSON content of a response, or its first, with the media type to send. Only examples in JSON need
// no conversion.
func mainContent(content openapi3.Content) (string, *openapi3.MediaType) {
	types := slices.Sorted(maps.Keys(content))
	for _, isMain := range []func(string) bool{contract.IsJSON, mayBeJSON, func(string) bool { return true }} {
		for _, mediaType := range types {
			if isMain(mediaType) {
				if mayBeJSON(mediaType) {
					return echo.MIMEApplicationJSON, content[mediaType]
				}
				return sendable(mediaType), content[mediaType]
			}
		}
	}
	return "", nil
}

// mayBeJSON reports whether a media type is a range around application/json.
func mayBeJSON(mediaType string) bool {
	kind, subtype, _ := strings.Cut(mediaType, "/")
	return kind == "*" || strings.EqualFold(kind, "application") && strings.HasPrefix(subtype, "*")
}

// sendable returns a type for a range that JSON does not fit, such as image/*.
func sendable(mediaType string) string {
	switch kind, subtype, _ := strings.Cut(mediaType, "/"); {
	case !strings.HasPrefix(subtype, "*"):
		return mediaType
	case strings.EqualFold(kind, "text"):
		return echo.MIMETextPlain
	default:
		return kind + "/octet-stream"
	}
}

// exampleNames returns the names of the examples of a response.
func exampleNames(response *openapi3.Response) []string {
	_, content := mainContent(response.Content)
	if content == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(content.Examples))
}

func (m *samples) content(content *openapi3.MediaType, name string) any {
	if ref := content.Examples[name]; ref != nil && ref.Value != nil {
		return ref.Value.Value
	}
	value, _ := m.best(content.Example, content.Examples, content.Schema)
	return value
}

// best returns the first documented example that fits its schema: the only one, or those in the order of their names,
// or a sample of the schema. The errors name the examples that it passes over.
func (m *samples) best(example any, examples openapi3.Examples, schema *openapi3.SchemaRef) (any, []error) {
	var documented []any
	var broken []error
	if example != nil {
		documented = append(documented, example)
	}
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		if ref := examples[name]; ref.Value != nil && ref.Value.Value != nil {
			documented = append(documented, ref.Value.Value)
		}
	}
	for _, value := range documented {
		if schema == nil || schema.Value == nil {
			return value, nil
		}
		err := contract.Fits(schema.Value, value)
		if err == nil {
			return value, broken
		}
		broken = append(broken, fmt.Errorf("the example is not used: %w", err))
	}
	if schema == nil {
		return map[string]any{}, nil
	}
	value, more := m.sample(schema)
	if len(documented) > 0 && contract.Fits(schema.Value, value) != nil {
		return documented[0], broken
	}
	return value, append(broken, more...)
}
