package docs_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"sesame"
)

type postmanItem struct {
	Name    string
	Item    []postmanItem
	Request struct {
		Method, Description string
		Auth                *struct {
			Type   string
			Bearer []struct{ Value string }
			Basic  []struct{ Value string }
		}
		Body struct {
			Raw        string
			URLEncoded []struct{ Key, Value string }
		}
		URL struct {
			Raw   string
			Path  []string
			Query []struct {
				Key, Value string
				Disabled   bool
			}
			Variable []struct{ Key, Value string }
		}
	}
	Event []struct {
		Listen string
		Script struct{ Exec []string }
	}
}

// contract is what the request's test knows of its operation.
func (i postmanItem) contract(t *testing.T) (c postmanContract) {
	t.Helper()
	for _, event := range i.Event {
		for _, line := range event.Script.Exec {
			if text, ok := strings.CutPrefix(line, "const contract = "); ok {
				if err := json.Unmarshal([]byte(strings.TrimSuffix(text, ";")), &c); err != nil {
					t.Fatal(err)
				}
				return c
			}
		}
	}
	t.Fatalf("%s has no test", i.Name)
	return c
}

type postmanContract struct {
	OperationID string
	Scopes      [][]string
	Answers     map[string]struct {
		MediaType string
		Schema    json.RawMessage
	}
	Accepts map[string]string
}

type postmanCollection struct {
	Variable []struct{ Key, Value string }
	Item     []postmanItem
}

func postman(t *testing.T, e *echo.Echo) (c postmanCollection) {
	t.Helper()
	if err := json.Unmarshal(get(t, e, "/docs/postman.json"), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// requests are those of the collection by their operationId.
func requests(t *testing.T, c postmanCollection) map[string]postmanItem {
	t.Helper()
	found := map[string]postmanItem{}
	for _, folder := range c.Item {
		for _, request := range folder.Item {
			found[request.contract(t).OperationID] = request
		}
	}
	return found
}

func contract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheCollectionHasEveryOperationOnceInTheFolderOfItsTag(t *testing.T) {
	doc := contract(t)
	c := postman(t, common())
	var got []string
	for _, folder := range c.Item {
		for _, r := range folder.Item {
			path := "/" + strings.Join(r.Request.URL.Path, "/")
			got = append(got, strings.Join([]string{folder.Name, r.Request.Method, path, r.Name}, " "))
		}
	}
	var want []string
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if folder := operation.Extensions["x-apidog-folder"]; folder != operation.Tags[0] {
				t.Errorf("%s is in %v for Apidog, and in %s for Postman", operation.OperationID, folder, operation.Tags[0])
			}
			path := strings.NewReplacer("{", ":", "}", "").Replace(path)
			want = append(want, strings.Join([]string{operation.Tags[0], method, path, operation.Summary}, " "))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the collection has\n%s\nbut the contract\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i, tag := range doc.Tags {
		if c.Item[i].Name != tag.Name {
			t.Errorf("folder %d is %s, want %s", i, c.Item[i].Name, tag.Name)
		}
	}
}

func TestTheCollectionCarriesThePublicAddressAndNoSecret(t *testing.T) {
	for base, want := range map[string]string{publicURL + "/": publicURL, publicURL + "/auth": publicURL + "/auth"} {
		c := postman(t, newServer(t, base))
		if c.Variable[0].Key != "baseUrl" || c.Variable[0].Value != want {
			t.Errorf("at %s the first variable is %v", base, c.Variable[0])
		}
		if len(c.Variable) != 2 || c.Variable[1].Key != "scope" {
			t.Errorf("the variables are %v", c.Variable)
		}
	}
	text := get(t, common(), "/docs/postman.json")
	for _, secret := range []string{"knock-knock", "a wooden horse"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q is in it", secret)
		}
	}
}

// What changes something must go to a guest, unless it is named here with the reason.
func TestTheCollectionHarmsNobody(t *testing.T) {
	harmless := map[string]string{
		"updateMe": "", "endSession": "", // write back what is there, and end what they began: see their scripts
		"updateUser": "", "deleteUser": "", // whose account is looked at below
		"introspectToken": "{{clientId}}", // only looks
	}
	for id, r := range requests(t, postman(t, common())) {
		auth := r.Request.Auth
		if r.Request.Method == http.MethodGet || auth != nil && auth.Type == "noauth" {
			continue
		}
		token := ""
		if auth != nil && auth.Type == "basic" {
			token = auth.Basic[0].Value
		} else if auth != nil {
			token = auth.Bearer[0].Value
		}
		expected, named := harmless[id]
		if !named {
			expected = "{{guestToken}}"
		}
		if token != expected {
			t.Errorf("%s is sent with the token %q, and not with %q; is it harmless?", id, token, expected)
		}
		for _, parameter := range r.Request.URL.Variable {
			if parameter.Key == "user_id" && parameter.Value != "{{guestId}}" {
				t.Errorf("%s is sent to the account %s; is it harmless?", id, parameter.Value)
			}
		}
	}
}

func TestEveryScriptBelongsToAnOperation(t *testing.T) {
	doc := contract(t)
	known := map[string]bool{"collection": true, "every": true, "last": true, "common": true, "refusal": true}
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			known[operation.OperationID] = true
		}
	}
	files, err := os.ReadDir("postman")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, extension, _ := strings.Cut(file.Name(), ".")
		if !known[name] && file.Name() != "requests.yaml" || !slices.Contains([]string{"js", "before.js", "after.js", "yaml"}, extension) {
			t.Errorf("postman/%s belongs to nothing", file.Name())
		}
	}
	text, err := os.ReadFile("postman/requests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var special map[string]any
	if err := yaml.Unmarshal(text, &special); err != nil {
		t.Fatal(err)
	}
	for id := range special {
		if !known[id] {
			t.Errorf("requests.yaml names %s, which is no operation", id)
		}
	}
}

func TestTheTestsKnowWhatTheContractPromises(t *testing.T) {
	doc := contract(t)
	found := requests(t, postman(t, common()))
	for _, item := range doc.Paths.Map() {
		for _, operation := range item.Operations() {
			c := found[operation.OperationID].contract(t)
			var want []string
			for status := range operation.Responses.Map() {
				if strings.HasPrefix(status, "2") {
					want = append(want, status)
				}
			}
			if got := slices.Collect(maps.Keys(c.Answers)); !slices.Equal(got, want) {
				t.Errorf("%s: the test wants %v, the contract promises %v", operation.OperationID, got, want)
			}
		}
	}
	c := found["getMe"].contract(t)
	if len(c.Scopes) != 1 || !slices.Equal(c.Scopes[0], []string{"me:read"}) {
		t.Errorf("getMe needs %v", c.Scopes)
	}
}
