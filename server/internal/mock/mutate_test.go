package mock

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"
)

// If any part of a document has another type, the mock serves the rest, or refuses the document with the place of the
// fault. It never panics, and never shows an error of the library below.
func TestEveryPartMayBeWrong(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"loose.yaml", "newer.yaml", "headers.yaml", "swagger.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("testdata/foreign", name))
			if err != nil {
				t.Fatal(err)
			}
			var tree yaml.Node
			if err = yaml.Unmarshal(text, &tree); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "api.yaml")
			eachPart(tree.Content[0], func(part string) {
				changed, err := yaml.Marshal(&tree)
				if err != nil {
					t.Fatal(err)
				}
				if err = os.WriteFile(file, changed, 0o600); err != nil {
					t.Fatal(err)
				}
				if fault := serveOnce(file); fault != "" {
					t.Errorf("%s: %s", part, fault)
				}
			})
		})
	}
}

// eachPart calls f with other values in the place of each value of a tree.
func eachPart(n *yaml.Node, f func(part string)) {
	null := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	text := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "text"}
	others := map[string]*yaml.Node{
		"null": null, "text": text,
		"a list": {Kind: yaml.SequenceNode, Content: []*yaml.Node{null}}, "a mapping": {Kind: yaml.MappingNode, Content: []*yaml.Node{text, null}},
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue // a key
		}
		for name, other := range others {
			n.Content[i] = other
			f(fmt.Sprintf("line %d, %s", child.Line, name))
		}
		n.Content[i] = child
		eachPart(child, f)
	}
}

func serveOnce(file string) (fault string) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprint("panic: ", r)
		}
	}()
	document, err := Load(file)
	if err != nil {
		return placeless(err)
	}
	m, err := Register(echo.New(), Options{
		Document: document, PublicURL: "http://127.0.0.1", Audience: "x", AccessTTL: time.Minute, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return placeless(err)
	}
	m.Faults()
	return ""
}

// placeless returns the text of an error that names no place in the document, or "". The converter of Swagger 2.0 has none.
func placeless(err error) string {
	text := err.Error()
	converted := strings.Contains(text, "this Swagger 2.0 document cannot be converted (") && !strings.Contains(text, "json:")
	if converted || strings.Contains(text, "api.yaml, line ") || strings.Contains(text, "has no member openapi") {
		return ""
	}
	return text
}
