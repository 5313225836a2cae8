package openapi

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// index has the members of large mappings by their names. A document may have tens of thousands of schemas, and as many
// references to them.
type index map[*yaml.Node]indexed

type indexed struct {
	size    int // of the mapping when it was read
	members map[string]*yaml.Node
}

// value is the function value.
func (x index) value(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) < 64 {
		return value(n, name)
	}
	known, ok := x[n]
	if !ok || known.size != len(n.Content) {
		known = indexed{len(n.Content), make(map[string]*yaml.Node, len(n.Content)/2)}
		each(n, func(name string, _, v *yaml.Node) { known.members[name] = v })
		x[n] = known
	}
	return known.members[name]
}

// set adds a member to a mapping.
func (x index) set(n *yaml.Node, name string, v *yaml.Node) {
	set(n, name, v)
	if known, ok := x[n]; ok && known.size == len(n.Content)-2 {
		known.members[name] = v
		x[n] = indexed{len(n.Content), known.members}
	}
}

// lookUp returns the node at a JSON Pointer, or nil.
func (x index) lookUp(n *yaml.Node, pointer string) *yaml.Node {
	if pointer == "" {
		return n
	}
	if !strings.HasPrefix(pointer, "/") {
		return nil
	}
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch {
		case n == nil:
			return nil
		case n.Kind == yaml.SequenceNode:
			n = itemAt(n, part)
		default:
			n = x.value(n, part)
		}
	}
	return n
}

func itemAt(n *yaml.Node, index string) *yaml.Node {
	if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(n.Content) {
		return n.Content[i]
	}
	return nil
}
