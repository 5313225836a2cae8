package docs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame/docs"
)

// things is a contract with what ours has not, or not yet.
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

func TestAnOperationWithoutAScriptGetsOneOfItsOwn(t *testing.T) {
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
		t.Errorf("what is optional is sent: %s", raw)
	}
	for i, want := range []string{"10 true", "abc true", "big false"} {
		q := list.Request.URL.Query[i]
		if got := q.Value + " " + map[bool]string{true: "true", false: "false"}[q.Disabled]; got != want {
			t.Errorf("%s is %s, want %s", q.Key, got, want)
		}
	}
	if scopes := list.contract(t).Scopes; len(scopes) != 1 || scopes[0][0] != "things:read" || list.Request.Auth != nil {
		t.Errorf("the global security is not applied: %v", scopes)
	}

	remove := found["deleteThing"]
	known := remove.contract(t)
	if remove.Request.URL.Raw != "{{baseUrl}}/things/:thing_id" || remove.Request.URL.Variable[0].Value != "t1" {
		t.Errorf("the path is %v", remove.Request.URL)
	}
	if len(known.Scopes) != 2 || len(known.Scopes[1]) != 2 {
		t.Errorf("the alternatives are %v", known.Scopes)
	}
	if known.Answers["202"].MediaType != "" || len(known.Answers) != 1 || known.Accepts["404"] != "not_found" {
		t.Errorf("it wants %v, and accepts %v", known.Answers, known.Accepts)
	}
	if auth := found["inspectThing"].Request.Auth; auth == nil || auth.Type != "basic" {
		t.Errorf("a client authenticates with %v", auth)
	}

	const want = `{
		"$ref": "#/definitions/Page",
		"definitions": {
			"Page": {"type": "object", "required": ["items"], "properties": {
				"items": {"type": "array", "items": {"$ref": "#/definitions/Thing"}},
				"next_cursor": {"type": ["string", "null"]}}},
			"Thing": {"type": "object", "properties": {
				"size": {"type": "integer", "exclusiveMinimum": 0},
				"kind": {"type": ["string", "null"], "enum": ["big", "small", null]},
				"made": {"type": "string", "format": "date-time"},
				"example": {"type": "boolean"},
				"in": {"anyOf": [{"allOf": [{"$ref": "#/definitions/Thing"}]}, {"type": "null"}]}}}}}`
	if got := list.contract(t).Answers["200"].Schema; !equalJSON(t, got, []byte(want)) {
		t.Errorf("the schema became %s", got)
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

func TestAContractThatMakesNoRequestIsRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"an undeclared tag":      {"tags: [Things]", "tags: [Others]"},
		"no example":             {", example: big", ""},
		"a cookie":               {"name: kind, in: query", "name: kind, in: cookie"},
		"no success":             {"'202'", "'302'"},
		"a schema that is lost":  {"$ref: '#/components/schemas/Thing' } }", "$ref: '#/components/schemas/Lost' } }"},
		"a schema of a stranger": {"$ref: '#/components/schemas/Page'", "$ref: 'other.yaml#/Page'"},
	} {
		e := echo.New()
		changed := strings.Replace(things, change[0], change[1], 1)
		if changed == things {
			t.Fatalf("%s: nothing changed", name)
		}
		if err := errors.Join(docs.Register(e, []byte(changed), publicURL), docs.RegisterCollection(e, []byte(changed), publicURL)); err != nil {
			t.Fatal(err)
		}
		if res := do(e, http.MethodGet, "/docs/postman.json"); res.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}
