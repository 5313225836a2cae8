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

// answer is an answer before it is sent. It can be written to like a real one.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newAnswer(status int) *answer { return &answer{status: status, header: http.Header{}} }

// Header and the two methods after it implement http.ResponseWriter.
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
	if err != nil { // an example that YAML can hold and JSON cannot, such as .inf
		text = []byte("null")
	}
	a.body.Reset()
	a.body.Write(text)
	a.header.Set(echo.HeaderContentType, mediaType)
}

// statuses are the keys of an operation's documented answers: "200", "4XX", "default".
func statuses(op *contract.Operation) []string {
	return slices.Sorted(maps.Keys(op.Document.Responses.Map()))
}

// statusOf is the status that stands for a key; default is mostly used for errors.
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

// responseFor is the documented answer for a status: its own, that of its hundred, or the default.
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

// success is the answer to a request that is right: the lowest 2xx, else the lowest 3xx, else the
// default, else 200 with nothing.
func success(op *contract.Operation) *answer {
	keys := statuses(op)
	for _, digit := range []string{"2", "3", "d"} {
		for _, key := range keys {
			if strings.HasPrefix(key, digit) {
				status := statusOf(key)
				if digit == "d" {
					status = http.StatusOK
				}
				return compose(op.Document.Responses.Value(key).Value, status, "")
			}
		}
	}
	return newAnswer(http.StatusOK)
}

// undocumented is an error that the document does not have, as something between client and server
// may give it.
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

// compose makes the answer of a documented response, with the example of that name if it has one.
func compose(response *openapi3.Response, status int, example string) *answer {
	a := newAnswer(status)
	for name, header := range response.Headers {
		if value := headerExample(&header.Value.Parameter); value != nil {
			a.header.Set(name, fmt.Sprint(value))
		}
	}
	mediaType, content := mainContent(response.Content)
	if content == nil {
		return a
	}
	value := contentExample(content, example)
	if text, ok := value.(string); ok && !isJSON(mediaType) {
		a.body.WriteString(text)
		a.header.Set(echo.HeaderContentType, mediaType)
		return a
	}
	if !isJSON(mediaType) { // no example that could be sent as it is
		a.header.Set(echo.HeaderContentType, mediaType)
		return a
	}
	a.setJSON(mediaType, value)
	return a
}

// mainContent prefers JSON, the one format whose examples need no conversion.
func mainContent(content openapi3.Content) (string, *openapi3.MediaType) {
	types := slices.Sorted(maps.Keys(content))
	for _, mediaType := range types {
		if isJSON(mediaType) {
			return mediaType, content[mediaType]
		}
	}
	for _, mediaType := range types {
		return strings.Replace(mediaType, "*/*", "application/json", 1), content[mediaType]
	}
	return "", nil
}

func isJSON(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	return mediaType == "application/json" || mediaType == "*/*" || strings.HasSuffix(mediaType, "+json")
}

// exampleNames lists the named examples of an answer.
func exampleNames(response *openapi3.Response) []string {
	_, content := mainContent(response.Content)
	if content == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(content.Examples))
}

func contentExample(content *openapi3.MediaType, name string) any {
	if ref := content.Examples[name]; ref != nil && ref.Value != nil {
		return ref.Value.Value
	}
	if content.Example != nil {
		return content.Example
	}
	if example, ok := firstExample(content.Examples); ok {
		return example
	}
	return sample(content.Schema)
}

func headerExample(p *openapi3.Parameter) any {
	if p.Example != nil {
		return p.Example
	}
	if example, ok := firstExample(p.Examples); ok {
		return example
	}
	return sample(p.Schema)
}

// firstExample is the one whose name comes first: a map has no other order.
func firstExample(examples openapi3.Examples) (any, bool) {
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		if ref := examples[name]; ref.Value != nil {
			return ref.Value.Value, true
		}
	}
	return nil, false
}
