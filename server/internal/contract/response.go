package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// response is a documented response.
type response struct {
	content mediaTypes // empty for no body
	headers map[string]*openapi3.Schema
}

// CheckResponse reports differences between a response and the document: an undeclared status or media type, a missing
// header, a body that does not fit its schema. The error holds no value of the response.
func (op *Operation) CheckResponse(status int, header http.Header, body []byte) error {
	declared, ok := op.responses[status]
	for _, wider := range []int{status / 100, 0} { // 4XX and default
		if !ok {
			declared, ok = op.responses[wider]
		}
	}
	if !ok {
		return fmt.Errorf("%s: the status %d is not documented", op.ID, status)
	}
	var faults []error
	for name, schema := range declared.headers {
		if err := checkHeader(header.Get(name), schema); err != nil {
			faults = append(faults, fmt.Errorf("%s: %d: the header %s %w", op.ID, status, name, err))
		}
	}
	if len(body) == 0 && (status == http.StatusNoContent || status == http.StatusNotModified) { // cannot have one
		return errors.Join(faults...)
	}
	if err := declared.checkBody(header.Get("Content-Type"), body); err != nil {
		faults = append(faults, fmt.Errorf("%s: %d: %w", op.ID, status, err))
	}
	return errors.Join(faults...)
}

func checkHeader(text string, schema *openapi3.Schema) error {
	if text == "" {
		return errors.New("is missing")
	}
	var value any = text
	switch {
	case schema.Type.Includes(openapi3.TypeInteger), schema.Type.Includes(openapi3.TypeNumber):
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return errors.New("is not a number")
		}
	case schema.Type.Includes(openapi3.TypeBoolean):
		if value = text == "true"; text != "true" && text != "false" {
			return errors.New("is not true or false")
		}
	case schema.Type.Includes(openapi3.TypeArray), schema.Type.Includes(openapi3.TypeObject):
		return nil // has a style of its own
	}
	_, err := visitJSON(schema, value, formatOption)
	return withoutValue(err)
}

func (r response) checkBody(contentType string, body []byte) error {
	if len(r.content) == 0 {
		if len(body) > 0 {
			return errors.New("the answer has a body, and none is documented")
		}
		return nil
	}
	mediaType := essence(contentType)
	schema, ok := r.content.find(mediaType)
	if !ok {
		return fmt.Errorf("the media type %q is not documented", mediaType)
	}
	if !IsJSON(mediaType) { // only foreign documents declare such types
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return errors.New("the body is not JSON")
	}
	_, err := visitJSON(schema, value, formatOption, openapi3.MultiErrors(), openapi3.VisitAsResponse())
	return withoutValue(err)
}

// withoutValue returns the place and the rule of a validator's error without the value that it quotes.
func withoutValue(err error) error {
	if list, ok := err.(openapi3.MultiError); ok {
		faults := make([]error, len(list))
		for i, e := range list {
			faults[i] = withoutValue(e)
		}
		return errors.Join(faults...)
	}
	if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		return innermost(e)
	}
	return err
}

// innermost names the place and the rule of an error, and for allOf those in the part that is broken.
func innermost(e *openapi3.SchemaError) error {
	if e.SchemaField == "allOf" {
		if inner, ok := errors.AsType[*openapi3.SchemaError](e.Origin); ok && inner != e {
			return innermost(inner)
		}
	}
	return fmt.Errorf("/%s breaks %s", strings.Join(e.JSONPointer(), "/"), e.SchemaField)
}

// Fits reports how a value of a response differs from its schema. The error holds nothing of the value.
func Fits(schema *openapi3.Schema, value any) error {
	_, err := FitsCounted(schema, value)
	return err
}

// FitsCounted is Fits with the number of schemas that were compared with the value and its parts.
func FitsCounted(schema *openapi3.Schema, value any) (visits int, err error) {
	visits, err = visitJSON(schema, value, formatOption, openapi3.VisitAsResponse())
	return visits, withoutValue(err)
}
