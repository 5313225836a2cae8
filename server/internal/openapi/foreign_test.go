package openapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// A fault of a document is one sentence with the file, the line, a JSON Pointer where there is one, and what to do.
func TestFaultsOfDocumentsNameTheirPlace(t *testing.T) {
	t.Parallel()
	const head = "openapi: 3.0.3\ninfo: { title: t, version: '1' }\n"
	const jsonHead = "{\"openapi\": \"3.0.3\",\n\"info\": {\"title\": \"t\", \"version\": \"1\"},\n"
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	for name, c := range map[string]struct{ text, want string }{
		"a.json: cut off":        {jsonHead + "\"paths\": {", "a.json, line 3, #/paths: the JSON ends too early; the file may be cut off"},
		"b.json: no JSON":        {jsonHead + "\"paths\": {'a': 1}}", "b.json, line 3, #/paths: is not valid JSON: invalid character '\\''"},
		"c.json: a key twice":    {jsonHead + "\"paths\": {},\n\"paths\": {}}", "c.json, line 4, #/paths: the key \"paths\" is there twice; remove one"},
		"d.json: two values":     {jsonHead + "\"paths\": {}}\n{}", "d.json, line 4: a second value follows the document; leave one"},
		"e.json: Latin-1":        {"{\"openapi\": \"\xe9\"}", "e.json, line 1, #/openapi: the text is not UTF-8; save the file as UTF-8"},
		"f.json: half an emoji":  {"{\"openapi\": \"\\ud83c\"}", "f.json, line 1, #/openapi: is not valid JSON"},
		"g.json: deep":           {jsonHead + "\"x-deep\": " + deep + "}", "too large or too deep"},
		"a.yaml: no YAML":        {head + "paths:\n\t/a: {}\n", "a.yaml, line 4: is not valid YAML: found character that cannot start any token"},
		"b.yaml: a key twice":    {head + "paths: {}\npaths: {}\n", "b.yaml, line 4: the key paths is there twice"},
		"c.yaml: two documents":  {head + "paths: {}\n---\na: b\n", "c.yaml holds more than one YAML document; leave one"},
		"d.yaml: aliases":        {bomb(), "too large or too deep, perhaps by its aliases"},
		"e.yaml: deep":           {head + "x-deep: " + deep + "\n", "too large or too deep"},
		"f.yaml: empty":          {"# nothing\n", "f.yaml is not an OpenAPI document: it is empty"},
		"g.yaml: a list":         {"- a\n", "g.yaml is no OpenAPI document: it is not a mapping"},
		"h.yaml: something else": {"a: b\n", "h.yaml is not an OpenAPI document: it has no member openapi; this program reads OpenAPI 3.0 and 3.1, and Swagger 2.0"},
		"i.yaml: 3.2":            {"info: {}\nopenapi: 3.2.0\n", `i.yaml, line 2, #/openapi: the document is OpenAPI "3.2.0"; this program reads OpenAPI 3.0 and 3.1, and Swagger 2.0: write it in one of these`},
		"j.yaml: 30":             {"openapi: 30\n", `j.yaml, line 1, #/openapi: the document is OpenAPI "30"`},
		"k.yaml: Swagger 1.2":    {"swagger: '1.2'\n", `k.yaml, line 1, #/swagger: the document is Swagger "1.2"; convert it to OpenAPI 3 first`},
		"l.yaml: Swagger":        {"swagger: '2.0'\npaths: { /a: { get: { responses: { '200': { $ref: other.yaml } } } } }\n", "l.yaml, line 2, #/paths/~1a/get/responses/200: $ref other.yaml is outside of the document; bundle it into one file first"},
		"m.yaml: Swagger":        {"swagger: '2.0'\nhost: a.example/v1\npaths: {}\n", `m.yaml: this Swagger 2.0 document cannot be converted (invalid host "a.example/v1"`},
		"n.yaml: another file":   {head + "paths: { /a: { $ref: other.yaml } }\n", "n.yaml, line 3, #/paths/~1a: $ref other.yaml is outside of the document; bundle it into one file first"},
		"o.yaml: nothing there":  {head + "paths: { /a: { get: { responses: { '200': { $ref: '#/components/responses/B' } } } } }\n", "o.yaml, line 3, #/paths/~1a/get/responses/200: $ref #/components/responses/B refers to nothing; correct it, or add what is missing"},
		"y.yaml: the document":   {head + "paths: {}\ncomponents: { schemas: { A: { $ref: '#' } } }\n", "y.yaml, line 4, #/components/schemas/A: $ref # refers to the whole document; refer to a part of it"},
		"p.yaml: itself":         {head + "paths: {}\ncomponents: { schemas: { A: { $ref: '#/components/schemas/B' }, B: { $ref: '#/components/schemas/A' } } }\n", "p.yaml, line 4, #/components/schemas/A: $ref #/components/schemas/B leads back to itself"},
		"q.yaml: a list of text": {head + "paths: { /a: { get: { tags: pets, responses: {} } } }\n", "q.yaml, line 3, #/paths/~1a/get/tags: must be a list, but is pets"},
		"r.yaml: a mapping":      {head + "paths: { /a: { get: { responses: [ok] } } }\n", "r.yaml, line 3, #/paths/~1a/get/responses: must be a mapping, but is a list"},
		"s.yaml: a flag":         {head + "paths: {}\ncomponents: { schemas: { A: { nullable: maybe } } }\n", "s.yaml, line 4, #/components/schemas/A/nullable: must be true or false, but is maybe"},
		"t.yaml: a number":       {head + "paths: {}\ncomponents: { schemas: { A: { minLength: [1] } } }\n", "t.yaml, line 4, #/components/schemas/A/minLength: must be a number, but is a list"},
		"u.yaml: a security":     {head + "security: { a: [] }\npaths: {}\n", "u.yaml, line 3, #/security: must be a list, but is a mapping"},
		"x.yaml: nothing":        {head + "security: [null]\npaths: {}\n", "x.yaml, line 3, #/security/0: is empty; remove it, or write what belongs here"},
		"y.yaml: a mapping":      {head + "paths: {}\ncomponents: { schemas: { A: { discriminator: { propertyName: p, mapping: { a: '#/components/schemas/B' } } } } }\n", "y.yaml, line 4, #/components/schemas/A/discriminator/mapping/a: $ref #/components/schemas/B refers to nothing"},
		"v.yaml: too large":      {head + "x-long: " + strings.Repeat("x", maxSize) + "\n", "v.yaml is larger than 32 MiB; split it into several documents"},
		"w.yaml: a $ref":         {head + "paths: {}\ncomponents: { schemas: { A: { $ref: [a] } } }\n", "#/components/schemas/A/$ref: must be text, but is a list"},
	} {
		file, _, _ := strings.Cut(name, ":")
		_, err := ReadStrict(Document{file, []byte(c.text)}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 {
			t.Errorf("%s: got %.400v, want %q", name, err, c.want)
		}
	}
}

// The scalars of YAML become those of JSON: dates and numbers with leading zeros are no surprise, nor is a byte order mark.
func TestScalarsOfYAML(t *testing.T) {
	t.Parallel()
	f, err := ReadStrict(Document{"a.yaml", []byte("\ufeffopenapi: 3.0.3\ninfo: { title: 7, version: 2026-01-01 }\npaths: {}\n" +
		"x-values: { hex: 0x1F, long: 1_000, sign: +1, date: 2026-01-01, on: yes, none: ~, exponent: 1e3, endless: .inf, 200: key, true: key, quoted: '010' }\n")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := f.T()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(doc.Extensions["x-values"])
	const want = `{"200":"key","date":"2026-01-01","endless":".inf","exponent":1000,"hex":31,"long":1000,"none":null,"on":"yes","quoted":"010","sign":1,"true":"key"}`
	if string(text) != want || doc.Info.Title != "7" || doc.Info.Version != "2026-01-01" {
		t.Errorf("got %s, %v", text, doc.Info)
	}
}

// Adopt gives the service's own names way where Sesame has them, and never makes an operation public by a mistake.
func TestAdoptMakesRoom(t *testing.T) {
	t.Parallel()
	text, notes, err := Adopt(Document{"shop.yaml", []byte(`
openapi: 3.0.3
info: { title: Shop, version: 1.0 }
servers: [{ url: https://shop.example/v1 }]
paths:
  /carts:
    servers: [{ url: https://carts.example/v2 }]
    get:
      operationId: getUser
      security: [{ login: ['users:read', carts] }]
      servers: [{ url: https://fast.example }]
      responses:
        '200': { description: d, content: { application/json: { schema: { $ref: '#/components/schemas/User' } } } }
        '403': { $ref: '#/components/responses/Forbidden' }
        '404': { $ref: '#/components/responses/404' }
  /rows:
    get: { operationId: getUser2, responses: { '200': { description: d, content: { application/json: { schema: { $ref: '#/components/schemas/User/properties/name' } } } } } }
components:
  responses: { Forbidden: { description: Not for you }, '404': { description: Nothing } }
  schemas: { User: { type: object, required: true, x-go-type: other.User, properties: { name: { type: string, pattern: '^(?!x)' } } }, User2: { type: string } }
  securitySchemes: { login: { type: oauth2, flows: { implicit: { authorizationUrl: /a, scopes: { 'users:read': See the users, carts: See carts } } } } }
`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := AddLogin(Document{"shop.yaml", text})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	doc := load(t, merged)
	carts, rows := doc.Paths.Value("/v2/carts").Get, doc.Paths.Value("/v1/rows").Get
	if carts.OperationID != "getUser3" || rows.OperationID != "getUser2" || carts.Servers != nil {
		t.Errorf("got %s and %s, servers %v", carts.OperationID, rows.OperationID, carts.Servers)
	}
	ref := carts.Responses.Value("200").Value.Content["application/json"].Schema.Ref
	if ref != "#/components/schemas/User3" || rows.Responses.Value("200").Value.Content["application/json"].Schema.Value.Type == nil {
		t.Errorf("the schema is %s", ref)
	}
	if *carts.Responses.Value("403").Value.Description != "Not for you" {
		t.Errorf("got %q", *carts.Responses.Value("403").Value.Description)
	}
	for _, note := range []string{
		"shop.yaml, line 20, #/components/schemas/User/required: must be a list, but is true; it was removed", "components/schemas/User is User3 now", "components/responses/Forbidden is Forbidden2 now",
		"the operationId getUser is getUser3 now", "/carts is /v2/carts now", "GET /carts: the servers of the operation were removed", "the scope users:read is Sesame's own", "extensions such as x-go-type were removed (1)",
		"components/responses/404 is N404 now", "line 20: the pattern ^(?!x) was removed",
	} {
		if !strings.Contains(strings.Join(notes, "\n"), note) {
			t.Errorf("no note says %q:\n%s", note, strings.Join(notes, "\n"))
		}
	}
	for name, security := range map[string]string{
		"a mapping": "security: { login: [] }\n", "a text": "security: [login]\n", "scopes": "security: [{ login: carts }]\n",
	} {
		_, _, err := Adopt(Document{"shop.yaml", []byte("openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths: {}\n" + security)}, nil)
		if err == nil || !strings.Contains(err.Error(), "shop.yaml, line 4, #/security") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	_, _, err = Adopt(Document{"shop.yaml", []byte("openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths:\n  /users/{id}: {}\n")}, nil)
	if want := "shop.yaml, line 4, #/paths/~1users~1{id}: Sesame has this path, too; give yours another one"; fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Swagger 2.0 and merge keys are no obstacle to adoption.
func TestAdoptReadsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"Swagger 2.0":  `{"swagger": "2.0", "info": {"title": "\ud83c\udf89", "version": "1"}, "basePath": "/v1", "securityDefinitions": {"token": {"type": "apiKey", "in": "header", "name": "authorization"}}, "security": [{"token": []}], "paths": {"/a": {"get": {"operationId": "a", "responses": {"200": {"description": "d", "schema": {"$ref": "#/definitions/A"}}}}}}, "definitions": {"A": {"type": "object"}}}`,
		"a merge key":  "openapi: 3.0.3\ninfo: { title: t, version: '1' }\nx-a: &a { description: d }\npaths: { /v1/a: { get: { operationId: a, responses: { '200': { <<: *a } } } } }\n",
		"tabs in JSON": "{\n\t\"openapi\": \"3.0.3\",\n\t\"info\": {\"title\": \"t\", \"version\": \"1\"},\n\t\"paths\": {\"/v1/a\": {\"get\": {\"operationId\": \"a\", \"responses\": {\"200\": {\"description\": \"\\ud83c\\udf89\"}}}}}\n}",
	} {
		adopted, _, err := Adopt(Document{"a", []byte(text)}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		merged, err := AddLogin(Document{"a", adopted})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if load(t, merged).Paths.Value("/v1/a") == nil {
			t.Errorf("%s: the path is lost:\n%s", name, adopted)
		}
	}
}

func load(t *testing.T, text []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc
}
