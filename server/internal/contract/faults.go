package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"sesame/server/internal/problem"
)

// IsRequired is the detail for a required field or parameter that is missing.
const IsRequired = "is required"

// maxFields is the maximum number of fields in one error.
const maxFields = 20

// addFields translates an error of the validator. Its texts hold the submitted value, perhaps a password, so the details
// are written from the schema alone.
func addFields(p *problem.Error, prefix string, err error) {
	if len(p.Fields) >= maxFields {
		return
	}
	if list, ok := err.(openapi3.MultiError); ok {
		for _, e := range list {
			addFields(p, prefix, e)
		}
		return
	}
	if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		where := prefix
		for _, part := range e.JSONPointer() {
			where += "/" + escape(part)
		}
		if e.SchemaField == "properties" {
			addUnknown(p, where, e)
			return
		}
		if e.SchemaField == "allOf" && e.Origin != nil { // the fault is in one of the parts
			addFields(p, prefix, e.Origin)
			return
		}
		p.At(pointer(where), explain(e))
		return
	}
	if e, ok := errors.AsType[*openapi3filter.RequestError](err); ok {
		if list, ok := e.Err.(openapi3.MultiError); ok {
			addFields(p, prefix, list)
			return
		}
		if errors.Is(e, openapi3filter.ErrInvalidRequired) {
			p.At(prefix, IsRequired)
			return
		}
		if e.Parameter != nil && e.Parameter.Schema != nil && e.Parameter.Schema.Value.Type != nil { // the text does not have the type
			p.At(prefix, "must be "+strings.Join(e.Parameter.Schema.Value.Type.Slice(), " or "))
			return
		}
	}
	if errors.Is(err, errTooComplex) {
		p.At(prefix, errTooComplex.Error())
		return
	}
	p.At(prefix, "is not valid")
}

// addUnknown adds a field that the schema does not have. The validator names it in its text alone, so it is searched there.
func addUnknown(p *problem.Error, where string, e *openapi3.SchemaError) {
	object, _ := e.Value.(map[string]any)
	for name := range object {
		if e.Schema.Properties[name] == nil && strings.Contains(e.Reason, fmt.Sprintf("%q", name)) {
			p.At(pointer(where+"/"+escape(name)), "is not a field of this request")
			return
		}
	}
	p.At(pointer(where), "has a field that is not one of this request")
}

// explain returns what a schema requires, as the end of a sentence about a field.
func explain(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return IsRequired
	case "type", "nullable":
		return "must be " + strings.Join(s.Type.Slice(), " or ")
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case "pattern":
		return "has characters that are not allowed; it must match " + s.Pattern
	case "format":
		return "must be " + formats[s.Format].name
	case "enum":
		allowed, _ := json.Marshal(s.Enum)
		return "must be one of " + string(allowed)
	case "minimum":
		return fmt.Sprintf("must be at least %v", *s.Min)
	case "maximum":
		return fmt.Sprintf("must be at most %v", *s.Max)
	case "minItems":
		return fmt.Sprintf("must have at least %d items", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("must have at most %d items", *s.MaxItems)
	}
	return "is not valid"
}

// escape writes one part of a JSON Pointer (RFC 6901 §3).
func escape(part string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(part) }

// pointer returns a JSON Pointer without invisible characters and of limited length, because the client chooses its keys.
func pointer(path string) string {
	path = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, path)
	if runes := []rune(path); len(runes) > 200 {
		path = string(runes[:200])
	}
	return path
}
