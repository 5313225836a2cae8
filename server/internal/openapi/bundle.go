package openapi

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
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

var errTooLarge = errors.New(tooLarge)

// bundle completes a document of a shape, "document" or "swagger", and returns its faults.
func bundle(name, shape string, root *yaml.Node, open Opener) ([]*fault, error) {
	b := &bundler{name: name, open: open, root: root, files: map[string]*yaml.Node{"": root}, moved: map[string]string{}}
	if _, err := b.walk(root, shape, &place{}); err != nil {
		return nil, err
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
	if shape == "" || shape == "any" {
		return true, b.inlineData(n, at)
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return true, nil // the same as absent
	}
	if ref := value(n, "$ref"); ref != nil && (ref.Kind == yaml.ScalarNode || grammar[shape] != nil) {
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

// mapping checks the values of a discriminator, which are names of schemas or references to them.
func (b *bundler) mapping(n *yaml.Node, at *place) (bool, error) {
	return b.each(n, at, func(name string, v *yaml.Node) string {
		if v.Kind == yaml.ScalarNode && strings.ContainsAny(v.Value, "/#.") && lookUp(b.root, "/components/schemas/"+escapePointer(v.Value)) == nil {
			ref := mapping("$ref", scalar(v.Value))
			ref.Content[1].Line = v.Line
			if ok, err := b.walk(ref, "schema", at.member(name)); ok && err == nil && value(ref, "$ref") != nil {
				v.Value = value(ref, "$ref").Value
			}
		}
		return "text"
	})
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
	var seen []*yaml.Node
	for next := n; next != nil; {
		ref := value(next, "$ref")
		if ref == nil || !strings.HasPrefix(ref.Value, "#") {
			return false
		}
		if slices.Contains(seen, next) {
			return true
		}
		seen = append(seen, next)
		fragment, err := url.PathUnescape(ref.Value[1:])
		if err != nil {
			return false
		}
		next = lookUp(b.root, fragment)
	}
	return false
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
	t.node = lookUp(b.files[t.file], t.pointer)
	return t, nil
}

// fileName returns the name of a file that a file refers to.
func (b *bundler) fileName(u *url.URL, from string) (string, error) {
	if u.Scheme != "" || u.Host != "" {
		return "", errors.New("is an address")
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
	if err != nil {
		return nil, err
	}
	n, err := parseText(Document{Name: path.Join(path.Dir(b.name), name), Text: text})
	b.files[name] = n
	return n, err
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
	for i := 2; name == "" || value(components, name) != nil; i++ {
		name = base + strconv.Itoa(i)
	}
	b.moved[key] = "#/components/" + section + "/" + name
	n, err := b.copy(t.node, 0)
	if err != nil {
		return "", err
	}
	set(components, name, n)
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
	_, err = b.walk(n, shape, &place{file: t.file, depth: at.depth + 1})
	return err
}

// inlineData replaces {$ref: file} in examples by the content of the file, as tools that bundle documents do. Other
// references there are data.
func (b *bundler) inlineData(n *yaml.Node, at *place) error {
	if b.nodes += len(n.Content); b.nodes > maxNodes || at.depth > maxDepth {
		return b.fault(n, at, tooLarge)
	}
	if ref := value(n, "$ref"); ref != nil && len(n.Content) == 2 && ref.ShortTag() == "!!str" && !strings.HasPrefix(ref.Value, "#") {
		if t, err := b.find(ref, at); err == nil && t.node != nil {
			return b.inline(n, t, "any", at)
		}
		return nil
	}
	for i, child := range n.Content {
		if n.Kind == yaml.SequenceNode || i%2 == 1 {
			if err := b.inlineData(child, at.member("…")); err != nil {
				return err
			}
		}
	}
	return nil
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
