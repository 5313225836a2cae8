package docs

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scripts are what people wrote for the collection. OPERATION.before.js runs before the request of an
// operation and OPERATION.after.js after it, collection.before.js and every.after.js before and after
// each, last.after.js after the last. requests.yaml says what else is special about a request.
//
//go:embed postman
var scripts embed.FS

// postman is the contract as a Postman collection that runs against base.
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

// The parts of a collection (https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html)
// that are used here.
type (
	pmCollection struct {
		Info struct {
			Name        string `json:"name"`
			Description string `json:"description"`
			Version     string `json:"version"`
			Schema      string `json:"schema"`
		} `json:"info"`
		Auth     *pmAuth   `json:"auth"`
		Event    []pmEvent `json:"event"`
		Variable []pmPair  `json:"variable"`
		Item     []pmItem  `json:"item"`
	}
	// pmItem is a folder, with items, or a request.
	pmItem struct {
		Name        string     `json:"name"`
		Description string     `json:"description,omitempty"`
		Item        []pmItem   `json:"item,omitempty"`
		Request     *pmRequest `json:"request,omitempty"`
		Event       []pmEvent  `json:"event,omitempty"`
	}
	pmRequest struct {
		Method      string   `json:"method"`
		Description string   `json:"description"`
		Auth        *pmAuth  `json:"auth,omitempty"`
		Header      []pmPair `json:"header"`
		Body        *pmBody  `json:"body,omitempty"`
		URL         pmURL    `json:"url"`
	}
	pmURL struct {
		Raw      string   `json:"raw"`
		Host     []string `json:"host"`
		Path     []string `json:"path"`
		Query    []pmPair `json:"query,omitempty"`
		Variable []pmPair `json:"variable,omitempty"`
	}
	pmBody struct {
		Mode       string   `json:"mode"`
		Raw        string   `json:"raw,omitempty"`
		URLEncoded []pmPair `json:"urlencoded,omitempty"`
	}
	pmAuth struct {
		Type   string   `json:"type"`
		Bearer []pmPair `json:"bearer,omitempty"`
		Basic  []pmPair `json:"basic,omitempty"`
	}
	pmPair struct {
		Key         string `json:"key"`
		Value       string `json:"value"`
		Type        string `json:"type,omitempty"`
		Description string `json:"description,omitempty"`
		Disabled    bool   `json:"disabled,omitempty"`
	}
	pmEvent struct {
		Listen string `json:"listen"`
		Script struct {
			Type string   `json:"type"`
			Exec []string `json:"exec"`
		} `json:"script"`
	}
)

const aboutCollection = `Made from the contract by the server itself: %[1]s/docs/postman.json

Give it the variables ` + "`username` and `password`" + ` in an environment. It logs in by itself, refreshes the
token, and checks every answer against the contract. The password is not kept, and a run leaves the account as
it was.`

// makeCollection reads the contract: a folder for each tag, a request for each operation, in the order
// in which they are written.
func makeCollection(openAPI []byte, base string) (*pmCollection, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("openapi.yaml is empty")
	}
	special, err := scripts.ReadFile("postman/requests.yaml")
	if err != nil {
		return nil, err
	}
	m := &requestMaker{root: doc.Content[0]}
	if err := yaml.Unmarshal(special, &m.special); err != nil {
		return nil, fmt.Errorf("requests.yaml: %w", err)
	}
	c := &pmCollection{Auth: bearer("accessToken")}
	c.Info.Name = text(m.root, "info", "title")
	c.Info.Description = fmt.Sprintf(aboutCollection, base)
	c.Info.Version = text(m.root, "info", "version")
	c.Info.Schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
	c.Variable = []pmPair{
		{Key: "baseUrl", Value: base},
		{Key: "scope", Value: strings.Join(m.scopes(), " "), Description: "What a login asks for; it gets what the account has."},
	}
	c.Event = []pmEvent{newEvent("prerequest", script("refusal.js", "common.js", "collection.before.js"))}
	if c.Item, err = m.folders(); err != nil {
		return nil, err
	}
	// The last request's script ends what the run opened.
	folder := c.Item[len(c.Item)-1]
	last := folder.Item[len(folder.Item)-1]
	test := &last.Event[len(last.Event)-1].Script
	test.Exec = append(test.Exec, script("common.js", "last.after.js")...)
	return c, nil
}

// folders are the tags, each with the requests of its operations.
func (m *requestMaker) folders() ([]pmItem, error) {
	var folders []pmItem
	for _, tag := range list(find(m.root, "tags")) {
		folders = append(folders, pmItem{Name: text(tag, "name"), Description: text(tag, "description")})
	}
	for path, item := range pairs(find(m.root, "paths")) {
		for method, operation := range pairs(item) {
			if !slices.Contains(methods, method) {
				continue
			}
			request, err := m.request(method, path, item, operation)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", text(operation, "operationId"), err)
			}
			tag := list(find(operation, "tags"))
			at := slices.IndexFunc(folders, func(f pmItem) bool { return len(tag) == 1 && f.Name == tag[0].Value })
			if at < 0 {
				return nil, fmt.Errorf("%s: has no tag that is declared", text(operation, "operationId"))
			}
			folders[at].Item = append(folders[at].Item, request)
		}
	}
	return slices.DeleteFunc(folders, func(f pmItem) bool { return len(f.Item) == 0 }), nil
}

// methods are the keys of a path that hold operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// scopes are all that the contract declares.
func (m *requestMaker) scopes() []string {
	var scopes []string
	for scheme := range values(find(m.root, "components", "securitySchemes")) {
		for flow := range values(find(scheme, "flows")) {
			for scope := range pairs(find(flow, "scopes")) {
				if !slices.Contains(scopes, scope) {
					scopes = append(scopes, scope)
				}
			}
		}
	}
	return scopes
}

func bearer(variable string) *pmAuth {
	return &pmAuth{Type: "bearer", Bearer: []pmPair{{Key: "token", Value: "{{" + variable + "}}", Type: "string"}}}
}
