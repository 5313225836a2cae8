package docs

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// request makes the request of an operation and records what after.js needs of the operation.
func (m *maker) request(method, path string, item, operation *yaml.Node) (object, error) {
	id := cmp.Or(text(operation, "operationId"), method+" "+path)
	own := m.special[id]
	security := find(operation, "security")
	if security == nil {
		security = find(m.root, "security")
	}
	if err := m.record(id, operation, security, own); err != nil {
		return nil, err
	}
	request := object{
		"method":      strings.ToUpper(method),
		"description": strings.TrimSpace(text(operation, "description") + "\n" + own.Note),
	}
	if auth := m.auth(list(security), own); auth != nil {
		request["auth"] = auth
	}
	url, header := m.address(path, slices.Concat(list(find(item, "parameters")), list(find(operation, "parameters"))), own.Values)
	mediaType, body, err := m.body(find(operation, "requestBody"), own.Values)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request["body"] = body
		header = append(header, object{"key": "Content-Type", "value": mediaType})
	}
	request["url"], request["header"] = url, header
	return object{
		"id": id, "name": cmp.Or(text(operation, "summary"), id), "request": request,
		"event": []object{event("prerequest", fmt.Sprintf("pm.variables.set('operationId', %q);", id))},
	}, nil
}

func (m *maker) record(id string, operation, security *yaml.Node, own special) error {
	who, err := decode(security)
	if err != nil {
		return err
	}
	answers, err := decode(find(operation, "responses"))
	if err != nil {
		return err
	}
	accepts := own.Accepts
	if accepts == nil {
		accepts = map[string]string{}
	}
	// The example of a contract may name nothing that exists, or, in the second run, something that exists.
	for _, status := range []string{"404", "409"} {
		if len(own.Values) == 0 && find(operation, "responses", status) != nil && accepts[status] == "" {
			accepts[status] = ""
		}
	}
	m.operations[id] = object{"security": who, "responses": jsonSchema(answers, true), "accepts": accepts}
	return nil
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
		if !own {
			value = scalar(m.example(p))
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

// body fills in the first example of the first media type. In a JSON body the values of requests.yaml are JSON.
func (m *maker) body(requestBody *yaml.Node, values map[string]string) (mediaType string, body object, err error) {
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
		if mediaType == "application/x-www-form-urlencoded" {
			form := []object{}
			for name, value := range pairs(example) {
				form = append(form, object{"key": name, "value": cmp.Or(values[name], scalar(value)), "description": text(deref(m.root, find(schema, name)), "description")})
			}
			return mediaType, object{"mode": "urlencoded", "urlencoded": form}, nil
		}
		raw, err := rawBody(example, values)
		return mediaType, object{"mode": "raw", "raw": raw}, err
	}
	return "", nil, nil
}

func rawBody(example *yaml.Node, values map[string]string) (string, error) {
	var compact bytes.Buffer
	if example.Kind != yaml.MappingNode {
		err := writeJSON(&compact, example)
		return compact.String(), err
	}
	var members []string
	for name, value := range pairs(example) {
		compact.Reset()
		if err := writeJSON(&compact, value); err != nil {
			return "", err
		}
		members = append(members, fmt.Sprintf("  %q: %s", name, cmp.Or(values[name], strings.TrimSpace(compact.String()))))
	}
	return "{\n" + strings.Join(members, ",\n") + "\n}", nil
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

func scalar(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}
