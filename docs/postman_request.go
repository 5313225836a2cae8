package docs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// request makes the request of an operation and records what after.js needs to know of the operation.
func (m *maker) request(method, path string, item, operation *yaml.Node) (object, error) {
	id := cmp.Or(text(operation, "operationId"), method+" "+path)
	own := m.special[id]
	security := find(operation, "security")
	if security == nil {
		security = find(m.root, "security")
	}
	callers, errCallers := decode(security)
	responses, errResponses := decode(find(operation, "responses"))
	m.operations[id] = object{"security": callers, "responses": jsonSchema(responses, true), "accepts": accepted(operation, own)}

	description := text(operation, "description") + "\n" + own.Note
	if own.Token != "" {
		description += aboutGuest
	}
	url, header := m.address(path, slices.Concat(list(find(item, "parameters")), list(find(operation, "parameters"))), own.Values)
	request := object{"method": strings.ToUpper(method), "description": strings.TrimSpace(description), "url": url}
	if auth := m.auth(list(security), own); auth != nil {
		request["auth"] = auth
	}
	mediaType, body, errBody := m.body(find(operation, "requestBody"), own.Values)
	if body != nil {
		request["body"] = body
		header = append(header, object{"key": "Content-Type", "value": mediaType})
	}
	request["header"] = header
	made := object{
		"id": id, "name": cmp.Or(text(operation, "summary"), id), "request": request,
		"event": []object{event("prerequest", fmt.Sprintf("pm.variables.set('operationId', %q);", id))},
	}
	if redirects(operation) {
		made["protocolProfileBehavior"] = object{"followRedirects": false}
	}
	return made, errors.Join(errCallers, errResponses, errBody)
}

// redirects reports whether an operation can send a browser elsewhere. The answer itself is what the contract describes, and the
// address in it may be that of an example.
func redirects(operation *yaml.Node) bool {
	for status := range pairs(find(operation, "responses")) {
		if strings.HasPrefix(status, "3") {
			return true
		}
	}
	return false
}

// accepted returns the error answers that are expected too. The example of a contract may name something that does not
// exist, or that the run before this one has created.
func accepted(operation *yaml.Node, own special) map[string]string {
	accepts := map[string]string{}
	for _, status := range []string{"404", "409"} {
		if len(own.Values) == 0 && find(operation, "responses", status) != nil {
			accepts[status] = ""
		}
	}
	maps.Copy(accepts, own.Accepts)
	return accepts
}

// auth is the authorization of a request; nil where it inherits the login of the collection.
func (m *maker) auth(security []*yaml.Node, own special) object {
	open := func(n *yaml.Node) bool { return len(n.Content) == 0 }
	switch {
	case own.Token != "":
		return bearer(own.Token)
	case len(security) == 0 || slices.ContainsFunc(security, open):
		return object{"type": "noauth"}
	case text(m.root, "components", "securitySchemes", security[0].Content[0].Value, "scheme") == "basic":
		return object{"type": "basic", "basic": []object{{"key": "username", "value": "{{clientId}}"}, {"key": "password", "value": "{{clientSecret}}"}}}
	}
	return nil
}

// address returns the URL and the header of a request. Optional parameters are there, but disabled.
func (m *maker) address(path string, parameters []*yaml.Node, values map[string]string) (url object, header []object) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			segments[i] = ":" + strings.TrimSuffix(name, "}")
		}
	}
	in := map[string][]object{"header": {}, "path": {}, "query": {}}
	raw, separator := "{{baseUrl}}/"+strings.Join(segments, "/"), "?"
	for _, p := range parameters {
		p = deref(m.root, p)
		name := text(p, "name")
		value, own := values[name]
		if example := m.example(p); !own && example != nil {
			value = example.Value
		}
		disabled := !own && text(p, "required") != "true"
		in[text(p, "in")] = append(in[text(p, "in")], object{"key": name, "value": value, "description": text(p, "description"), "disabled": disabled})
		if text(p, "in") == "query" && !disabled {
			raw += separator + name + "=" + value
			separator = "&"
		}
	}
	return object{"raw": raw, "host": []string{"{{baseUrl}}"}, "path": segments, "query": in["query"], "variable": in["path"]}, in["header"]
}

// body fills in the first example of the first media type.
func (m *maker) body(requestBody *yaml.Node, values map[string]string) (string, object, error) {
	for mediaType, content := range pairs(find(deref(m.root, requestBody), "content")) {
		schema := find(deref(m.root, find(content, "schema")), "properties")
		example := m.example(content)
		if example == nil { // one example for each property
			example = &yaml.Node{Kind: yaml.MappingNode}
			for name, property := range pairs(schema) {
				if value := m.example(deref(m.root, property)); value != nil {
					example.Content = append(example.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
				}
			}
		}
		form := []object{}
		for name, value := range pairs(example) {
			if own, ok := values[name]; ok {
				*value = yaml.Node{Kind: yaml.ScalarNode, Value: own, Tag: "!!str"}
			}
			form = append(form, object{"key": name, "value": value.Value, "description": text(deref(m.root, find(schema, name)), "description")})
		}
		if mediaType == "application/x-www-form-urlencoded" {
			return mediaType, object{"mode": "urlencoded", "urlencoded": form}, nil
		}
		var compact, indented bytes.Buffer
		err := writeJSON(&compact, example)
		if err == nil {
			err = json.Indent(&indented, compact.Bytes(), "", "  ")
		}
		return mediaType, object{"mode": "raw", "raw": indented.String()}, err
	}
	return "", nil, nil
}

// example is the first that n has, or that its schema has.
func (m *maker) example(n *yaml.Node) *yaml.Node {
	if e := find(n, "example"); e != nil {
		return e
	}
	for _, e := range pairs(find(n, "examples")) {
		return find(deref(m.root, e), "value")
	}
	return find(deref(m.root, find(n, "schema")), "example")
}
