package mock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// Document is an OpenAPI document to stand in for.
type Document struct {
	// OpenAPI is the text, in YAML. Its addresses are paths from the root, so that package docs can
	// put the mock's address before them.
	OpenAPI []byte

	openAPI *openapi3.T
	base    string // path under which the operations are served, as in an address; no slash at the end
}

// Read takes a document whose addresses are paths already, such as our own contract.
func Read(text []byte) (*Document, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	return &Document{OpenAPI: text, openAPI: doc}, nil
}

// Load reads a document of others, YAML or JSON, OpenAPI 3.0 or 3.1, and the files of its folder that it
// refers to. It reads no file outside that folder, whatever the document and the links in the folder say,
// and fetches nothing: the mock serves what it reads.
func Load(file string) (*Document, error) {
	folder, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer folder.Close()
	name := filepath.Base(file)
	text, err := read(folder, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	loader := openapi3.NewLoader()
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, ref *url.URL) ([]byte, error) {
		refused := func(err error) error {
			return fmt.Errorf("$ref %s: %w; only files in the folder of the document are read: bundle it into one file", ref, err)
		}
		if ref.Scheme != "" || ref.Host != "" {
			return nil, refused(errors.New("is an address"))
		}
		text, err := read(folder, filepath.FromSlash(ref.Path))
		if err != nil {
			return nil, refused(err)
		}
		return text, nil
	}
	// A relative path, since flatten never ends with an absolute one.
	doc, err := loader.LoadFromDataWithPath(text, &url.URL{Path: name})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		return nil, fmt.Errorf("%s: is not OpenAPI 3; a Swagger 2 document must be converted first", file)
	}
	var tree yaml.Node
	if err = yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if refersToFiles(&tree) { // which a browser could not read
		if err = flatten(doc, &tree); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	base, err := doc.Servers.BasePath()
	if err != nil {
		return nil, fmt.Errorf("%s: the address of its first server: %w", file, err)
	}
	base = strings.TrimSuffix((&url.URL{Path: base}).EscapedPath(), "/")
	leadHere(tree.Content[0], base+"/")
	if text, err = yaml.Marshal(&tree); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Document{OpenAPI: text, openAPI: doc, base: base}, nil
}

// read reads a regular file of the folder. A link may lead only to another file in it.
func read(folder *os.Root, name string) ([]byte, error) {
	info, err := folder.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a named pipe would block the start
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return folder.ReadFile(name)
}

// Title is the name that the document gives itself.
func (d *Document) Title() string {
	if d.openAPI.Info == nil {
		return ""
	}
	return d.openAPI.Info.Title
}

// Base is the path under which the operations are served, "" for the root.
func (d *Document) Base() string { return d.base }

// tokenPaths are the paths of the token endpoints that the document's OAuth flows name.
func (d *Document) tokenPaths() []string {
	var paths []string
	if d.openAPI.Components == nil {
		return nil
	}
	for _, ref := range d.openAPI.Components.SecuritySchemes {
		flows := ref.Value.Flows
		if flows == nil {
			continue
		}
		for _, flow := range []*openapi3.OAuthFlow{flows.Password, flows.ClientCredentials, flows.AuthorizationCode} {
			if flow == nil {
				continue
			}
			for _, address := range []string{flow.TokenURL, flow.RefreshURL} {
				if path, ok := pathOf(address); ok && !slices.Contains(paths, path) {
					paths = append(paths, path)
				}
			}
		}
	}
	return paths
}

// pathOf takes the path of an address, which may be relative, as it is written there.
func pathOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return "", false
	}
	return "/" + strings.Trim(u.EscapedPath(), "/"), true
}

func refersToFiles(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "$ref" && n.Content[i+1].Kind == yaml.ScalarNode && !strings.HasPrefix(n.Content[i+1].Value, "#") {
				return true
			}
		}
	}
	return slices.ContainsFunc(n.Content, refersToFiles)
}

// flatten writes doc into tree, with all that it refers to among its components.
func flatten(doc *openapi3.T, tree *yaml.Node) error {
	doc.InternalizeRefs(context.Background(), nil)
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	*tree = yaml.Node{}
	if err = yaml.Unmarshal(text, tree); err != nil {
		return err
	}
	if len(tree.Content) == 0 {
		return errors.New("is empty")
	}
	plain(tree)
	return nil
}

// plain takes the JSON look off a tree.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}

// leadHere makes every address of a document a path from the mock's root: those of its servers, one
// and the same for all operations, and those of its token endpoints.
func leadHere(root *yaml.Node, base string) {
	remove(root, "servers")
	root.Content = append(root.Content, scalar("servers"), &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{
		{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("url"), scalar(base), scalar("description"), scalar("The mock")}},
	}})
	for _, path := range children(child(root, "paths")) {
		remove(path, "servers")
		for _, operation := range children(path) {
			remove(operation, "servers")
		}
	}
	for _, scheme := range children(child(child(root, "components"), "securitySchemes")) {
		for _, flow := range children(child(scheme, "flows")) {
			for _, name := range []string{"tokenUrl", "refreshUrl"} {
				if address := child(flow, name); address != nil {
					if path, ok := pathOf(address.Value); ok {
						*address = *scalar(path)
					}
				}
			}
		}
	}
}

func scalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// child is the value of a mapping's key; nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// children are the values of a mapping.
func children(n *yaml.Node) []*yaml.Node {
	var values []*yaml.Node
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 1; i < len(n.Content); i += 2 {
			values = append(values, n.Content[i])
		}
	}
	return values
}

func remove(n *yaml.Node, key string) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}
