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

	"sesame/server/internal/openapi"
)

// Document is the OpenAPI document of a mock.
type Document struct {
	// OpenAPI is the text, in YAML. Its addresses are paths, so that package docs can complete them with the mock's address.
	OpenAPI []byte

	openAPI *openapi3.T
	base    string // path of the operations, with escapes and without a slash at the end
}

// Read parses a document whose addresses are paths already, such as Sesame's own.
func Read(text []byte) (*Document, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	return &Document{OpenAPI: text, openAPI: doc}, nil
}

// Load reads any OpenAPI 3.0 or 3.1 document, YAML or JSON, and the files of its folder that it refers to. Because the mock
// serves what it reads, Load opens no file outside that folder, even through symbolic links, and fetches no URL.
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
	// The path is relative, because InternalizeRefs does not end with an absolute one.
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
	if refersToFiles(&tree) { // a browser could not read them
		if err = flatten(doc, &tree); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	base, err := doc.Servers.BasePath()
	if err != nil {
		return nil, fmt.Errorf("%s: the address of its first server: %w", file, err)
	}
	base = strings.TrimSuffix((&url.URL{Path: base}).EscapedPath(), "/")
	openapi.Relocate(tree.Content[0], base+"/")
	if text, err = yaml.Marshal(&tree); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Document{OpenAPI: text, openAPI: doc, base: base}, nil
}

// read reads a regular file of the folder. A symbolic link may only lead to another file in it.
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

// Title is the title of the document, or "".
func (d *Document) Title() string {
	if d.openAPI.Info == nil {
		return ""
	}
	return d.openAPI.Info.Title
}

// Base is the path of the operations, without a slash at the end.
func (d *Document) Base() string { return d.base }

// tokenPaths returns the paths of the token endpoints in the document's OAuth flows.
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
				if path, ok := openapi.PathOf(address); ok && !slices.Contains(paths, path) {
					paths = append(paths, path)
				}
			}
		}
	}
	return paths
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

// flatten replaces tree by doc, with everything that it refers to in its components.
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

// plain gives a tree that was JSON the style of YAML.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}
