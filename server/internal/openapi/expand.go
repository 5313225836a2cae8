package openapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// expander copies nodes with their aliases written out, so that nodes of two documents can be mixed.
type expander struct {
	name  string
	nodes int
}

func (r *expander) expand(n *yaml.Node, depth int) (*yaml.Node, error) {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, &fault{name: r.name, line: n.Line, text: tooLarge}
	}
	if n.Kind == yaml.AliasNode {
		return r.expand(n.Alias, depth+1)
	}
	plain := *n
	plain.Anchor, plain.Content = "", make([]*yaml.Node, len(n.Content))
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null" {
		plain.Value = "null" // which the library would write as '' in places
	}
	if n.Style&yaml.FoldedStyle != 0 { // the library would break indented lines
		plain.Style = yaml.LiteralStyle
	}
	for i, child := range n.Content {
		var err error
		if plain.Content[i], err = r.expand(child, depth+1); err != nil {
			return nil, err
		}
		if needsBlock(plain.Content[i]) {
			plain.Style &^= yaml.FlowStyle
		}
	}
	if err := r.merge(&plain); err != nil {
		return nil, err
	}
	return &plain, r.check(&plain)
}

// needsBlock reports whether the node must stand in a block collection: in a flow collection the library writes comments
// in places that other parsers refuse.
func needsBlock(n *yaml.Node) bool {
	return n.HeadComment+n.LineComment+n.FootComment != "" || len(n.Content) > 0 && n.Style&yaml.FlowStyle == 0
}

// check reports the members of a mapping that cannot be merged.
func (r *expander) check(n *yaml.Node) error {
	seen := map[string]bool{}
	var errs []error
	each(n, func(name string, key, _ *yaml.Node) {
		switch {
		case key.Kind != yaml.ScalarNode:
			errs = append(errs, fmt.Errorf("%s, line %d: the key must be plain text", r.name, key.Line))
		case seen[name]:
			errs = append(errs, fmt.Errorf("%s, line %d: the key %s is there twice", r.name, key.Line, name))
		}
		seen[name] = true
	})
	return errors.Join(errs...)
}

// checkRefs reports references to other files, which the server does not read. In extensions and examples they are data.
func (r *expander) checkRefs(n *yaml.Node) error {
	var errs []error
	each(n, func(name string, _, v *yaml.Node) {
		switch {
		case name == "$ref" && v.Kind == yaml.ScalarNode && !strings.HasPrefix(v.Value, "#"):
			errs = append(errs, fmt.Errorf("%s, line %d: $ref %s is outside of the document; bundle it into one file first", r.name, v.Line, v.Value))
		case !strings.HasPrefix(name, "x-") && name != "example":
			errs = append(errs, r.checkRefs(v))
		}
	})
	for _, item := range items(n) {
		errs = append(errs, r.checkRefs(item))
	}
	return errors.Join(errs...)
}

// merge replaces the merge keys (<<) of a mapping by the members that they stand for. Its own members win, then those of
// the first mapping in a list.
func (r *expander) merge(n *yaml.Node) error {
	isMerge := func(key *yaml.Node) bool { return key.ShortTag() == "!!merge" }
	if n.Kind != yaml.MappingNode || !slices.ContainsFunc(n.Content, isMerge) {
		return nil
	}
	taken := map[string]bool{}
	each(n, func(name string, key, _ *yaml.Node) { taken[name] = taken[name] || !isMerge(key) })
	var merged []*yaml.Node
	var err error
	each(n, func(_ string, key, v *yaml.Node) {
		if !isMerge(key) {
			merged = append(merged, key, v)
			return
		}
		sources := []*yaml.Node{v}
		if v.Kind == yaml.SequenceNode {
			sources = v.Content
		}
		for _, source := range sources {
			if source.Kind != yaml.MappingNode {
				err = &fault{name: r.name, line: key.Line, text: "the value of << must be a mapping, or a list of mappings"}
			}
			each(source, func(name string, key, v *yaml.Node) {
				if !taken[name] {
					taken[name] = true
					merged = append(merged, key, v)
				}
			})
		}
	})
	n.Content = merged
	return err
}
