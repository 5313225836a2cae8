package docs_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
)

func TestTheContractCarriesThePublicAddress(t *testing.T) {
	for base, want := range map[string]string{
		publicURL:               publicURL,
		publicURL + "/":         publicURL,
		publicURL + "/auth":     publicURL + "/auth",
		"http://127.0.0.1:8080": "http://127.0.0.1:8080",
		"http://[::1]:8080":     "http://[::1]:8080",
	} {
		e := newServer(t, base)
		for _, path := range []string{"/openapi.yaml", "/openapi.json"} {
			server, token, refresh := addresses(t, get(t, e, path))
			if server != want || token != want+"/token" || refresh != want+"/token" {
				t.Errorf("%s at %s has %s, %s, %s", path, base, server, token, refresh)
			}
		}
		if !bytes.Contains(get(t, e, "/openapi.yaml"), []byte("[ReDoc]("+want+"/redoc)")) {
			t.Errorf("at %s the introduction does not link to ReDoc", base)
		}
	}
}

func TestThePagesReadAContractThatWorksUnderAnyHost(t *testing.T) {
	for base, want := range map[string][2]string{
		publicURL:            {"/", "/token"},
		publicURL + "/auth/": {"/auth", "/auth/token"},
	} {
		server, token, refresh := addresses(t, get(t, newServer(t, base), "/docs/openapi.yaml"))
		if server != want[0] || token != want[1] || refresh != want[1] {
			t.Errorf("at %s it has %s, %s, %s", base, server, token, refresh)
		}
	}
}

// addresses are those of a document that must be a valid contract.
func addresses(t *testing.T, document []byte) (server, token, refresh string) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	flow := doc.Components.SecuritySchemes["OAuth2Password"].Value.Flows.Password
	return doc.Servers[0].URL, flow.TokenURL, flow.RefreshURL
}

func TestTheYAMLIsAsItWasWrittenButForTheAddresses(t *testing.T) {
	before := strings.Split(string(sesame.OpenAPI), "\n")
	after := strings.Split(string(get(t, common(), "/openapi.yaml")), "\n")
	if len(before) != len(after) {
		t.Fatalf("%d lines became %d", len(before), len(after))
	}
	changed := 0
	for i := range before {
		if before[i] == after[i] {
			continue
		}
		changed++
		undone := strings.ReplaceAll(after[i], publicURL, "")
		if undone != before[i] && undone+"/" != before[i] {
			t.Errorf("line %d became %q", i+1, after[i])
		}
	}
	if changed < 3 {
		t.Errorf("only %d lines changed", changed)
	}
}

func TestTheJSONSaysTheSameInTheSameOrder(t *testing.T) {
	e := common()
	text := get(t, e, "/openapi.json")
	fromYAML, err := openapi3.NewLoader().LoadFromData(get(t, e, "/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := json.Marshal(fromYAML)
	b, errB := json.Marshal(fromJSON)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("YAML and JSON differ (%v, %v)", errA, errB)
	}

	written := regexp.MustCompile(`(?m)^  (/\S*):$`).FindAllSubmatch(sesame.OpenAPI, -1)
	last := -1
	for _, path := range written {
		at := bytes.Index(text, []byte(`    "`+string(path[1])+`": {`))
		if at <= last {
			t.Errorf("%s is at %d, after something at %d", path[1], at, last)
		}
		last = at
	}
	if len(written) != fromYAML.Paths.Len() {
		t.Errorf("compared the order of %d paths of %d", len(written), fromYAML.Paths.Len())
	}
}

// Generators of Go clients name a constructor New and the schema, so that a schema NewFactor beside Factor does not compile.
func TestNoSchemaIsNamedLikeAConstructor(t *testing.T) {
	schemas, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for name := range schemas.Components.Schemas {
		if schemas.Components.Schemas["New"+name] != nil {
			t.Errorf("there are %s and New%s", name, name)
		}
	}
}
