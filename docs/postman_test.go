package docs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	Event []postmanEvent
}

type postmanEvent struct {
	Listen string
	Script struct{ Exec []string }
}

// operation is what after.js knows of an operation.
type operation struct {
	Security  []map[string][]string
	Responses map[string]map[string]any
	Accepts   map[string]string
}

type postmanCollection struct {
	Variable []struct{ Key, Value string }
	Item     []postmanItem
	Event    []postmanEvent
}

type known struct {
	Operations map[string]operation
	Components struct{ Schemas map[string]json.RawMessage }
	Last       string
}

// contract returns what after.js compares answers with.
func (c postmanCollection) contract(t *testing.T) (contract known) {
	t.Helper()
	for _, line := range c.Event[1].Script.Exec {
		if text, ok := strings.CutPrefix(line, "const contract = "); ok {
			if err := json.Unmarshal([]byte(strings.TrimSuffix(text, ";")), &contract); err != nil {
				t.Fatal(err)
			}
			return contract
		}
	}
	t.Fatal("the test script has no contract")
	return contract
}

func postman(t *testing.T, e *echo.Echo) (c postmanCollection) {
	t.Helper()
	if err := json.Unmarshal(get(t, e, "/docs/postman.json"), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// requests returns the requests of the collection by operationId.
func requests(t *testing.T, c postmanCollection) map[string]postmanItem {
	t.Helper()
	found := map[string]postmanItem{}
	for _, folder := range c.Item {
		for _, request := range folder.Item {
			id, ok := strings.CutPrefix(request.Event[0].Script.Exec[0], `pm.variables.set('operationId', "`)
			if !ok {
				t.Fatalf("%s does not name its operation", request.Name)
			}
			found[strings.TrimSuffix(id, `");`)] = request
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

// A request that changes something acts on a guest, unless it is listed here with the reason.
func TestTheCollectionHarmsNobody(t *testing.T) {
	harmless := map[string]string{
		"updateUser": "", "deleteUser": "", // the loop below checks whose account
		"introspectToken": "{{clientId}}", "postUserInfo": "", // change nothing
		"resetFactors":     "",                           // as for updateUser; the guest has no factor
		"resendInvitation": "", "startPasswordReset": "", // as well; the guest has a password and no address
		"inviteUser":      "",                                                                                                                             // after.js deletes what it has made
		"endUserSessions": "", "endUserSession": "", "deleteUserIdentity": "", "unlockUser": "", "revokeUserPersonalToken": "", "withdrawUserConsent": "", // as for updateUser
		"sendTestMail": "", "rotateSigningKey": "", // reaches the caller alone, and refuses no token
		"retryMail": "", "deleteMail": "", // the loop below checks that it is the mail of the example
		"createClient":   "",                       // after.js deletes what it has made
		"createProvider": "",                       // as well
		"updateProvider": "", "deleteProvider": "", // the loop below checks that it is none
		"createWebhook": "", // after.js deletes what it has made
		// the loop below checks that it is the webhook of the example
		"updateWebhook": "", "deleteWebhook": "", "replaceWebhookSecret": "", "testWebhook": "", "resendDelivery": "",
		"updateClient": "", "deleteClient": "", "replaceClientSecret": "", // the loop below checks that it is the client of the example
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
			if parameter.Key == "mail_id" && parameter.Value != "019ad827-a013-7b0e-8a64-2d51e0a7c9f1" {
				t.Errorf("%s is sent to the mail %s; is it harmless?", id, parameter.Value)
			}
			if parameter.Key == "provider" && parameter.Value != "{{guestName}}" {
				t.Errorf("%s is sent to the provider %s; is it harmless?", id, parameter.Value)
			}
			if parameter.Key == "webhook_id" && parameter.Value != "019ad827-d0c4-7a11-b3f2-6a5d0c9e8b14" {
				t.Errorf("%s is sent to the webhook %s; is it harmless?", id, parameter.Value)
			}
			if parameter.Key == "client_id" && parameter.Value != "019ad827-b3c1-7d21-9f60-5a4be3a2c7d9" {
				t.Errorf("%s is sent to the client %s; is it harmless?", id, parameter.Value)
			}
		}
	}
}

// A value that is not used is the name of a parameter or property that the contract no longer has.
func TestEverySpecialRequestIsUsed(t *testing.T) {
	text, err := os.ReadFile("postman/requests.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var special map[string]struct {
		Note    string
		Values  map[string]string
		Token   string
		Accepts map[int]string
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err = decoder.Decode(&special); err != nil {
		t.Fatal(err)
	}
	found := requests(t, postman(t, common()))
	for id, own := range special {
		r, ok := found[id]
		if !ok {
			t.Errorf("requests.yaml names %s, which is no operation", id)
		}
		if !strings.Contains(r.Request.Description, strings.TrimSpace(own.Note)) {
			t.Errorf("the note of %s is not in its description", id)
		}
		for name, value := range own.Values {
			if used := fmt.Sprintf("%+v", r.Request); !strings.Contains(used, value) {
				t.Errorf("the value %s of %s is not used", name, id)
			}
		}
	}
}

func TestTheScriptsKnowWhatTheContractPromises(t *testing.T) {
	known := postman(t, common()).contract(t)
	for _, item := range contract(t).Paths.Map() {
		for _, operation := range item.Operations() {
			want := slices.Sorted(maps.Keys(operation.Responses.Map()))
			if got := slices.Sorted(maps.Keys(known.Operations[operation.OperationID].Responses)); !slices.Equal(got, want) {
				t.Errorf("%s: the script knows %v, the contract promises %v", operation.OperationID, got, want)
			}
		}
	}
	if needs := known.Operations["getMe"].Security; len(needs) != 1 || !slices.Equal(needs[0]["OAuth2Password"], []string{"me:read"}) {
		t.Errorf("getMe needs %v", needs)
	}
	if _, ok := known.Operations[known.Last]; !ok {
		t.Errorf("the last request is %q", known.Last)
	}
}
