package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"go.yaml.in/yaml/v3"
)

// convert converts a Swagger 2.0 document to OpenAPI 3.0.
func convert(name string, version, root *yaml.Node) (*yaml.Node, error) {
	const remedy = "convert it to OpenAPI 3 first, for instance with npx swagger2openapi"
	if version.Value != "2.0" && version.Value != "2" {
		return nil, &fault{name, version.Line, "/swagger", fmt.Sprintf("the document is Swagger %q; %s", version.Value, remedy)}
	}
	var text bytes.Buffer
	if err := newJSONWriter(&text, false).write(root, ""); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	converted, err := toVersion3(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: this Swagger 2.0 document cannot be converted (%w); %s", name, err, remedy)
	}
	tree, err := parseJSON(name, converted)
	if err == nil {
		withoutLines(tree)
	}
	return tree, err
}

// toVersion3 converts JSON. The library panics for some documents that break the specification.
func toVersion3(text []byte) (converted []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it breaks the specification")
		}
	}()
	var old openapi2.T
	if err = json.Unmarshal(text, &old); err != nil {
		return nil, err
	}
	doc, err := openapi2conv.ToV3(&old)
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// withoutLines removes the lines of a text that nobody sees.
func withoutLines(n *yaml.Node) {
	n.Line = 0
	for _, child := range n.Content {
		withoutLines(child)
	}
}
