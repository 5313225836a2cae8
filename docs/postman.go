package docs

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The collection has two scripts, before.js and after.js, which run before and after each request; common.js is in
// front of both. requests.yaml says what the contract cannot say about Sesame's own operations.
//
//go:embed postman
var postmanFiles embed.FS

// postman returns the contract as a Postman collection that runs against base.
func postman(openAPI []byte, base string) func() (*resource, error) {
	return func() (*resource, error) {
		collection, err := makeCollection(openAPI, base)
		if err != nil {
			return nil, fmt.Errorf("docs: Postman collection: %w", err)
		}
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "\t")
		if err := enc.Encode(collection); err != nil {
			return nil, err
		}
		return newResource("application/json", text.Bytes())
	}
}

// object is a part of a collection: https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
type object = map[string]any

const aboutCollection = `Made from the contract by the server itself: %[1]s/docs/postman.json

Set the variables ` + "`username` and `password`" + ` in an environment. The collection logs in by itself, refreshes the
token, and compares every answer with the contract. It does not store the password, and a run leaves the account
unchanged.`

const aboutGuest = `
**Not your account:** the collection registers a guest with a random name and password before this request and deletes
it afterwards. When registration is closed, the request is skipped. To act on your own account, let the request inherit
its authorization.`

// maker makes a collection.
type maker struct {
	root       *yaml.Node
	special    map[string]special // by operationId
	operations object             // what after.js knows of each operation, by operationId
	last       string             // the operationId of the last request
}

// special is what requests.yaml says of an operation.
type special struct {
	Note    string
	Values  map[string]string
	Token   string
	Accepts map[string]string
}

// makeCollection makes a folder for each tag and a request for each operation, in the order of the contract.
func makeCollection(openAPI []byte, base string) (object, error) {
	root, err := parse(openAPI)
	if err != nil {
		return nil, err
	}
	m := &maker{root: root, operations: object{}}
	if err = yaml.Unmarshal([]byte(script("requests.yaml")), &m.special); err != nil {
		return nil, err
	}
	folders, err := m.folders()
	if err != nil {
		return nil, err
	}
	contract, err := m.contract()
	if err != nil {
		return nil, err
	}
	return object{
		"info": object{
			"name": text(root, "info", "title"), "version": text(root, "info", "version"),
			"description": fmt.Sprintf(aboutCollection, base),
			"schema":      "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
		},
		"auth": bearer("accessToken"),
		"event": []object{
			event("prerequest", script("common.js", "before.js")),
			event("test", "// What openapi.yaml says of each operation.\nconst contract = "+contract+";\n\n"+script("common.js", "after.js")),
		},
		"variable": []object{
			{"key": "baseUrl", "value": base},
			{"key": "scope", "value": strings.Join(m.scopes(), " "), "description": "Scopes that a login requests. It gets those that the account has."},
		},
		"item": folders,
	}, nil
}

// methods are the keys of a path item that hold operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

func (m *maker) folders() ([]object, error) {
	var names []string
	descriptions := map[string]string{}
	for _, tag := range list(find(m.root, "tags")) {
		names = append(names, text(tag, "name"))
		descriptions[text(tag, "name")] = text(tag, "description")
	}
	folders := map[string][]object{}
	for path, item := range pairs(find(m.root, "paths")) {
		for method, operation := range pairs(item) {
			if !slices.Contains(methods, method) {
				continue
			}
			request, err := m.request(method, path, item, operation)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			name := "Operations"
			if tags := list(find(operation, "tags")); len(tags) > 0 {
				name = tags[0].Value
			}
			names = append(names, name)
			folders[name] = append(folders[name], request)
		}
	}
	var items []object
	for _, name := range names {
		if requests := folders[name]; len(requests) > 0 {
			items = append(items, object{"name": name, "description": descriptions[name], "item": requests})
			m.last = requests[len(requests)-1]["id"].(string)
			delete(folders, name)
		}
	}
	return items, nil
}

// scopes are all that the contract declares.
func (m *maker) scopes() (scopes []string) {
	for _, scheme := range pairs(find(m.root, "components", "securitySchemes")) {
		for _, flow := range pairs(find(scheme, "flows")) {
			for scope := range pairs(find(flow, "scopes")) {
				if !slices.Contains(scopes, scope) {
					scopes = append(scopes, scope)
				}
			}
		}
	}
	return scopes
}

// contract returns, in JSON, what after.js compares answers with. Its schemas are JSON Schema.
func (m *maker) contract() (string, error) {
	components := object{}
	for _, name := range []string{"schemas", "responses"} {
		part, err := decode(find(m.root, "components", name))
		if err != nil {
			return "", err
		}
		components[name] = jsonSchema(part, true)
	}
	text, err := json.Marshal(object{"operations": m.operations, "components": components, "last": m.last})
	return string(text), err
}

// decode returns the value of a node with strings for keys, as JSON has them.
func decode(n *yaml.Node) (value any, err error) {
	if n == nil {
		return nil, nil
	}
	var text bytes.Buffer
	if err = writeJSON(&text, n); err != nil {
		return nil, err
	}
	return value, json.Unmarshal(text.Bytes(), &value)
}

// formats are those that Postman's validator (Ajv 6) knows and OpenAPI has. It fails on any other.
var formats = []any{nil, "date", "date-time", "email", "uri", "uuid"}

// jsonSchema turns the schemas in a part of an OpenAPI 3.0 document into JSON Schema, which has a type for null and
// numbers for exclusive bounds. It drops what validation does not need. The keys of a map with names are no keywords.
func jsonSchema(part any, names bool) any {
	switch part := part.(type) {
	case []any:
		for i := range part {
			part[i] = jsonSchema(part[i], false)
		}
	case object:
		for key, value := range part {
			part[key] = jsonSchema(value, !names && key == "properties")
		}
		if names {
			return part
		}
		for _, annotation := range []string{"description", "example", "examples", "default", "headers", "links"} {
			delete(part, annotation)
		}
		if !slices.Contains(formats, part["format"]) {
			delete(part, "format")
		}
		for exclusive, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
			switch part[exclusive] {
			case true:
				part[exclusive] = part[bound]
				delete(part, bound)
			case false:
				delete(part, exclusive)
			}
		}
		if part["nullable"] == true {
			delete(part, "nullable")
			return object{"anyOf": []any{part, object{"type": "null"}}}
		}
	}
	return part
}

func bearer(variable string) object {
	return object{"type": "bearer", "bearer": []object{{"key": "token", "value": "{{" + variable + "}}", "type": "string"}}}
}

func event(listen, code string) object {
	return object{"listen": listen, "script": object{"type": "text/javascript", "exec": strings.Split(code, "\n")}}
}

// script returns files of postman/, one after the other. A missing file is a mistake in this package, which every test
// of it finds.
func script(names ...string) (code string) {
	for _, name := range names {
		b, err := postmanFiles.ReadFile("postman/" + name)
		if err != nil {
			panic(err)
		}
		code += string(b)
	}
	return code
}
