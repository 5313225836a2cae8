package apitest

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame"
	"sesame/gen/api"
)

// The contract that is shown is the one that is enforced.
func TestTheGeneratedContractIsTheWrittenOne(t *testing.T) {
	generated, err := api.GetSpecJSON()
	if err != nil {
		t.Fatal(err)
	}
	meaning := func(document []byte) (value any) {
		doc, err := openapi3.NewLoader().LoadFromData(document)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err = json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	if sesame.Stale() || !reflect.DeepEqual(meaning(sesame.OpenAPI), meaning(generated)) {
		t.Error("openapi.yaml and gen/api differ; run: make generate")
	}
}

// The server does not start with a contract that its code was not generated from. (Not parallel: it
// changes what the others read, and they wait.)
func TestAServerRefusesAStaleContract(t *testing.T) {
	written := sesame.OpenAPI
	defer func() { sesame.OpenAPI = written }()
	sesame.OpenAPI = append(slices.Clone(written), "# a change\n"...)
	_, stderr, code := command(t, "", map[string]string{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": emptySQLiteURL(t)}, "serve")
	if code == 0 || !strings.Contains(stderr, "make generate") {
		t.Errorf("code %d, said %q", code, stderr)
	}
}
