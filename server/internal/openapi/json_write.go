package openapi

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// jsonWriter writes a tree as JSON.
type jsonWriter struct {
	*jsontext.Encoder
	// exact makes it write the numbers of examples that a float64 cannot hold as texts that begin with numberMark.
	exact  bool
	marked bool // it has written such a text
}

func newJSONWriter(w io.Writer, exact bool) *jsonWriter {
	return &jsonWriter{Encoder: jsontext.NewEncoder(w, jsontext.AllowDuplicateNames(true)), exact: exact}
}

// numberMark begins a text that no document has.
const numberMark = "\x00number:"

// write writes a node, which is the value of a key.
func (w *jsonWriter) write(n *yaml.Node, key string) error {
	switch n.Kind {
	case yaml.MappingNode:
		if err := w.WriteToken(jsontext.BeginObject); err != nil {
			return err
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if err := w.WriteToken(jsontext.String(n.Content[i].Value)); err != nil {
				return err
			}
			if err := w.write(n.Content[i+1], n.Content[i].Value); err != nil {
				return err
			}
		}
		return w.WriteToken(jsontext.EndObject)
	case yaml.SequenceNode:
		if err := w.WriteToken(jsontext.BeginArray); err != nil {
			return err
		}
		for _, item := range n.Content {
			if err := w.write(item, key); err != nil {
				return err
			}
		}
		return w.WriteToken(jsontext.EndArray)
	}
	return w.scalar(n, key)
}

// bounds are the keywords of a schema whose values are numbers of the Go type float64.
var bounds = strings.Fields("maximum minimum exclusiveMaximum exclusiveMinimum multipleOf maxLength minLength maxItems minItems maxProperties minProperties maxContains minContains")

func (w *jsonWriter) scalar(n *yaml.Node, key string) error {
	switch n.ShortTag() {
	case "!!null":
		return w.WriteToken(jsontext.Null)
	case "!!bool":
		var flag bool
		if err := n.Decode(&flag); err == nil {
			return w.WriteToken(jsontext.Bool(flag))
		}
	case "!!int", "!!float":
		literal := jsontext.Value(n.Value)
		if !literal.IsValid() || literal.Kind() != '0' { // 0x1f, 1_000, +1, .inf
			var number any
			if err := n.Decode(&number); err == nil {
				literal = fmt.Append(nil, number)
			}
		}
		switch {
		case !literal.IsValid():
		case w.exact && !isFloat(string(literal)) && !slices.Contains(bounds, key):
			w.marked = true
			return w.WriteToken(jsontext.String(numberMark + string(literal)))
		default:
			return w.WriteValue(literal)
		}
	}
	return w.WriteToken(jsontext.String(n.Value)) // dates, too; .inf has no JSON
}

// isFloat reports whether a float64 holds a number of JSON exactly enough: every digit of an integer.
func isFloat(literal string) bool {
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return false
	}
	return len(literal) <= 15 || strings.ContainsAny(literal, ".eE") || strconv.FormatFloat(f, 'f', -1, 64) == literal
}

// restoreNumbers replaces the marked texts in a document by numbers.
func restoreNumbers(doc *openapi3.T) {
	restore(reflect.ValueOf(doc), map[any]bool{})
}

func restore(v reflect.Value, seen map[any]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Interface()] {
			return
		}
		seen[v.Interface()] = true
		restore(v.Elem(), seen)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				restore(v.Field(i), seen)
			}
		}
		if maps, ok := v.Addr().Interface().(interface {
			Map() map[string]*openapi3.PathItem
		}); ok {
			restore(reflect.ValueOf(maps.Map()), seen)
		}
		if maps, ok := v.Addr().Interface().(interface {
			Map() map[string]*openapi3.ResponseRef
		}); ok {
			restore(reflect.ValueOf(maps.Map()), seen)
		}
	case reflect.Slice:
		for i := range v.Len() {
			restore(v.Index(i), seen)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := v.MapIndex(key)
			switch {
			case value.Kind() != reflect.Interface:
				restore(value, seen)
			case !value.IsNil():
				v.SetMapIndex(key, reflect.ValueOf(restored(value.Interface())))
			}
		}
	case reflect.Interface:
		if !v.IsNil() && v.CanSet() {
			v.Set(reflect.ValueOf(restored(v.Interface())))
		}
	}
}

// restored returns a value of JSON with its numbers.
func restored(value any) any {
	switch value := value.(type) {
	case string:
		if literal, ok := strings.CutPrefix(value, numberMark); ok && jsontext.Value(literal).IsValid() && jsontext.Value(literal).Kind() == '0' {
			return json.Number(literal)
		}
	case []any:
		for i, item := range value {
			value[i] = restored(item)
		}
	case map[string]any:
		for name, item := range value {
			value[name] = restored(item)
		}
	}
	return value
}
