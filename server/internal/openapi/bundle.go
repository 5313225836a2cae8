package openapi

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// bundler walks through a document by its grammar. It reports members of a wrong type and references to nothing, and
// repairs them. It moves what other files hold into the components.
type bundler struct {
	name   string
	open   Opener
	root   *yaml.Node
	files  map[string]*yaml.Node // by their name; "" is the document
	moved  map[string]string     // the reference to what was moved, by its file and pointer
	names  map[string]int        // how many components were moved, by their section and name
	ends   map[*yaml.Node]bool   // nodes whose chain of references has an end
	index  index
	faults []*fault
	nodes  int
}

// place is where a node is, and its file.
type place struct {
	parent *place
	key    string
	file   string
	depth  int
}

func (p *place) member(key string) *place { return &place{p, key, p.file, p.depth + 1} }

func (p *place) pointer() string {
	if p.parent == nil {
		return ""
	}
	return p.parent.pointer() + "/" + escapePointer(p.key)
}

// maxPasses bounds the walks through a document: a removed part can leave references to nothing, and so on.
const maxPasses = 10

var errTooLarge = errors.New(tooLarge)

// bundle completes a document of a shape, "document" or "swagger", and returns its faults.
func bundle(name, shape string, root *yaml.Node, open Opener) ([]*fault, error) {
	b := &bundler{
		name: name, open: open, root: root, files: map[string]*yaml.Node{"": root}, moved: map[string]string{},
		names: map[string]int{},
	}
	for before, pass := -1, 0; before < len(b.faults) && pass < maxPasses; pass++ { // what was removed may have been referred to
		before, b.nodes = len(b.faults), 0
		b.ends, b.index = map[*yaml.Node]bool{}, index{}
		if _, err := b.walk(root, shape, &place{}); err != nil {
			return nil, err
		}
	}
	return b.faults, nil
}

func (b *bundler) fault(n *yaml.Node, at *place, format string, args ...any) *fault {
	name := b.name
	if at.file != "" {
		name = path.Join(path.Dir(b.name), at.file)
	}
	return &fault{name, n.Line, at.pointer(), fmt.Sprintf(format, args...)}
}

func (b *bundler) report(f *fault) { b.faults = append(b.faults, f) }

// walk checks and completes a node of a shape. It reports false if the node has another shape and must be removed.
func (b *bundler) walk(n *yaml.Node, shape string, at *place) (bool, error) {
	if b.nodes++; b.nodes > maxNodes || at.depth > maxDepth {
		return false, b.fault(n, at, tooLarge)
	}
	if shape == "" || shape == "any" { // a $ref in there is data; a mock may send it to every origin
		return true, nil
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return true, nil // the same as absent
	}
	if ref := value(n, "$ref"); ref != nil && (ref.Kind == yaml.ScalarNode || grammar[shape] != nil) && !strings.HasSuffix(shape, "any") {
		if then, err := b.reference(n, shape, at); then != goOn || err != nil {
			return then == keep, err
		}
	}
	switch shape[0] {
	case '[':
		return b.list(n, shape[1:], at)
	case '{', '(':
		return b.entries(n, shape, at)
	}
	switch shape {
	case "mapping":
		return b.mapping(n, at)
	case "types":
		return b.types(n, at), nil
	case "bound": // true or false in OpenAPI 3.0, a number in 3.1
		if n.ShortTag() == "!!bool" {
			return true, nil
		}
		return b.scalar(n, "number", at), nil
	case "text", "flag", "number":
		return b.scalar(n, shape, at), nil
	}
	return b.object(n, shape, at)
}

func (b *bundler) list(n *yaml.Node, shape string, at *place) (bool, error) {
	if n.Kind != yaml.SequenceNode {
		b.report(b.fault(n, at, "must be a list, but is %s", kindOf(n)))
		return false, nil
	}
	kept := n.Content[:0]
	for i, item := range n.Content {
		ok, err := b.walk(item, shape, at.member(strconv.Itoa(i)))
		if err != nil {
			return false, err
		}
		if ok && shape != "any" && item.ShortTag() == "!!null" { // an empty security requirement would let everybody in
			b.report(b.fault(item, at.member(strconv.Itoa(i)), "is empty; remove it, or write what belongs here"))
			continue
		}
		if ok {
			kept = append(kept, item)
		}
	}
	n.Content = kept
	return true, nil
}

func (b *bundler) entries(n *yaml.Node, shape string, at *place) (bool, error) {
	return b.each(n, at, func(name string, v *yaml.Node) string {
		if shape[0] == '(' && strings.HasPrefix(name, "x-") {
			return "any"
		}
		if shape[1:] != "any" && v.ShortTag() == "!!null" && grammar[shape[1:]] != nil {
			*v = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: v.Line} // nothing is said about it
		}
		return shape[1:]
	})
}

func (b *bundler) object(n *yaml.Node, shape string, at *place) (bool, error) {
	if shape == "schema" && n.ShortTag() == "!!bool" { // true and false are schemas
		return true, nil
	}
	parts := grammar[shape]
	return b.each(n, at, func(name string, _ *yaml.Node) string {
		if inner, ok := parts[name]; ok {
			return inner
		}
		if strings.HasPrefix(name, "x-") {
			return "any"
		}
		return parts["*"]
	})
}

// each walks through the members of a mapping, and removes those of a wrong shape.
func (b *bundler) each(n *yaml.Node, at *place, shape func(name string, v *yaml.Node) string) (bool, error) {
	if n.Kind != yaml.MappingNode {
		b.report(b.fault(n, at, "must be a mapping, but is %s", kindOf(n)))
		return false, nil
	}
	content := n.Content
	var kept []*yaml.Node
	for i := 0; i+1 < len(content); i += 2 {
		key, v := content[i], content[i+1]
		ok, err := b.walk(v, shape(key.Value, v), at.member(key.Value))
		if err != nil {
			return false, err
		}
		if ok {
			kept = append(kept, key, v)
		}
	}
	n.Content = append(kept, n.Content[len(content):]...) // components may have been added
	return true, nil
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case len(n.Value) > 40:
		return "a longer text"
	}
	return n.Value
}

// scalar checks text, true or false, and numbers. Numbers are text where text belongs, since YAML reads version: 1.0 as one.
func (b *bundler) scalar(n *yaml.Node, shape string, at *place) bool {
	tag, want, says := n.ShortTag(), "!!str", "text"
	switch shape {
	case "flag":
		want, says = "!!bool", "true or false"
	case "number":
		want, says = "!!float", "a number"
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		b.report(b.fault(n, at, "must be %s, but is %s", says, kindOf(n)))
		return false
	case tag == want || shape == "number" && tag == "!!int":
		return true
	case shape == "text":
		n.Tag = want
		return true
	}
	b.report(b.fault(n, at, "must be %s, but is %s", says, kindOf(n)))
	plain := yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(n.Value), Line: n.Line}
	if tag = plain.ShortTag(); tag == want || shape == "number" && tag == "!!int" { // quoted
		*n = plain
		return true
	}
	return false
}

// types checks the type of a schema: one, or a list in OpenAPI 3.1.
func (b *bundler) types(n *yaml.Node, at *place) bool {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, item := range list {
		known := slices.Contains([]string{"array", "boolean", "integer", "null", "number", "object", "string"}, item.Value)
		file := item.Value == "file" && value(b.root, "swagger") != nil
		if item.Kind != yaml.ScalarNode || !known && !file {
			b.report(b.fault(item, at, "must be array, boolean, integer, null, number, object or string, but is %s", kindOf(item)))
			return false
		}
		item.Tag = "!!str" // null is a value in YAML
	}
	return true
}

// mapping checks the values of a discriminator, which are names of schemas or references to them. It removes those that lead
// nowhere.
func (b *bundler) mapping(n *yaml.Node, at *place) (bool, error) {
	if ok, err := b.each(n, at, func(string, *yaml.Node) string { return "text" }); !ok || err != nil {
		return ok, err
	}
	var kept []*yaml.Node
	var failed error
	each(n, func(name string, key, v *yaml.Node) {
		if strings.ContainsAny(v.Value, "/#.") && b.index.lookUp(b.root, "/components/schemas/"+escapePointer(v.Value)) == nil {
			ref := mapping("$ref", scalar(v.Value))
			ref.Content[1].Line = v.Line
			_, err := b.walk(ref, "schema", at.member(name))
			failed = errors.Join(failed, err)
			target := value(ref, "$ref")
			if target == nil {
				return
			}
			v.Value = target.Value
		}
		kept = append(kept, key, v)
	})
	n.Content = kept
	return true, failed
}
