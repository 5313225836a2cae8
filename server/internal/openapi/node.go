package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a document, after aliases are expanded. They are far above any document that people write; a few lines of
// nested aliases can exceed every bound.
const (
	maxNodes = 1_000_000
	maxDepth = 200
)

// parse returns the mapping of a document, without aliases, merge keys and anchors. It fails for documents that Merge cannot
// handle, so that the functions after it find mappings where OpenAPI wants them.
func parse(d Document) (*yaml.Node, error) {
	document, err := parseText(d)
	if err != nil {
		return nil, err
	}
	if document.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is no OpenAPI document: it is not a mapping", d.Name)
	}
	r := &expander{name: d.Name}
	if err = r.checkRefs(document); err != nil {
		return nil, err
	}
	version := value(document, "openapi")
	if version == nil || !strings.HasPrefix(version.Value, "3.0.") {
		return nil, fmt.Errorf("%s must be an OpenAPI 3.0 document, with openapi: 3.0.3 at its beginning", d.Name)
	}
	return document, r.checkStructure(document)
}

// checkStructure reports what Merge cannot handle.
func (r *expander) checkStructure(document *yaml.Node) error {
	return errors.Join(r.checkKinds(document), r.checkCase(document))
}

// fields are those to which Merge adds, or that it compares.
var fields = strings.Fields("openapi info servers paths components security tags externalDocs schemas responses parameters examples " +
	"requestBodies headers securitySchemes links callbacks get put post delete options head patch trace operationId")

// checkCase reports names such as Paths. Decoders of JSON, such as that of the contract, can take them for paths, so that one
// of two would be lost.
func (r *expander) checkCase(document *yaml.Node) error {
	var errs []error
	check := func(_ string, _, n *yaml.Node) {
		each(n, func(name string, key, _ *yaml.Node) {
			for _, field := range fields {
				if name != field && strings.EqualFold(name, field) {
					errs = append(errs, fmt.Errorf("%s, line %d: write %s in place of %s", r.name, key.Line, field, name))
				}
			}
		})
	}
	check("", nil, document)
	check("", nil, value(document, "components"))
	each(value(document, "paths"), func(_ string, key, item *yaml.Node) {
		check("", key, item)
		operations(item, func(operation *yaml.Node) { check("", nil, operation) })
	})
	return errors.Join(errs...)
}

// checkKinds checks the parts to which Merge adds. null is the same as an empty mapping or list, but for security: an empty
// list there would make the operations public.
func (r *expander) checkKinds(document *yaml.Node) error {
	var errs []error
	check := func(where string, kind yaml.Kind, n *yaml.Node) {
		if n != nil && n.ShortTag() == "!!null" && where != "security" {
			*n = yaml.Node{Kind: kind, Line: n.Line, HeadComment: n.HeadComment, LineComment: n.LineComment, FootComment: n.FootComment}
		}
		if n != nil && n.Kind != kind {
			errs = append(errs, fmt.Errorf("%s, line %d: %s must be a %s", r.name, n.Line, where, map[yaml.Kind]string{yaml.MappingNode: "mapping", yaml.SequenceNode: "list"}[kind]))
		}
	}
	check("servers", yaml.SequenceNode, value(document, "servers"))
	check("security", yaml.SequenceNode, value(document, "security"))
	check("tags", yaml.SequenceNode, value(document, "tags"))
	check("paths", yaml.MappingNode, value(document, "paths"))
	check("components", yaml.MappingNode, value(document, "components"))
	each(value(document, "components"), func(kind string, _, part *yaml.Node) {
		if !strings.HasPrefix(kind, "x-") {
			check("components/"+kind, yaml.MappingNode, part)
		}
	})
	return errors.Join(errs...)
}

// write returns a document as text, and makes sure that it reads as what it is: the library misplaces a few comments
// inside of flow collections, such as [a, # b]. Such a document loses its comments.
func write(document *yaml.Node) ([]byte, error) {
	text, err := encode(document)
	if err == nil {
		var again *yaml.Node
		if again, err = parse(Document{"the document", text}); err == nil && same(again, document) {
			return text, nil
		}
	}
	uncommented(document)
	unstyled(document)
	if text, err = encode(document); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return text, nil
}

func encode(document *yaml.Node) ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(document)
	return text.Bytes(), errors.Join(err, encoder.Close())
}

// unstyled gives a node the plain block style.
func unstyled(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		unstyled(child)
	}
}

func uncommented(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		uncommented(child)
	}
}

// each calls f for the members of a mapping. Other nodes, and nil, have none. f may add members.
func each(n *yaml.Node, f func(name string, key, value *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	content := n.Content
	for i := 0; i+1 < len(content); i += 2 {
		f(content[i].Value, content[i], content[i+1])
	}
}

// operations calls f for the operations of a path item.
func operations(item *yaml.Node, f func(operation *yaml.Node)) {
	each(item, func(method string, _, operation *yaml.Node) {
		if slices.Contains([]string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}, method) {
			f(operation)
		}
	})
}

// items returns the items of a list. Other nodes, and nil, have none.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// entry returns the member of a mapping, or nil.
func entry(n *yaml.Node, name string) (key, found *yaml.Node) {
	each(n, func(member string, k, v *yaml.Node) {
		if member == name {
			key, found = k, v
		}
	})
	return key, found
}

func value(n *yaml.Node, name string) *yaml.Node {
	_, v := entry(n, name)
	return v
}

func set(n *yaml.Node, name string, v *yaml.Node) { insert(n, "", name, v) }

// insert adds a member to a mapping in front of another one, or at the end.
func insert(n *yaml.Node, before, name string, v *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	at := len(n.Content)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == before {
			at = i
			break
		}
	}
	n.Content = slices.Insert(n.Content, at, scalar(name), v)
}

// valueOrNew returns a mapping that is a member, which it adds if there is none. The mapping gets the block style, for
// what will be added to it.
func valueOrNew(n *yaml.Node, name string) *yaml.Node {
	v := value(n, name)
	if v == nil {
		v = &yaml.Node{Kind: yaml.MappingNode}
		set(n, name, v)
	}
	v.Style = 0
	return v
}

func remove(n *yaml.Node, name string) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

func mapping(name string, v *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(name), v}}
}

// same reports whether two nodes have the same value, whatever their style, their comments and the order of their keys.
func same(a, b *yaml.Node) bool {
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return a == b
	}
	switch a.Kind {
	case yaml.ScalarNode:
		return a.Value == b.Value && a.ShortTag() == b.ShortTag()
	case yaml.MappingNode:
		members := make(map[string]*yaml.Node, len(b.Content)/2)
		each(b, func(name string, _, v *yaml.Node) { members[name] = v })
		equal := true
		each(a, func(name string, _, v *yaml.Node) { equal = equal && same(v, members[name]) })
		return equal
	}
	return slices.EqualFunc(a.Content, b.Content, same)
}
