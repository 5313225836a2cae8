package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// maxSize is the largest file of a document, in bytes.
const maxSize = 32 << 20

const tooLarge = "the document is too large or too deep, perhaps by its aliases; split it"

// Foreign is an OpenAPI 3.0 or 3.1 document that was written without Sesame, as one tree: without aliases, merge keys and
// references to other files.
type Foreign struct {
	// Notes say what was ignored or changed, each with its place.
	Notes []string

	name string
	tree *yaml.Node
}

// Opener reads a file that a document refers to. name is relative to the folder of the document, with slashes.
type Opener func(name string) ([]byte, error)

// ReadStrict reads a document of others. The error names every fault of the document that it finds, with its place.
func ReadStrict(d Document, open Opener) (*Foreign, error) {
	f, faults, err := readForeign(d, open)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(faults))
	for i, fault := range faults {
		errs[i] = fault
	}
	return f, errors.Join(errs...)
}

// ReadLenient is ReadStrict for readers who cannot change the document: members of a wrong type are removed, and a $ref
// to something that is missing allows everything. Notes names each.
func ReadLenient(d Document, open Opener) (*Foreign, error) {
	f, faults, err := readForeign(d, open)
	if err != nil {
		return nil, err
	}
	for _, fault := range faults {
		f.Notes = append(f.Notes, fault.Error()+"; it is ignored")
	}
	return f, nil
}

func readForeign(d Document, open Opener) (f *Foreign, faults []*fault, err error) {
	root, err := parseText(d)
	if err != nil {
		return nil, nil, err
	}
	f = &Foreign{name: d.Name, tree: root}
	if root.Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("%s is no OpenAPI document: it is not a mapping", d.Name)
	}
	if swagger := value(root, "swagger"); swagger != nil {
		if faults, err = bundle(d.Name, "swagger", root, nil); err != nil {
			return nil, nil, err
		}
		if f.tree, err = convert(d.Name, swagger, root); err != nil {
			return nil, nil, err
		}
		f.Notes = append(f.Notes, d.Name+" is Swagger 2.0; it is read as OpenAPI 3.0")
	}
	if err = checkVersion(d.Name, value(f.tree, "openapi")); err != nil {
		return nil, nil, err
	}
	more, err := bundle(d.Name, "document", f.tree, open)
	return f, append(faults, more...), err
}

var versions = regexp.MustCompile(`^3\.[01](\.|$)`)

func checkVersion(name string, version *yaml.Node) error {
	const reads = "this program reads OpenAPI 3.0 and 3.1, and Swagger 2.0"
	switch {
	case version == nil:
		return fmt.Errorf("%s is not an OpenAPI document: it has no member openapi; %s", name, reads)
	case version.Kind != yaml.ScalarNode:
		return &fault{name, version.Line, "/openapi", "must be a version such as 3.0.3; " + reads}
	case !versions.MatchString(version.Value):
		return &fault{name, version.Line, "/openapi", fmt.Sprintf("the document is OpenAPI %q; %s: write it in one of these", version.Value, reads)}
	}
	version.Tag = "!!str" // 3.1 is a number in YAML
	return nil
}

// T returns the document for package openapi3.
func (f *Foreign) T() (*openapi3.T, error) {
	var text bytes.Buffer
	w := newJSONWriter(&text, true)
	if err := w.write(f.tree, ""); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s is not a valid OpenAPI document: %w", f.name, err)
	}
	if w.marked {
		restoreNumbers(doc)
	}
	if doc.Paths == nil { // optional in 3.1
		doc.Paths = openapi3.NewPaths()
	}
	return doc, nil
}

// YAML returns the text of the document, with its comments if it is YAML.
func (f *Foreign) YAML() ([]byte, error) { return encode(f.tree) }

// Relocate makes every address of the document a path under base.
func (f *Foreign) Relocate(base string) { Relocate(f.tree, base) }

// parseText returns the mapping that a text is, without aliases, anchors and merge keys.
func parseText(d Document) (*yaml.Node, error) {
	if len(d.Text) > maxSize {
		return nil, fmt.Errorf("%s is larger than %d MiB; split it into several documents", d.Name, maxSize>>20)
	}
	text := bytes.TrimPrefix(d.Text, []byte("\ufeff"))
	if !looksLikeJSON(text) {
		return parseYAML(d.Name, text)
	}
	root, err := parseJSON(d.Name, text)
	if err == nil || strings.HasSuffix(strings.ToLower(d.Name), ".json") {
		return root, err
	}
	root, other := parseYAML(d.Name, text) // {a: b} is YAML, too
	if other != nil && strings.ContainsRune(string(text), '"') {
		return nil, err
	}
	return root, other
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

func parseYAML(name string, text []byte) (*yaml.Node, error) {
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		reason := strings.TrimPrefix(err.Error(), "yaml: ")
		if at := yamlLine.FindStringSubmatch(reason); at != nil {
			return nil, fmt.Errorf("%s, line %s: is not valid YAML: %s", name, at[1], strings.Replace(reason, at[0], "", 1))
		}
		return nil, fmt.Errorf("%s is not valid YAML: %s", name, reason)
	}
	if root.Kind != yaml.DocumentNode {
		return nil, fmt.Errorf("%s is not an OpenAPI document: it is empty", name)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s holds more than one YAML document; leave one", name)
	}
	r := &expander{name: name}
	return r.expand(root.Content[0], 0)
}

// fault is a mistake in a document, with its place.
type fault struct {
	name    string
	line    int
	pointer string // JSON Pointer (RFC 6901)
	text    string
}

// maxPointer is the longest pointer that an error shows, in bytes.
const maxPointer = 250

// Error implements error.
func (f *fault) Error() string {
	where := ""
	if f.pointer != "" {
		where = ", #" + f.pointer
	}
	if len(where) > maxPointer {
		where = strings.ToValidUTF8(where[:maxPointer], "") + "…"
	}
	line := ""
	if f.line > 0 { // a converted document has no lines
		line = fmt.Sprintf(", line %d", f.line)
	}
	return f.name + line + where + ": " + f.text
}

func escapePointer(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}
