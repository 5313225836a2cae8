package mock

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/openapi"
)

// Document is the OpenAPI document of a mock.
type Document struct {
	// OpenAPI is the text, in YAML. Its addresses are paths, so that package docs can complete them with the mock's address.
	OpenAPI []byte

	openAPI *openapi3.T
	notes   []string // about what was not read as it is written
	base    string   // path of the operations, with escapes and without a slash at the end
}

// Read parses a document whose addresses are paths already, such as Sesame's own.
func Read(text []byte) (*Document, error) {
	source, err := openapi.ReadStrict(openapi.Document{Name: "the OpenAPI document", Text: text}, nil)
	if err != nil {
		return nil, err
	}
	doc, err := source.T()
	if err != nil {
		return nil, err
	}
	return &Document{OpenAPI: text, openAPI: doc}, nil
}

// Load reads any OpenAPI 3.0 or 3.1 document, or one of Swagger 2.0, YAML or JSON, and the files of its folder that it refers
// to. Because the mock serves what it reads, Load opens no file outside that folder, even through symbolic links, and
// fetches no URL.
func Load(file string) (*Document, error) {
	open, done, err := openapi.OpenFolder(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer done()
	text, err := open(filepath.Base(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	foreign, err := openapi.ReadLenient(openapi.Document{Name: file, Text: text}, open)
	if err != nil {
		return nil, err
	}
	doc, err := foreign.T()
	if err != nil {
		return nil, err
	}
	base, missing, err := openapi.BasePath(doc.Servers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(missing) > 0 {
		foreign.Notes = append(foreign.Notes, fmt.Sprintf("%s: %v; the mock takes their names", file, openapi.NoDefault(missing)))
	}
	foreign.Relocate(base + "/")
	if text, err = foreign.YAML(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Document{OpenAPI: text, openAPI: doc, base: base, notes: foreign.Notes}, nil
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
