package contract

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
)

// withLists is a document with lists of scopes in every place where they could be written.
const withLists = `openapi: 3.0.3
info: { title: t, version: '1' }
security: []
paths: {}
components:
  securitySchemes:
    OAuth2:
      type: oauth2
      x-scheme: here
      flows:
        x-flows: here
        password: { tokenUrl: /token, scopes: { a: A, b: B }, x-password: here }
        clientCredentials: { tokenUrl: /token, scopes: { c: C }, x-client: here }
`

// A list of scopes in a place where it has no effect stops the start, and names the place.
func TestListsOfScopesBelongToThePasswordFlow(t *testing.T) {
	for place, want := range map[string]string{
		"x-password: here": "",
		"x-scheme: here":   "the security scheme OAuth2: x-people-only belongs beside the scopes of the password flow",
		"x-flows: here":    "the security scheme OAuth2: x-people-only belongs beside",
		"x-client: here":   "the security scheme OAuth2: x-people-only belongs beside",
	} {
		document := strings.Replace(withLists, place, "x-people-only: [a]", 1)
		c, err := compile(document)
		if want == "" && (err != nil || !reflect.DeepEqual(c.Scopes().PeopleOnly, []string{"a"})) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", place, err, want)
		}
		// The document of another service may have such extensions for purposes of its own.
		doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if c, err = CompileService(doc, nil); err != nil || len(c.Scopes().Declared) != 3 {
			t.Errorf("%s of another service: %v", place, err)
		}
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(strings.Replace(withLists, "x-password: here", "x-default: [z, a], x-on-request: all", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := CompileForeign(doc, nil); err != nil || !reflect.DeepEqual(c.Scopes().Default, []string{"a"}) {
		t.Errorf("a list of another service: %v", err)
	}
}

// openapi.yaml has the scopes that the code relies on: a default for logins, and a scope that administrators have.
func TestScopesOfOpenAPI(t *testing.T) {
	c, err := Compile(sesame.OpenAPI, map[string]Scheme{"OAuth2Password": nobody, "ClientBasic": nobody})
	if err != nil {
		t.Fatal(err)
	}
	scopes := c.Scopes()
	everybodys := map[string]bool{}
	for _, scope := range append(append([]string{}, scopes.Default...), scopes.OnRequest...) {
		everybodys[scope] = true
	}
	if len(scopes.Default) == 0 {
		t.Error("a login that requests no scope would get none")
	}
	for _, id := range []string{"createUser", "updateUser", "deleteUser"} {
		if admin := c.Operation(id).Scopes(); len(admin) != 1 || everybodys[admin[0]] {
			t.Errorf("%s needs %v, which every person has", id, admin)
		}
	}
	for scope := range everybodys {
		if !strings.HasPrefix(scope, "me:") && !slices.Contains([]string{"openid", "profile", "email"}, scope) {
			t.Errorf("every person has %s", scope)
		}
	}
	for _, scope := range scopes.Declared {
		if everybodys[scope] == slices.Contains(scopes.Administrative, scope) {
			t.Errorf("%s is of everybody: %t, of administrators: %t", scope, everybodys[scope], !everybodys[scope])
		}
	}
	if len(scopes.PeopleOnly) != len(everybodys) {
		t.Errorf("service clients have none of %v", scopes.PeopleOnly)
	}
}
