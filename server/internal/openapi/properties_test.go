package openapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
	"sesame/server/internal/openapi"
)

// tiny stands for Sesame's document where its size does not matter.
const tiny = `openapi: 3.0.3
security: [{ OAuth2Password: [] }]
tags: [{ name: Tokens }]
paths:
  /token: { post: { operationId: createToken, security: [], responses: { '204': { description: d } } } }
  /users/{user_id}: { get: { operationId: getUser, responses: { '200': { $ref: '#/components/responses/User' } } } }
components:
  responses: { User: { description: d, headers: { Age: { schema: { type: integer } } } } }
  securitySchemes:
    OAuth2Password:
      type: oauth2
      flows: { password: { tokenUrl: /token, scopes: { 'me:read': Read, 'me:write': Write }, x-default: ['me:read'], x-people-only: ['me:read'] } }
    ClientBasic: { type: http, scheme: basic }
`

// beside is a service's document with these lines at its end.
func beside(lines ...string) openapi.Document {
	return document("openapi: 3.0.3\ninfo: { title: T, version: '1' }\n" + strings.Join(lines, "\n") + "\n")
}

func load(text []byte) (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(text) }

// operations returns every operation of a document as JSON, by method and path, with the document's default for security.
func operations(t testing.TB, doc *openapi3.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security == nil && doc.Security != nil {
				op.Security = &doc.Security
			}
			text, err := json.Marshal(op)
			if err != nil {
				t.Fatal(err)
			}
			all[method+" "+path] = string(text)
		}
	}
	return all
}

// checkMerged fails the test unless a merged document loads, and has the operations of both documents with the same content
// and the same security, and no others. It skips services that do not load by themselves.
func checkMerged(t *testing.T, service []byte, login map[string]string, merged []byte) {
	t.Helper()
	mine, err := load(service)
	if err != nil {
		t.Skip(err)
	}
	both, err := load(merged)
	if err != nil {
		t.Fatalf("the merged document does not load: %v\n%s", err, merged)
	}
	want := operations(t, mine)
	maps.Copy(want, login)
	if got := operations(t, both); !maps.Equal(got, want) {
		t.Fatalf("the operations are\n%v\nwant\n%v\nin\n%s", got, want, merged)
	}
}

// operationsOf returns the operations of a document that loads.
func operationsOf(t testing.TB, text []byte) map[string]string {
	t.Helper()
	doc, err := load(text)
	if err != nil {
		t.Fatal(err)
	}
	return operations(t, doc)
}

func TestEveryOperationOfBothIsKept(t *testing.T) {
	notes, err := os.ReadFile("testdata/notes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range map[string][]byte{
		"notes":             notes,
		"in Windows' lines": bytes.ReplaceAll(notes, []byte("\n"), []byte("\r\n")),
		"no default":        []byte("openapi: 3.0.1\ninfo: { title: T, version: '1' }\npaths: { /a: { get: { operationId: a, responses: { '204': { description: d } } } } }\n"),
		"the same default":  []byte("openapi: 3.0.3\ninfo: { title: T, version: '1' }\nsecurity: [{ OAuth2Password: [] }]\npaths: {}\n"),
		"public by default": []byte("openapi: 3.0.3\ninfo: { title: T, version: '1' }\nsecurity: []\npaths: {}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			merged, err := openapi.Merge(openapi.Document{Name: "openapi.yaml", Text: service}, login)
			if err != nil {
				t.Fatal(err)
			}
			checkMerged(t, service, operationsOf(t, sesame.OpenAPI), merged)
			// JSON is YAML, and says the same.
			doc, err := load(service)
			if err != nil {
				t.Fatal(err)
			}
			if service, err = json.MarshalIndent(doc, "", "\t"); err != nil {
				t.Fatal(err)
			}
			if merged, err = openapi.Merge(openapi.Document{Name: "openapi.json", Text: service}, login); err != nil {
				t.Fatal(err)
			}
			checkMerged(t, service, operationsOf(t, sesame.OpenAPI), merged)
			if bytes.HasPrefix(merged, []byte("{")) {
				t.Errorf("what came as JSON is not easy to read:\n%.500s", merged)
			}
		})
	}
}

// A service completes the login scheme with its own scopes, and can leave out everything else.
func TestASecuritySchemeIsMerged(t *testing.T) {
	scheme := func(lines string) openapi.Document {
		return beside("paths: {}", "components:", "  securitySchemes:", "    OAuth2Password:", "      "+strings.ReplaceAll(lines, "\n", "\n      "))
	}
	for lines, want := range map[string]string{
		"type: oauth2": "map[me:read:Read me:write:Write] map[x-default:[me:read] x-people-only:[me:read]]",
		"flows: { password: { scopes: { a: A, 'me:read': Read }, x-default: [a, 'me:read'], x-on-request: [a] } }": "map[a:A me:read:Read me:write:Write] map[x-default:[a me:read] x-on-request:[a] x-people-only:[me:read]]",
		"description: Sign in\nflows: { password: { tokenUrl: \"/token\" } }":                                      "map[me:read:Read me:write:Write] map[x-default:[me:read] x-people-only:[me:read]]",
	} {
		merged, err := openapi.Merge(scheme(lines), openapi.Document{Name: "login", Text: []byte(tiny)})
		if err != nil {
			t.Errorf("%s: %v", lines, err)
			continue
		}
		doc, err := load(merged)
		if err != nil {
			t.Fatal(err)
		}
		flow := doc.Components.SecuritySchemes["OAuth2Password"].Value.Flows.Password
		if got := fmt.Sprintf("%v %v", flow.Scopes, flow.Extensions); got != want || flow.TokenURL != "/token" || !bytes.Contains(merged, []byte("tokenUrl: /token")) {
			t.Errorf("%s: got %s with %s, want %s", lines, got, flow.TokenURL, want)
		}
	}
	for lines, want := range map[string]string{
		"flows: { password: { scopes: { 'me:read': Other } } }": "flows, password, scopes, me:read is at openapi.yaml, line 7, and at login, line 12",
		"flows: { clientCredentials: { tokenUrl: /token } }":    "line 7: the security scheme OAuth2Password, flows has no clientCredentials in login; leave it out",
		"flows: { password: { refreshUrl: /refresh } }":         "has no refreshUrl in login",
		"flows: { password: { x-default: 'me:read' } }":         "x-default is at openapi.yaml, line 7",
		"flows: [password]":                                          "flows is at openapi.yaml, line 7",
		"type: http\nscheme: bearer":                                 "type is at openapi.yaml, line 7",
		"$ref: '#/components/securitySchemes/ClientBasic'":           "has no $ref in login",
		"flows: { password: { tokenUrl: https://x.example/token } }": "tokenUrl is at openapi.yaml, line 7",
	} {
		if _, err := openapi.Merge(scheme(lines), openapi.Document{Name: "login", Text: []byte(tiny)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", lines, err, want)
		}
	}
}

// One error names everything that has to change.
func TestAllCollisionsAreNamed(t *testing.T) {
	_, err := openapi.Merge(beside(
		"servers: [{ url: 'https://x.example' }]", "paths:", "  /users/{id}: { get: { operationId: createToken } }", "  /b: { servers: [{ url: /v1 }] }",
		"  /token: {}", "components:", "  responses: { User: { description: another } }",
	), openapi.Document{Name: "login", Text: []byte(tiny)})
	if err == nil || !strings.HasPrefix(err.Error(), "openapi.yaml and login cannot be served together:\n") {
		t.Fatal(err)
	}
	for _, want := range []string{
		"openapi.yaml, line 3: servers must be", "openapi.yaml, line 6: servers must be",
		"the path /users/{user_id} is at openapi.yaml, line 5, and at login, line 6; give yours another one",
		"the path /token is at openapi.yaml, line 7, and at login, line 5",
		"the operationId createToken is at openapi.yaml, line 5, and at login, line 5; rename yours",
		"components/responses/User is at openapi.yaml, line 9, and at login, line 8; rename yours, or make it equal",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

// The same value is no collision, however it is written.
func TestAnEqualComponentIsNoCollision(t *testing.T) {
	merged, err := openapi.Merge(beside("paths: {}", "components:", "  responses:", "    User: # mine", "      headers: { \"Age\": { schema: { 'type': integer } } }", "      description: \"d\""),
		openapi.Document{Name: "login", Text: []byte(tiny)})
	if err != nil || strings.Count(string(merged), "User:") != 1 || !strings.Contains(string(merged), "# mine") {
		t.Errorf("%v\n%s", err, merged)
	}
}

func TestDocumentsThatCannotBeMerged(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"two documents":        {"openapi: 3.0.3\n---\nopenapi: 3.0.3\n", "openapi.yaml holds more than one YAML document"},
		"Swagger 2":            {"swagger: '2.0'\n", "must be an OpenAPI 3.0 document"},
		"servers of one kind":  {"openapi: 3.0.3\nservers: /\n", "line 2: servers must be a list"},
		"components of a list": {"openapi: 3.0.3\ncomponents:\n  schemas: [a]\n", "line 3: components/schemas must be a mapping"},
		"security of nothing":  {"openapi: 3.0.3\nsecurity:\npaths: {}\n", "line 2: security must be a list"},
		"security of a name":   {"openapi: 3.0.3\nsecurity: OAuth2Password\n", "line 2: security must be a list"},
		"a name in capitals":   {"openapi: 3.0.3\npaths: { /a: { Get: {}, put: { operationID: a } } }\nPaths: {}\n", "line 3: write paths in place of Paths\nopenapi.yaml, line 2: write get in place of Get\nopenapi.yaml, line 2: write operationId"},
		"too deep":             {"openapi: 3.0.3\nx: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), "too large or too deep"},
		"a key that is a list": {"openapi: 3.0.3\n? [a]\n: b\n", "line 2: the key must be plain text"},
	} {
		if _, err := openapi.Merge(document(c.text), openapi.Document{Name: "login", Text: []byte(tiny)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// Comments and styles that the YAML library writes wrongly do not change the document.
func TestAwkwardYAMLKeepsItsValue(t *testing.T) {
	service := beside(
		"security: [ # c", "  { OAuth2Password: [], # one", "  # two", "  } # three", "]",
		"paths: { /a: { get: { operationId: a, summary: , x-list: [{b}], # d", "  responses: { '204': { description: >", "    folded", "     and indented } } } } }",
	)
	if _, err := load(service.Text); err == nil {
		t.Fatal("a folded text cannot be in a flow mapping; the test is wrong")
	}
	service = beside(
		"security: [ # c", "  { OAuth2Password: [], # one", "  # two", "  } # three", "]",
		"paths:", "  /a: { get: { operationId: a, x-empty: , x-list: [{b}], # d", "    responses: { '204': { description: d } } } }",
		"  /b:", "    get:", "      operationId: b", "      description: >", "        folded", "         and indented", "      responses: { '204': { description: d } }",
	)
	merged, err := openapi.Merge(service, openapi.Document{Name: "login", Text: []byte(tiny)})
	if err != nil {
		t.Fatal(err)
	}
	checkMerged(t, service.Text, operationsOf(t, []byte(tiny)), merged)
	for _, comment := range []string{"# one", "# two", "# d"} {
		if !bytes.Contains(merged, []byte(comment)) {
			t.Errorf("%q is lost:\n%s", comment, merged)
		}
	}
}

// Merge never panics, and a document that it returns loads with every operation of both, and their security. The seeds are
// short, because Go spends a minute on making an interesting one shorter.
func FuzzMergedOperations(f *testing.F) {
	for _, seed := range []string{
		"openapi: 3.0.3\npaths: {/b: {get: {security: [{}]}}}\n",
		"openapi: 3.0.3\nsecurity: []\npaths:\n  /b: {get: &o {x: >\n\n}} # d\n",
		"openapi: 3.0.3\npaths: &p {/b: {post: *o}, /c: &o {}} # c\n",
		"openapi: 3.0.3\ncomponents: {securitySchemes: {A: {flows: {password: {scopes: {b: B}, x-default: [b]}}}}}\n",
		`{"openapi":"3.0.0","paths":{"/b":{"get":{"operationId":"b"}}}}`,
	} {
		f.Add([]byte(seed))
	}
	login := openapi.Document{Name: "login", Text: []byte("openapi: 3.0.3\nsecurity: [{ A: [a] }]\npaths: { /a: { get: { operationId: a } } }\n" +
		"components: { securitySchemes: { A: { type: oauth2, flows: { password: { tokenUrl: /token, scopes: { a: A }, x-default: [a] } } } } }\n")}
	want := operationsOf(f, login.Text)
	f.Fuzz(func(t *testing.T, text []byte) {
		merged, err := openapi.Merge(openapi.Document{Name: "openapi.yaml", Text: text}, login)
		if err == nil {
			checkMerged(t, text, want, merged)
		}
	})
}
