package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// requestMaker makes the requests of a Postman collection.
type requestMaker struct {
	root    *yaml.Node
	special map[string]special // by operationId
}

// special is what requests.yaml says of one operation.
type special struct {
	Note    string
	Values  map[string]string // each is taken out when it is used
	Token   string
	Accepts map[int]string
}

// contract is what every.after.js knows of an operation.
type contract struct {
	OperationID string            `json:"operationId"`
	Scopes      [][]string        `json:"scopes"`  // any of these sets of scopes will do; empty for no need
	Answers     map[string]answer `json:"answers"` // the successes, by status
	Accepts     map[int]string    `json:"accepts"` // refusals that are fine: the code, by status
}

// answer is empty where there is no body.
type answer struct {
	MediaType string `json:"mediaType,omitempty"`
	Schema    any    `json:"schema,omitempty"`
}

func (m *requestMaker) request(method, path string, item, operation *yaml.Node) (pmItem, error) {
	id := text(operation, "operationId")
	own := m.special[id]
	r := &pmRequest{
		Method:      strings.ToUpper(method),
		Description: strings.TrimSpace(text(operation, "description") + "\n" + own.Note),
		Header:      []pmPair{},
	}
	r.URL.Host = []string{"{{baseUrl}}"}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			segment = ":" + strings.TrimSuffix(name, "}")
		}
		r.URL.Path = append(r.URL.Path, segment)
	}
	parameters := slices.Concat(list(find(item, "parameters")), list(find(operation, "parameters")))
	if err := m.parameters(r, parameters, own); err != nil {
		return pmItem{}, err
	}
	if err := m.body(r, find(operation, "requestBody"), own); err != nil {
		return pmItem{}, err
	}
	r.URL.Raw = rawURL(r.URL)
	if len(own.Values) > 0 {
		return pmItem{}, fmt.Errorf("requests.yaml has values for what is neither a parameter nor in the example: %v", own.Values)
	}
	c, err := m.contract(operation, r, own)
	if err != nil {
		return pmItem{}, err
	}
	events, err := c.events()
	return pmItem{Name: text(operation, "summary"), Request: r, Event: events}, err
}

// parameters fills in the examples. What may be left out is there, but switched off.
func (m *requestMaker) parameters(r *pmRequest, parameters []*yaml.Node, own special) error {
	for _, p := range parameters {
		p = m.follow(p)
		name, in := text(p, "name"), text(p, "in")
		pair := pmPair{Key: name, Description: text(p, "description"), Disabled: text(p, "required") != "true"}
		if value, ok := own.Values[name]; ok {
			pair.Value = value
			pair.Disabled = false
			delete(own.Values, name)
		} else if example := m.example(p); example != nil {
			pair.Value = example.Value
		} else {
			return fmt.Errorf("the parameter %s has no example", name)
		}
		switch in {
		case "path":
			r.URL.Variable = append(r.URL.Variable, pair)
		case "query":
			r.URL.Query = append(r.URL.Query, pair)
		case "header":
			r.Header = append(r.Header, pair)
		default:
			return fmt.Errorf("the parameter %s is in %s, which is not supported", name, in)
		}
	}
	return nil
}

// body fills in the first example of the first media type.
func (m *requestMaker) body(r *pmRequest, requestBody *yaml.Node, own special) error {
	for mediaType, content := range pairs(find(m.follow(requestBody), "content")) {
		example := m.example(content)
		if example == nil || example.Kind != yaml.MappingNode {
			return errors.New("the body has no example that is an object")
		}
		r.Header = append(r.Header, pmPair{Key: "Content-Type", Value: mediaType})
		properties := find(m.follow(find(content, "schema")), "properties")
		switch mediaType {
		case "application/json":
			r.Body = &pmBody{Mode: "raw"}
			var members []string
			for name, value := range pairs(example) {
				var b bytes.Buffer
				if own.Values[name] != "" {
					b.WriteString(own.Values[name])
					delete(own.Values, name)
				} else if err := writeJSON(&b, value); err != nil {
					return err
				}
				members = append(members, fmt.Sprintf("  %q: %s", name, strings.TrimSpace(b.String())))
			}
			r.Body.Raw = "{\n" + strings.Join(members, ",\n") + "\n}"
		case "application/x-www-form-urlencoded":
			r.Body = &pmBody{Mode: "urlencoded"}
			for name, value := range pairs(example) {
				pair := pmPair{Key: name, Value: value.Value, Description: text(m.follow(find(properties, name)), "description")}
				if own.Values[name] != "" {
					pair.Value = own.Values[name]
					delete(own.Values, name)
				}
				r.Body.URLEncoded = append(r.Body.URLEncoded, pair)
			}
		default:
			return fmt.Errorf("a body of type %s is not supported", mediaType)
		}
		return nil
	}
	return nil
}

// contract reads who may call the operation, which decides the request's authorization, and what it
// answers then.
func (m *requestMaker) contract(operation *yaml.Node, r *pmRequest, own special) (*contract, error) {
	c := &contract{OperationID: text(operation, "operationId"), Scopes: [][]string{}, Accepts: map[int]string{}}
	for status, code := range own.Accepts {
		c.Accepts[status] = code
	}
	security := find(operation, "security")
	if security == nil {
		security = find(m.root, "security")
	}
	open := len(list(security)) == 0
	for _, all := range list(security) {
		scopes := []string{}
		for _, needed := range all.Content {
			for _, scope := range list(needed) {
				scopes = append(scopes, scope.Value)
			}
		}
		c.Scopes = append(c.Scopes, scopes)
		open = open || len(all.Content) == 0
	}
	switch {
	case own.Token != "": // of another account, whose scopes the collection does not know
		r.Auth, c.Scopes = bearer(own.Token), [][]string{}
	case open:
		r.Auth, c.Scopes = &pmAuth{Type: "noauth"}, [][]string{}
	default:
		scheme := find(m.root, "components", "securitySchemes", list(security)[0].Content[0].Value)
		if text(scheme, "scheme") == "basic" {
			r.Auth = &pmAuth{Type: "basic", Basic: []pmPair{{Key: "username", Value: "{{clientId}}"}, {Key: "password", Value: "{{clientSecret}}"}}}
			c.Scopes = [][]string{}
		}
	}
	// The example in a path names nothing that exists; a script of one's own would look for something.
	if len(r.URL.Variable) > 0 && !exists(c.OperationID+".before.js") && find(operation, "responses", "404") != nil {
		c.Accepts[404] = "not_found"
	}
	var err error
	c.Answers, err = m.answers(find(operation, "responses"))
	return c, err
}

// answers are the successes that an operation documents.
func (m *requestMaker) answers(responses *yaml.Node) (map[string]answer, error) {
	answers := map[string]answer{}
	for status, response := range pairs(responses) {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		answers[status] = answer{}
		for mediaType, content := range pairs(find(m.follow(response), "content")) {
			a := answer{MediaType: mediaType}
			if strings.HasSuffix(mediaType, "json") {
				schema, err := jsonSchema(m.root, find(content, "schema"))
				if err != nil {
					return nil, err
				}
				a.Schema = schema
			}
			answers[status] = a
			break
		}
	}
	if len(answers) == 0 {
		return nil, errors.New("documents no success")
	}
	return answers, nil
}

// example is the first that n has, or that its schema has.
func (m *requestMaker) example(n *yaml.Node) *yaml.Node {
	if e := find(n, "example"); e != nil {
		return e
	}
	for e := range values(find(n, "examples")) {
		return find(m.follow(e), "value")
	}
	return find(m.follow(find(n, "schema")), "example")
}

// follow gives what n refers to, or n.
func (m *requestMaker) follow(n *yaml.Node) *yaml.Node {
	ref, local := strings.CutPrefix(text(n, "$ref"), "#/")
	if !local {
		return n
	}
	return m.follow(find(m.root, strings.Split(ref, "/")...))
}

// rawURL is the address as it is shown and typed.
func rawURL(u pmURL) string {
	raw := u.Host[0] + "/" + strings.Join(u.Path, "/")
	separator := "?"
	for _, q := range u.Query {
		if !q.Disabled {
			raw += separator + q.Key + "=" + q.Value
			separator = "&"
		}
	}
	return raw
}

// events are the scripts of an operation: NAME.before.js, where there is one, and the check of every
// answer, which knows the contract, with NAME.after.js behind it.
func (c *contract) events() ([]pmEvent, error) {
	known, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	check := script("refusal.js", "every.after.js")
	check = append([]string{"// What openapi.yaml says of this operation.", "const contract = " + string(known) + ";", ""}, check...)
	if after := c.OperationID + ".after.js"; exists(after) {
		check = append(check, script("common.js", after)...)
	}
	test := newEvent("test", check)
	if before := c.OperationID + ".before.js"; exists(before) {
		return []pmEvent{newEvent("prerequest", script("refusal.js", "common.js", before)), test}, nil
	}
	return []pmEvent{test}, nil
}

func newEvent(listen string, lines []string) pmEvent {
	e := pmEvent{Listen: listen}
	e.Script.Type = "text/javascript"
	e.Script.Exec = lines
	return e
}

// script gives the lines of embedded files, one after the other. A missing one is a mistake in this
// package, and shows in every test of it.
func script(names ...string) []string {
	var lines []string
	for _, name := range names {
		b, err := scripts.ReadFile("postman/" + name)
		if err != nil {
			panic(err)
		}
		lines = append(lines, strings.Split(string(b), "\n")...)
	}
	return lines
}

func exists(name string) bool {
	_, err := fs.Stat(scripts, "postman/"+name)
	return err == nil
}

// pairs iterates over the members of a mapping, in their order; over nothing if n is nil.
func pairs(n *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		for i := 1; n != nil && n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			if !yield(n.Content[i-1].Value, n.Content[i]) {
				return
			}
		}
	}
}

// list is what a sequence holds; nothing if n is nil.
func list(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// text is the scalar under the keys; "" if there is none.
func text(n *yaml.Node, keys ...string) string {
	if n = find(n, keys...); n == nil {
		return ""
	}
	return n.Value
}
