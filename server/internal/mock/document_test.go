package mock

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// N18: the mock reads nothing outside the folder of its document, whatever the document and the links in the
// folder say, and fetches no address.
func TestTheMockReadsOnlyTheFolderOfItsDocument(t *testing.T) {
	t.Parallel()
	const canary = "Canary7f3a9c"
	fetched := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched++
		fmt.Fprintf(w, "type: string\nexample: %s\n", canary)
	}))
	defer elsewhere.Close()
	outside := t.TempDir()
	folder := filepath.Join(outside, "api")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(outside, "secret.yaml")
	write(secret, "type: string\nexample: "+canary+"\nS: { type: string, example: "+canary+" }\n")
	write(filepath.Join(folder, ".env"), "KEY: "+canary+"\n")
	write(filepath.Join(folder, "key.txt"), "type: string\nexample: "+canary+"\n")
	write(filepath.Join(folder, "book.yaml"), "type: string\nexample: fine\n")
	write(filepath.Join(folder, "sub", "back.yaml"), "type: array\nminItems: 1\nitems: { $ref: '../book.yaml' }\n")
	write(filepath.Join(folder, "sub", "out.yaml"), "type: object\nproperties: { a: { $ref: '../../secret.yaml' } }\n")
	for link, to := range map[string]string{
		"inside.yaml": "book.yaml", "linked.yaml": "../secret.yaml", "absolute.yaml": secret, "up": "..", "itself.yaml": "/proc/self/environ", "document.yaml": "../whole.yaml",
	} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	document := func(at, ref string) string {
		parts := map[string]string{"schema": "{ type: string }", "response": "{ description: d }", "parameter": "{ name: p, in: query, schema: { type: string } }", "path": "{}"}
		parts[at] = "{ $ref: '" + ref + "' }"
		return fmt.Sprintf(`
openapi: 3.1.0
info: { title: t, version: '1' }
paths:
  /more: %s
  /a:
    get:
      parameters: [%s]
      responses: { '404': %s, '200': { description: d, content: { application/json: { schema: %s } } } }
`, parts["path"], parts["parameter"], parts["response"], parts["schema"])
	}
	file := filepath.Join(folder, "api.yaml")
	for _, at := range []string{"schema", "response", "parameter", "path"} {
		for _, ref := range []string{
			"../secret.yaml", "../secret.yaml#/S", "sub/../../secret.yaml", "%2e%2e/secret.yaml", "..%2Fsecret.yaml", secret, secret + "#/S", "file://" + secret, "file:../secret.yaml",
			".env", ".env#/KEY", "key.txt", "linked.yaml", "absolute.yaml", "up/secret.yaml", "up/api/book.yaml", "itself.yaml", "sub/out.yaml", "sub", ".", "..",
			elsewhere.URL + "/secret.yaml", elsewhere.URL + "/secret.yaml#/S", strings.TrimPrefix(elsewhere.URL, "http:") + "/secret.yaml", "ftp://127.0.0.1/secret.yaml",
		} {
			if ref == "sub/out.yaml" && at != "schema" {
				continue // is a schema
			}
			write(file, document(at, ref))
			_, err := Load(file)
			if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "only files in the folder of the document are read") {
				t.Errorf("the %s %s: got %v", at, ref, err)
			}
		}
	}
	if fetched > 0 {
		t.Errorf("%d addresses were fetched", fetched)
	}
	write(filepath.Join(outside, "whole.yaml"), document("", "")) // which a link in the folder names
	if _, err := Load(filepath.Join(folder, "document.yaml")); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("a document that is a link: got %v", err)
	}
	for ref, body := range map[string]string{
		"book.yaml": `"fine"`, "./book.yaml": `"fine"`, "sub/../book.yaml": `"fine"`, "inside.yaml": `"fine"`, "sub/back.yaml": `["fine"]`,
	} {
		write(file, document("schema", ref))
		document, err := Load(file)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		content := document.openAPI.Paths.Value("/a").Get.Responses.Value("200").Value.Content
		value, _ := newSamples().sample(content["application/json"].Schema)
		if text, _ := json.Marshal(value); string(text) != body {
			t.Errorf("%s: got %s, want %s", ref, text, body)
		}
	}
}

// A $ref in an example is data (OpenAPI 3.0.3, Example Object). The mock answers requests of every origin with examples, so
// it must not put another file there.
func TestAReferenceInAnExampleIsData(t *testing.T) {
	t.Parallel()
	const canary = "Canary7f3a9c"
	folder := t.TempDir()
	for name, text := range map[string]string{
		"hidden.yaml": "list: [" + canary + "]\nkey: " + canary + "\n",
		"api.yaml": `
openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /a: { get: { responses: { '200': { description: d, content: { application/json: { example: { $ref: 'hidden.yaml#/key' } } } } } } }
  /b: { get: { responses: { '200': { description: d, content: { application/json: { schema: { type: object, example: { $ref: hidden.yaml } } } } } } } }
  /c: { get: { responses: { '200': { description: d, content: { application/json: { schema: { type: string, enum: { $ref: 'hidden.yaml#/list' } } } } } } } }
  /d: { get: { responses: { '200': { description: d, content: { application/json: { examples: { e: { value: { $ref: hidden.yaml } } } } } } } } }
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, call := start(t, filepath.Join(folder, "api.yaml"))
	for _, target := range []string{"/a", "/b", "/c", "/d"} {
		if answer := call("GET", target, "", ""); answer.Code != 200 || strings.Contains(answer.Body.String(), canary) {
			t.Errorf("%s: got %d %s", target, answer.Code, answer.Body)
		}
	}
	if strings.Contains(string(m.Document.OpenAPI), canary) {
		t.Errorf("the document holds another file:\n%s", m.Document.OpenAPI)
	}
}
