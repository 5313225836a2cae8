package openapi

import (
	"fmt"
	"strings"
	"testing"
)

// Each file is read once, and none that only an example names. Thousands of parts with one name get names of their own.
func TestFilesAreReadOnce(t *testing.T) {
	t.Parallel()
	const parts = 3_000
	var document, other strings.Builder
	document.WriteString("openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths: {}\ncomponents:\n  schemas:\n")
	for i := range parts {
		fmt.Fprintf(&document, "    A%d: { $ref: 'other.yaml#/k%d/x', example: { $ref: broken.json } }\n    B%d: { example: { $ref: broken.json } }\n", i, i, i)
		fmt.Fprintf(&other, "k%d: { x: { title: 'No. %d' } }\n", i, i)
	}
	files, opened := map[string]string{"other.yaml": other.String(), "broken.json": `{"a": `}, map[string]int{}
	f, err := ReadStrict(Document{"api.yaml", []byte(document.String())}, func(name string) ([]byte, error) {
		opened[name]++
		return []byte(files[name]), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if opened["other.yaml"] != 1 || opened["broken.json"] != 0 {
		t.Errorf("the files were opened so often: %v; want other.yaml once", opened)
	}
	doc, err := f.T()
	if err != nil {
		t.Fatal(err)
	}
	for i := range parts {
		if got, want := doc.Components.Schemas[fmt.Sprintf("A%d", i)].Value.Title, fmt.Sprintf("No. %d", i); got != want {
			t.Fatalf("A%d is %q; want %q", i, got, want)
		}
	}
}

// A chain of references is as long as the document allows.
func TestALongChainOfReferences(t *testing.T) {
	t.Parallel()
	const links = 2_000
	var document strings.Builder
	document.WriteString("openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths: {}\ncomponents:\n  schemas:\n")
	for i := range links {
		fmt.Fprintf(&document, "    A%d: { $ref: '#/components/schemas/A%d' }\n", i, i+1)
	}
	for last, want := range map[string]string{"{ type: string }": "", "{ $ref: '#/components/schemas/A0' }": "leads back to itself"} {
		text := fmt.Sprintf("%s    A%d: %s\n", document.String(), links, last)
		_, err := ReadStrict(Document{"api.yaml", []byte(text)}, nil)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %.200v, want %q", last, err, want)
		}
	}
}
