package docs

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse returns the mapping that an OpenAPI document is.
func parse(openAPI []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if len(document.Content) == 0 {
		return nil, errors.New("openapi.yaml is empty")
	}
	return document.Content[0], nil
}

// find follows the keys down from a mapping; nil if one is missing.
func find(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		var next *yaml.Node
		for name, value := range pairs(n) {
			if name == key {
				next = value
			}
		}
		n = next
	}
	return n
}

// text returns the scalar under the keys, or "".
func text(n *yaml.Node, keys ...string) string {
	if n = find(n, keys...); n == nil {
		return ""
	}
	return n.Value
}

// pairs iterates over the members of a mapping in their order. It is empty for any other node and for nil.
func pairs(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 1; n != nil && n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			if !yield(n.Content[i-1].Value, n.Content[i]) {
				return
			}
		}
	}
}

// list returns the items of a sequence; nil for any other node and for nil.
func list(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// deref returns the node that n refers to with $ref, or n.
func deref(root, n *yaml.Node) *yaml.Node {
	ref, local := strings.CutPrefix(text(n, "$ref"), "#/")
	if !local {
		return n
	}
	return deref(root, find(root, strings.Split(ref, "/")...))
}
