package openapi

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// verdict says what becomes of a node with a $ref.
type verdict int

const (
	goOn verdict = iota // the other members count
	keep                // they do not
	drop
)

// reference checks a $ref and replaces it if it leads out of the document.
func (b *bundler) reference(n *yaml.Node, shape string, at *place) (verdict, error) {
	ref := value(n, "$ref")
	if ref.Kind != yaml.ScalarNode || ref.ShortTag() != "!!str" {
		b.report(b.fault(ref, at.member("$ref"), "must be text, but is %s", kindOf(ref)))
		remove(n, "$ref")
		return goOn, nil
	}
	target, err := b.find(ref, at)
	if err != nil {
		return drop, err
	}
	if target.node == nil {
		b.report(b.fault(ref, at, "$ref %s refers to nothing; correct it, or add what is missing", ref.Value))
		return b.dangling(n, shape), nil
	}
	if target.file == "" && target.pointer == "" {
		b.report(b.fault(ref, at, "$ref %s refers to the whole document; refer to a part of it, such as #/components/schemas/NAME", ref.Value))
		return b.dangling(n, shape), nil
	}
	section := sections[shape]
	if other, _, _ := strings.Cut(strings.TrimPrefix(target.pointer, "/components/"), "/"); section != "" && strings.HasPrefix(target.pointer, "/components/") && other != section {
		b.report(b.fault(ref, at, "$ref %s refers to one of the %s, but one of the %s belongs here", ref.Value, other, section))
		return b.dangling(n, shape), nil
	}
	switch {
	case target.file == "" && (section != "" || shape == "path"):
		if at.file != "" {
			ref.Value = "#" + target.fragment
		}
		if b.circular(n) {
			b.report(b.fault(ref, at, "$ref %s leads back to itself; describe the %s at its place", ref.Value, shape))
			return b.dangling(n, shape), nil
		}
		if shape == "schema" || shape == "path" { // OpenAPI 3.1 has members beside a $ref
			return goOn, nil
		}
		return keep, nil
	case section != "":
		ref.Value, err = b.move(target, shape, section, at)
		return keep, err
	}
	return keep, b.inline(n, target, shape, at)
}

// dangling makes a schema that refers to nothing allow everything. Everything else that does is removed.
func (b *bundler) dangling(n *yaml.Node, shape string) verdict {
	n.Content = nil
	if shape == "schema" {
		return keep
	}
	return drop
}

// circular reports whether a chain of references has no end.
func (b *bundler) circular(n *yaml.Node) bool {
	seen := map[*yaml.Node]bool{}
	for next := n; next != nil && !b.ends[next]; next = b.referred(next) {
		if seen[next] {
			return true
		}
		seen[next] = true
	}
	maps.Copy(b.ends, seen)
	return false
}

// referred returns the node of the document that a $ref refers to, or nil.
func (b *bundler) referred(n *yaml.Node) *yaml.Node {
	ref := value(n, "$ref")
	if ref == nil || !strings.HasPrefix(ref.Value, "#") {
		return nil
	}
	fragment, err := url.PathUnescape(ref.Value[1:])
	if err != nil {
		return nil
	}
	return b.index.lookUp(b.root, fragment)
}

// target is what a $ref refers to.
type target struct {
	file              string
	pointer, fragment string // the same, decoded and as it is written
	node              *yaml.Node
}

// find reads the file of a $ref, and finds the node in it.
func (b *bundler) find(ref *yaml.Node, at *place) (target, error) {
	u, err := url.Parse(ref.Value)
	if err != nil {
		return target{}, b.fault(ref, at, "$ref %s is not a URI", ref.Value)
	}
	t := target{file: at.file, pointer: u.Fragment, fragment: u.EscapedFragment()}
	if u.Scheme != "" || u.Host != "" || u.Path != "" {
		if t.file, err = b.fileName(u, at.file); err == nil && b.open != nil {
			_, err = b.file(t.file)
		}
		switch {
		case b.open == nil:
			return t, b.fault(ref, at, "$ref %s is outside of the document; bundle it into one file first, for instance with npx @redocly/cli bundle", ref.Value)
		case err != nil:
			return t, b.fault(ref, at, "$ref %s: %v; only files in the folder of the document are read: bundle it into one file", ref.Value, err)
		}
	}
	t.node = b.index.lookUp(b.files[t.file], t.pointer)
	return t, nil
}

// fileName returns the name of a file that a file refers to.
func (b *bundler) fileName(u *url.URL, from string) (string, error) {
	if u.Scheme != "" || u.Host != "" {
		return "", errors.New("is an address")
	}
	if ext := strings.ToLower(path.Ext(u.Path)); ext != ".yaml" && ext != ".yml" && ext != ".json" { // a .env is YAML, too
		return "", errors.New("is no file ending with .yaml, .yml or .json")
	}
	name := u.Path
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(from), name)
	}
	if name == path.Base(b.name) {
		name = ""
	}
	return name, nil
}

// file reads a file, once.
func (b *bundler) file(name string) (*yaml.Node, error) {
	if n := b.files[name]; n != nil {
		return n, nil
	}
	text, err := b.open(name)
	if err == nil {
		b.files[name], err = parseText(Document{Name: path.Join(path.Dir(b.name), name), Text: text})
	}
	return b.files[name], err
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// move makes a part of another file a component, unless it is one, and returns the reference to it.
func (b *bundler) move(t target, shape, section string, at *place) (string, error) {
	key := section + " " + t.file + "#" + t.pointer
	if ref := b.moved[key]; ref != "" {
		return ref, nil
	}
	base := path.Base(t.pointer)
	if t.pointer == "" {
		base = strings.TrimSuffix(path.Base(t.file), path.Ext(t.file))
	}
	base = strings.Trim(notInNames.ReplaceAllString(base, "_"), "_")
	components := valueOrNew(valueOrNew(b.root, "components"), section)
	name := base
	for name == "" || b.index.value(components, name) != nil {
		b.names[section+" "+base]++
		name = base + strconv.Itoa(b.names[section+" "+base]+1)
	}
	b.moved[key] = "#/components/" + section + "/" + name
	n, err := b.copy(t.node, 0)
	if err != nil {
		return "", err
	}
	b.index.set(components, name, n)
	ok, err := b.walk(n, shape, &place{file: t.file, depth: at.depth + 1})
	if !ok {
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	return b.moved[key], err
}

// inline replaces a reference by what it refers to, where no component can be.
func (b *bundler) inline(n *yaml.Node, t target, shape string, at *place) error {
	whole, err := b.copy(t.node, 0)
	if err != nil {
		return err
	}
	remove(n, "$ref")
	if whole.Kind == yaml.MappingNode {
		each(n, func(name string, key, v *yaml.Node) { // what is beside a $ref wins
			remove(whole, name)
			whole.Content = append(whole.Content, key, v)
		})
	}
	whole.Line = n.Line
	*n = *whole
	delete(b.index, n)
	_, err = b.walk(n, shape, &place{file: t.file, depth: at.depth + 1})
	return err
}

func (b *bundler) copy(n *yaml.Node, depth int) (*yaml.Node, error) {
	if b.nodes++; b.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("%s: %w", b.name, errTooLarge)
	}
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		var err error
		if c.Content[i], err = b.copy(child, depth+1); err != nil {
			return nil, err
		}
	}
	return &c, nil
}
