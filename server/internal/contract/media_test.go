package contract

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sesame/server/internal/problem"

	"github.com/getkin/kin-openapi/openapi3"
)

// The narrowest range that a document declares for a media type counts, whatever the case and the parameters.
func TestMediaTypesAreFound(t *testing.T) {
	t.Parallel()
	var all, few mediaTypes
	for _, name := range []string{"*/*", "application/*", "application/*+json", "Application/JSON; charset=utf-8", "application/vnd.shop+json;v=1", "text/*", "image/png"} {
		all.add(name, &openapi3.Schema{Title: name})
	}
	few.add("application/*+JSON", &openapi3.Schema{Title: "application/*+JSON"})
	few.add("Text/Plain", &openapi3.Schema{Title: "Text/Plain"})
	for mediaType, want := range map[string][2]string{
		"application/json":          {"Application/JSON; charset=utf-8", "application/*+JSON"},
		"application/problem+json":  {"application/*+json", "application/*+JSON"},
		"application/vnd.shop+json": {"application/vnd.shop+json;v=1", "application/*+JSON"},
		"application/xml":           {"application/*", ""},
		"application/jsonp":         {"application/*", ""},
		"text/plain":                {"text/*", "Text/Plain"},
		"image/png":                 {"image/png", ""},
		"image/gif":                 {"*/*", ""},
	} {
		for i, declared := range []mediaTypes{all, few} {
			got := ""
			if schema, ok := declared.find(mediaType); ok {
				got = schema.Title
			}
			if got != want[i] {
				t.Errorf("%s: got %q, want %q", mediaType, got, want[i])
			}
		}
	}
}

// A fault in a part of an allOf names the field, not the whole body.
func TestAllOfNamesTheField(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(`
openapi: 3.0.3
info: { title: t, version: '1' }
paths:
  /a:
    post:
      requestBody: { required: true, content: { application/json: { schema: { type: object, properties: { data: { allOf: [{ $ref: '#/components/schemas/A' }] } } } } } }
      responses: { '204': { description: d } }
components: { schemas: { A: { type: object, allOf: [{ required: [id] }, { properties: { size: { type: integer } } }] } } }
`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := CompileForeign(doc, nil)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{`{"data":{}}`: "/data/id is required", `{"data":{"id":1,"size":"x"}}`: "/data/size must be integer"} {
		r := httptest.NewRequest(http.MethodPost, "/a", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		_, err = c.Operation("POST /a").Admit(r, nil)
		p, ok := errors.AsType[*problem.Error](err)
		if !ok || len(p.Fields) != 1 || p.Fields[0].Pointer+" "+p.Fields[0].Detail != want {
			t.Errorf("%s: got %v %+v, want %s", body, err, p.Fields, want)
		}
		var value any
		if err = json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatal(err)
		}
		place, _, _ := strings.Cut(want, " ")
		if err = Fits(c.Operation("POST /a").Document.RequestBody.Value.Content["application/json"].Schema.Value, value); err == nil || !strings.HasPrefix(err.Error(), place+" breaks ") {
			t.Errorf("%s: got %v, want the place %s", body, err, place)
		}
	}
}
