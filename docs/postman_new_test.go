package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/docs"
)

// things is a contract with what Sesame's does not have.
const things = `
openapi: 3.0.3
info: { title: Things, version: '1' }
servers: [{ url: / }]
tags: [{ name: Things }, { name: Nothing }]
security: [{ OAuth: ['things:read'] }]
paths:
  /things:
    get:
      operationId: listThings
      tags: [Things]
      summary: List things
      parameters:
        - { name: limit, in: query, schema: { type: integer, example: 10 } }
        - { name: cursor, in: query, schema: { type: string }, examples: { one: { value: abc } } }
        - { name: kind, in: query, required: true, schema: { type: string }, example: big }
      responses:
        '200':
          description: A page.
          content: { application/json: { schema: { $ref: '#/components/schemas/Page' } } }
  /things/{thing_id}:
    parameters: [{ $ref: '#/components/parameters/Thing' }]
    delete:
      operationId: deleteThing
      tags: [Things]
      summary: Delete a thing
      security: [{ OAuth: ['things:write'] }, { OAuth: ['admin', 'things:read'] }]
      responses:
        '202': { description: Soon. }
        '404': { description: No such thing. }
    get:
      operationId: inspectThing
      tags: [Things]
      summary: Look into a thing
      security: [{ Client: [] }]
      responses: { '204': { description: Fine. } }
components:
  parameters:
    Thing: { name: thing_id, in: path, required: true, schema: { type: string }, example: t1 }
  securitySchemes:
    OAuth: { type: oauth2, flows: { password: { tokenUrl: /token, scopes: { 'things:read': r, 'things:write': w, admin: a } } } }
    Client: { type: http, scheme: basic }
  schemas:
    Page:
      type: object
      required: [items]
      properties:
        items: { type: array, items: { $ref: '#/components/schemas/Thing' } }
        next_cursor: { type: string, nullable: true, example: abc }
    Thing:
      type: object
      description: It may hold things.
      properties:
        size: { type: integer, format: int32, minimum: 0, exclusiveMinimum: true }
        kind: { type: string, enum: [big, small], nullable: true }
        made: { type: string, format: date-time }
        example: { type: boolean }
        in: { nullable: true, allOf: [{ $ref: '#/components/schemas/Thing' }] }
`

func TestAContractThatIsNotSesamesGetsACollection(t *testing.T) {
	e := echo.New()
	if err := errors.Join(docs.Register(e, []byte(things), publicURL), docs.RegisterCollection(e, []byte(things), publicURL)); err != nil {
		t.Fatal(err)
	}
	c := postman(t, e)
	if len(c.Item) != 1 || c.Variable[1].Value != "things:read things:write admin" {
		t.Errorf("folders %d, scopes %q", len(c.Item), c.Variable[1].Value)
	}
	found := requests(t, c)

	list := found["listThings"]
	if raw := list.Request.URL.Raw; raw != "{{baseUrl}}/things?kind=big" {
		t.Errorf("an optional parameter is sent: %s", raw)
	}
	for i, want := range []string{"10 true", "abc true", "big false"} {
		q := list.Request.URL.Query[i]
		if got := q.Value + " " + map[bool]string{true: "true", false: "false"}[q.Disabled]; got != want {
			t.Errorf("%s is %s, want %s", q.Key, got, want)
		}
	}
	known := c.contract(t)
	if needs := known.Operations["listThings"].Security; len(needs) != 1 || needs[0]["OAuth"][0] != "things:read" || list.Request.Auth != nil {
		t.Errorf("the global security is not applied: %v", needs)
	}

	remove := found["deleteThing"]
	if remove.Request.URL.Raw != "{{baseUrl}}/things/:thing_id" || remove.Request.URL.Variable[0].Value != "t1" {
		t.Errorf("the path is %v", remove.Request.URL)
	}
	operation := known.Operations["deleteThing"]
	if len(operation.Security) != 2 || len(operation.Security[1]["OAuth"]) != 2 {
		t.Errorf("the alternatives are %v", operation.Security)
	}
	if _, accepted := operation.Accepts["404"]; !accepted || len(operation.Accepts) != 1 || operation.Responses["202"]["content"] != nil {
		t.Errorf("it promises %v, and accepts %v", operation.Responses, operation.Accepts)
	}
	if auth := found["inspectThing"].Request.Auth; auth == nil || auth.Type != "basic" {
		t.Errorf("a client authenticates with %v", auth)
	}

	page, err := json.Marshal(known.Operations["listThings"].Responses["200"])
	if err != nil || !equalJSON(t, page, []byte(`{"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}}`)) {
		t.Errorf("the answer became %s (%v)", page, err)
	}
	for name, want := range map[string]string{
		"Page": `{"type": "object", "required": ["items"], "properties": {
			"items": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
			"next_cursor": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}`,
		"Thing": `{"type": "object", "properties": {
			"size": {"type": "integer", "exclusiveMinimum": 0},
			"kind": {"anyOf": [{"type": "string", "enum": ["big", "small"]}, {"type": "null"}]},
			"made": {"type": "string", "format": "date-time"},
			"example": {"type": "boolean"},
			"in": {"anyOf": [{"allOf": [{"$ref": "#/components/schemas/Thing"}]}, {"type": "null"}]}}}`,
	} {
		if got := known.Components.Schemas[name]; !equalJSON(t, got, []byte(want)) {
			t.Errorf("the schema %s became %s", name, got)
		}
	}
}

func equalJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var values [2]any
	for i, text := range [][]byte{a, b} {
		if err := json.Unmarshal(text, &values[i]); err != nil {
			t.Fatal(err)
		}
	}
	x, _ := json.Marshal(values[0])
	y, _ := json.Marshal(values[1])
	return bytes.Equal(x, y)
}

// The document of a service that Sesame is part of need not follow Sesame's own rules.
func TestALooserContractStillGetsACollection(t *testing.T) {
	for name, change := range map[string][2]string{
		"an undeclared tag": {"tags: [Things]", "tags: [Others]"},
		"no tag":            {"tags: [Things]", ""},
		"no example":        {", example: big", ""},
		"a cookie":          {"name: kind, in: query", "name: kind, in: cookie"},
		"no success":        {"'202'", "'302'"},
		"bare statuses":     {"'202'", "202"},
		"no operationId":    {"operationId: inspectThing", ""},
		"no summary":        {"summary: Look into a thing", ""},
		"no security":       {"security: [{ OAuth: ['things:read'] }]", ""},
		"a body":            {"operationId: inspectThing", "requestBody: { content: { application/json: { schema: { type: object, properties: { kind: { type: string, example: big } } } } } }"},
		"a list as a body":  {"operationId: inspectThing", "requestBody: { content: { application/json: { example: [1] } } }"},
	} {
		e := echo.New()
		changed := strings.Replace(things, change[0], change[1], 1)
		if changed == things {
			t.Fatalf("%s: nothing changed", name)
		}
		if err := errors.Join(docs.Register(e, []byte(changed), publicURL), docs.RegisterCollection(e, []byte(changed), publicURL)); err != nil {
			t.Fatal(err)
		}
		c := postman(t, e)
		if got := len(requests(t, c)); got != 3 || len(c.contract(t).Operations) != 3 {
			t.Errorf("%s: there are %d requests", name, got)
		}
		if body := requests(t, c)["get /things/{thing_id}"].Request.Body.Raw; name == "a body" && body != "{\n  \"kind\": \"big\"\n}" || name == "a list as a body" && body != "[\n  1\n]" {
			t.Errorf("%s: it is %s", name, body)
		}
	}
}
