package openapi

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"sesame"
)

// service is a document beside Sesame's, written in its own way: with an anchor, a comment, and a default for security.
const service = `# the notes of a team
openapi: 3.0.3
info: { title: Notes, version: '1' }
security: [{ OAuth2Password: ['notes:read'] }]
tags: [{ name: Notes }]
paths:
  /notes/{id}: # one note
    get:
      operationId: getNote
      responses: &done { '204': { description: done } }
    delete: { operationId: deleteNote, security: [], responses: *done }
components:
  securitySchemes:
    OAuth2Password:
      type: oauth2
      flows:
        password:
          tokenUrl: /token
          scopes: { 'notes:read': Read notes }
          x-default: ['notes:read']
`

func merge(t *testing.T, text string) (string, *openapi3.T, error) {
	t.Helper()
	merged, err := AddLogin(Document{"openapi.yaml", []byte(text)})
	if err != nil {
		return "", nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(merged)
	if err != nil {
		t.Fatalf("the merged document cannot be read: %v", err)
	}
	return string(merged), doc, nil
}

func TestMergeHoldsBoth(t *testing.T) {
	text, doc, err := merge(t, service)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# the notes of a team", "# one note"} {
		if !strings.Contains(text, want) {
			t.Errorf("the comment %q is lost", want)
		}
	}
	if doc.Info.Title != "Notes" || doc.Servers[0].URL != "/" || doc.Tags[0].Name != "Notes" || len(doc.Tags) < 3 {
		t.Errorf("title %q, servers %v, %d tags", doc.Info.Title, doc.Servers, len(doc.Tags))
	}
	flow := doc.Components.SecuritySchemes["OAuth2Password"].Value.Flows.Password
	if flow.Scopes["notes:read"] == "" || flow.Scopes["me:read"] == "" || fmt.Sprint(flow.Extensions["x-default"]) != "[notes:read me:read me:write]" {
		t.Errorf("scopes %v, x-default %v", flow.Scopes, flow.Extensions["x-default"])
	}
	flows := doc.Components.SecuritySchemes["OAuth2Password"].Value.Flows
	if !maps.Equal(flows.AuthorizationCode.Scopes, flow.Scopes) || len(flows.AuthorizationCode.Extensions) > 0 {
		t.Errorf("authorizationCode has the scopes %v and %v, password has %v", flows.AuthorizationCode.Scopes, flows.AuthorizationCode.Extensions, flow.Scopes)
	}
	own, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range own.Paths.Map() {
		for method, before := range item.Operations() {
			after := doc.Paths.Value(path).GetOperation(method)
			security := before.Security
			if security == nil {
				security = &own.Security // the service's default must not take its place
			}
			if after.OperationID != before.OperationID || after.Security == nil || fmt.Sprint(*after.Security) != fmt.Sprint(*security) {
				t.Errorf("%s %s: %v, security %v, want %v", method, path, after.OperationID, after.Security, *security)
			}
		}
	}
}

// Merging needs no more of a service than its operations; JSON and documents without security schemes will do.
func TestMergeTakesLittle(t *testing.T) {
	for name, text := range map[string]string{
		"JSON":        `{"openapi":"3.0.0","info":{"title":"T","version":"1"},"paths":{"/a":{"get":{"operationId":"a","security":[{"OAuth2Password":["me:read"]}],"responses":{"204":{"description":"d"}}}}}}`,
		"no paths":    "openapi: 3.0.3\ninfo: { title: T, version: '1' }\npaths: {}\n",
		"the server":  "openapi: 3.0.3\ninfo: { title: T, version: '1' }\nservers: [{ url: / }]\npaths: {}\n",
		"its own end": "openapi: 3.0.3\ninfo: { title: T, version: '1' }\npaths: {}\ncomponents: {}\ntags: []\n",
	} {
		if _, doc, err := merge(t, text); err != nil || doc.Paths.Value("/token") == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMergeNamesBothPlaces(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(service, old, new, 1) }
	for name, c := range map[string]struct{ text, want string }{
		"a path":                  {replace("/notes/{id}:", "/users/{id}:"), "the path /users/{user_id} is at openapi.yaml, line 7, and at Sesame's openapi.yaml, line "},
		"an operationId":          {replace("getNote", "getMe"), "the operationId getMe is at openapi.yaml, line 9, and at"},
		"a component":             {service + "  schemas: { User: { type: string } }\n", "components/schemas/User is at openapi.yaml, line 21, and at"},
		"a scope's text":          {replace("'notes:read': Read notes", "'me:read': Something else"), "me:read is at openapi.yaml, line 19"},
		"the token endpoint":      {replace("tokenUrl: /token", "tokenUrl: /elsewhere"), "tokenUrl is at openapi.yaml, line 18"},
		"the type of the scheme":  {replace("type: oauth2", "type: openIdConnect"), "type is at openapi.yaml, line 15"},
		"a server":                {service + "servers: [{ url: https://api.example.com/v1 }]\n", "line 21: servers must be one with the url /"},
		"OpenAPI 3.1":             {replace("3.0.3", "3.1.0"), "must be an OpenAPI 3.0 document"},
		"another file":            {replace("{ description: done }", "{ $ref: 'other.yaml#/x' }"), "line 10: $ref other.yaml#/x is outside of the document"},
		"a key twice":             {service + "paths: {}\n", "line 21: the key paths is there twice"},
		"no mapping":              {"- a\n", "it is not a mapping"},
		"no YAML":                 {"a: [", "openapi.yaml, line 1: is not valid YAML: "},
		"nothing":                 {"", "openapi.yaml is not an OpenAPI document: it is empty"},
		"a merge key of text":     {replace("{ description: done }", "{ <<: done }"), "openapi.yaml, line 10: the value of << must be a mapping"},
		"aliases that multiply":   {bomb(), "too large or too deep"},
		"an alias in itself":      {"openapi: 3.0.3\ninfo: &a { x: *a }\npaths: {}\n", "openapi.yaml"},
		"paths that are a list":   {replace("paths:\n", "paths: []\nx-paths:\n"), "paths must be a mapping"},
		"components that are not": {"openapi: 3.0.3\ninfo: { title: T, version: '1' }\npaths: {}\ncomponents: []\n", "components must be a mapping"},
	} {
		if _, _, err := merge(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// bomb is a small document that is large when its aliases are written out.
func bomb() string {
	var b strings.Builder
	b.WriteString("openapi: 3.0.3\nx-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String() + "paths: {}\n"
}

// Whatever a document holds, Merge gives a document that YAML readers take, with every path of both, or an error.
func FuzzMerge(f *testing.F) {
	f.Add(service)
	f.Add(strings.ReplaceAll(service, "notes", "users"))
	f.Add("openapi: 3.0.3\npaths: { /a: null, /b: [] }\ncomponents: { schemas: null, securitySchemes: { OAuth2Password: [] } }\ntags: x\nsecurity: y\nservers: z\n")
	// The whole of Sesame's document would take most of the time.
	const login = "openapi: 3.0.3\nsecurity: []\ntags: [{ name: Tokens }]\npaths: { /token: { post: { operationId: createToken } } }\n" +
		"components: { schemas: { Token: { type: object } }, securitySchemes: { OAuth2Password: { type: oauth2, flows: { password: { scopes: { 'me:read': x }, x-default: ['me:read'] }, authorizationCode: { scopes: { 'me:read': x } } } } } }\n"
	f.Fuzz(func(t *testing.T, text string) {
		merged, err := Merge(Document{"openapi.yaml", []byte(text)}, Document{"Sesame's openapi.yaml", []byte(login)})
		if err != nil {
			return
		}
		var before, after struct{ Paths map[string]yaml.Node }
		if err := yaml.Unmarshal(merged, &after); err != nil {
			t.Fatalf("%v\n%s", err, merged)
		}
		if err := yaml.Unmarshal([]byte(text), &before); err != nil {
			return // a value that has no place in an OpenAPI document
		}
		for path := range before.Paths {
			if _, ok := after.Paths[path]; !ok {
				t.Errorf("%s is lost", path)
			}
		}
		if _, ok := after.Paths["/token"]; !ok {
			t.Error("/token is lost")
		}
	})
}
