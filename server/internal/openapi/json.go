package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// jsonReader reads JSON into the nodes that YAML has, with the line of each. A YAML parser would refuse or damage JSON: it
// does not know surrogate pairs (\ud83c\udf89), and forbids tabs.
type jsonReader struct {
	name    string
	text    []byte
	decoder *jsontext.Decoder
	offset  int64 // up to which line counts
	line    int
	nodes   int
}

// looksLikeJSON reports whether a text begins as a JSON object does. A YAML flow mapping begins in the same way.
func looksLikeJSON(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
}

func parseJSON(name string, text []byte) (*yaml.Node, error) {
	r := &jsonReader{name: name, text: text, decoder: jsontext.NewDecoder(bytes.NewReader(text)), line: 1}
	root, err := r.value(0)
	if err == nil {
		if _, err = r.decoder.ReadToken(); errors.Is(err, io.EOF) {
			return root, nil
		}
		if err == nil {
			err = r.fault("a second value follows the document; leave one")
		}
	}
	return nil, r.explain(err)
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	token, err := r.decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, r.fault(tooLarge)
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.here()}
	switch token.Kind() {
	case '{':
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		return n, r.members(n, '}', depth)
	case '[':
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		return n, r.members(n, ']', depth)
	case '"':
		if n.Tag, n.Value = "!!str", token.String(); n.Value == "<<" {
			n.Style = yaml.DoubleQuotedStyle // no merge key
		}
	case '0':
		n.Value = token.String() // YAML reads the literal alike
	default: // true, false, null
		n.Value = token.String()
	}
	return n, nil
}

func (r *jsonReader) members(n *yaml.Node, end jsontext.Kind, depth int) error {
	for r.decoder.PeekKind() != end {
		child, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := r.decoder.ReadToken()
	return err
}

// here returns the line of the last token.
func (r *jsonReader) here() int {
	end := r.decoder.InputOffset()
	r.line += bytes.Count(r.text[r.offset:end], []byte("\n"))
	r.offset = end
	return r.line
}

func (r *jsonReader) fault(text string) error {
	return &fault{r.name, r.here(), string(r.decoder.StackPointer()), text}
}

// explain words an error of the decoder.
func (r *jsonReader) explain(err error) error {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &fault{r.name, 1 + bytes.Count(r.text, []byte("\n")), "", "the JSON ends too early; the file may be cut off"}
		}
		return err
	}
	at := min(int(syntax.ByteOffset), len(r.text))
	f := &fault{r.name, 1 + bytes.Count(r.text[:at], []byte("\n")), string(syntax.JSONPointer), ""}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		f.text = "the key " + strconv.Quote(syntax.JSONPointer.LastToken()) + " is there twice; remove one"
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.text = "the JSON ends too early; the file may be cut off"
	case !utf8.Valid(r.text):
		f.text = "the text is not UTF-8; save the file as UTF-8"
	default:
		f.text = fmt.Sprintf("is not valid JSON: %v", syntax.Err)
	}
	return f
}
