package openapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a document: far more than any that is written by hand.
const (
	maxNodes = 1_000_000
	maxDepth = 200
)

// parse reads a document and gives its mapping, without aliases.
func parse(d Document) (*yaml.Node, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(d.Text, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name, err)
	}
	if root.Kind != yaml.DocumentNode || root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is no OpenAPI document: it is not a mapping", d.Name)
	}
	r := &resolver{name: d.Name}
	document, err := r.expand(root.Content[0], 0)
	if err != nil {
		return nil, err
	}
	version := value(document, "openapi")
	if version == nil || !strings.HasPrefix(version.Value, "3.0.") {
		return nil, fmt.Errorf("%s must be an OpenAPI 3.0 document, with openapi: 3.0.3 at its beginning", d.Name)
	}
	for _, name := range []string{"paths", "components"} {
		if n := value(document, name); n != nil && n.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s, line %d: %s must be a mapping", d.Name, n.Line, name)
		}
	}
	return document, nil
}

// resolver writes aliases out, so that nodes of two documents can be mixed.
type resolver struct {
	name  string
	nodes int
}

func (r *resolver) expand(n *yaml.Node, depth int) (*yaml.Node, error) {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("%s, line %d: the document is too large or too deep, perhaps by its aliases", r.name, n.Line)
	}
	if n.Kind == yaml.AliasNode {
		return r.expand(n.Alias, depth+1)
	}
	plain := *n
	plain.Anchor, plain.Content = "", make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		var err error
		if plain.Content[i], err = r.expand(child, depth+1); err != nil {
			return nil, err
		}
	}
	return &plain, r.check(&plain)
}

// check refuses in a mapping what cannot be merged.
func (r *resolver) check(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	seen := map[string]bool{}
	var errs []error
	each(n, func(name string, key, v *yaml.Node) {
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			errs = append(errs, fmt.Errorf("%s, line %d: the key must be plain text; merge keys (<<) are not supported", r.name, key.Line))
		case seen[name]:
			errs = append(errs, fmt.Errorf("%s, line %d: the key %s is there twice", r.name, key.Line, name))
		case name == "$ref" && v.Kind == yaml.ScalarNode && !strings.HasPrefix(v.Value, "#"):
			errs = append(errs, fmt.Errorf("%s, line %d: $ref %s is outside of the document; bundle it into one file first", r.name, v.Line, v.Value))
		}
		seen[name] = true
	})
	return errors.Join(errs...)
}

// each calls f for the members of a mapping; nil has none.
func each(n *yaml.Node, f func(name string, key, value *yaml.Node)) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	content := n.Content // f may add members
	for i := 0; i+1 < len(content); i += 2 {
		f(content[i].Value, content[i], content[i+1])
	}
}

// entry gives the member of a mapping, or nil.
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

func set(n *yaml.Node, name string, v *yaml.Node) { n.Content = append(n.Content, scalar(name), v) }

// valueOrNew gives the mapping that is a member, and adds an empty one where there is none.
func valueOrNew(n *yaml.Node, name string) *yaml.Node {
	v := value(n, name)
	if v == nil {
		v = &yaml.Node{Kind: yaml.MappingNode}
		set(n, name, v)
	}
	if v.Kind == yaml.MappingNode && len(v.Content) == 0 {
		v.Style = 0 // not {}, which would put all that is added on one line
	}
	return v
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

func mapping(name string, v *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(name), v}}
}

// same reports whether two nodes have the same value, however they are written and in whatever order their keys are.
func same(a, b *yaml.Node) bool {
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) {
		return a == b
	}
	switch a.Kind {
	case yaml.ScalarNode:
		return a.Value == b.Value && a.ShortTag() == b.ShortTag()
	case yaml.MappingNode:
		equal := true
		each(a, func(name string, _, v *yaml.Node) { equal = equal && same(v, value(b, name)) })
		return equal
	}
	return slices.EqualFunc(a.Content, b.Content, same)
}
