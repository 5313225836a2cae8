// Package openapi makes one OpenAPI 3.0 document of two: that of a service, and Sesame's own. It works on the YAML as it is
// written, so comments and order survive, and names the lines of both where they collide.
//
//	document, err := openapi.Merge(openapi.Document{Name: "openapi.yaml", Text: service}, openapi.Document{Name: "Sesame's openapi.yaml", Text: login})
//
// Read Merge first; node.go has what it needs of YAML.
package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sesame"

	"go.yaml.in/yaml/v3"
)

// Document is an OpenAPI document and the name by which errors call it.
type Document struct {
	Name string
	Text []byte // YAML or JSON
}

// AddLogin merges a service's document with Sesame's.
func AddLogin(service Document) ([]byte, error) {
	return Merge(service, Document{Name: "Sesame's openapi.yaml", Text: sesame.OpenAPI})
}

// merger collects everything that keeps two documents apart.
type merger struct {
	service, login string // the names of the documents
	errs           []error
}

// Merge makes one document of two. The service's keeps its info, servers and tags; Sesame's operations, components and
// tags follow. The error names every path, operationId or component that both have, with the line in each.
//
// A component that is equal in both is one. A security scheme that both have is one too, and its scopes are those of
// both: so a service declares scopes of its own under OAuth2Password.
func Merge(service, login Document) ([]byte, error) {
	a, err := parse(service)
	if err != nil {
		return nil, err
	}
	b, err := parse(login)
	if err != nil {
		return nil, err
	}
	m := &merger{service: service.Name, login: login.Name}
	m.checkServers(a)
	m.keepSecurity(a, b)
	m.checkScopes(a, b)
	m.mergePaths(a, b)
	m.mergeTags(a, b)
	m.mergeComponents(a, b)
	if len(m.errs) > 0 {
		return nil, fmt.Errorf("%s and %s cannot be served together:\n%w", service.Name, login.Name, errors.Join(m.errs...))
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err = encoder.Encode(a); err != nil {
		return nil, fmt.Errorf("write the merged document: %w", err)
	}
	return text.Bytes(), encoder.Close()
}

func (m *merger) fail(format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf(format, args...))
}

// collide reports something that both documents have, and why that cannot be.
func (m *merger) collide(what string, a, b *yaml.Node, remedy string) {
	m.fail("%s is at %s, line %d, and at %s, line %d; %s", what, m.service, a.Line, m.login, b.Line, remedy)
}

// checkServers refuses an address: all operations are served at the public URL, which the pages and tools are told.
func (m *merger) checkServers(service *yaml.Node) {
	servers := value(service, "servers")
	if servers == nil {
		set(service, "servers", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{mapping("url", scalar("/"))}})
		return
	}
	for _, server := range servers.Content {
		if url := value(server, "url"); url == nil || url.Value != "/" {
			m.fail("%s, line %d: servers must be one with the url /, or absent: both documents are served at the public URL, which is put in its place", m.service, servers.Line)
			return
		}
	}
}

// operationFields are the members of a path item that are operations.
var operationFields = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

// keepSecurity writes Sesame's default for security into those of its operations that rely on it, since the
// service's default takes its place.
func (m *merger) keepSecurity(service, login *yaml.Node) {
	global := value(login, "security")
	if global == nil || same(global, value(service, "security")) {
		return
	}
	each(value(login, "paths"), func(_ string, _, item *yaml.Node) {
		each(item, func(method string, _, operation *yaml.Node) {
			if slices.Contains(operationFields, method) && value(operation, "security") == nil {
				set(operation, "security", global)
			}
		})
	})
}

var parameter = regexp.MustCompile(`\{[^{}]*\}`)

func (m *merger) mergePaths(service, login *yaml.Node) {
	paths := valueOrNew(service, "paths")
	known, ids := map[string]*yaml.Node{}, map[string]*yaml.Node{}
	each(paths, func(path string, key, item *yaml.Node) {
		known[parameter.ReplaceAllString(path, "{}")] = key
		operationIDs(item, func(id *yaml.Node) { ids[id.Value] = id })
	})
	each(value(login, "paths"), func(path string, key, item *yaml.Node) {
		if other := known[parameter.ReplaceAllString(path, "{}")]; other != nil {
			m.collide("the path "+path, other, key, "give yours another one")
		}
		operationIDs(item, func(id *yaml.Node) {
			if other := ids[id.Value]; other != nil {
				m.collide("the operationId "+id.Value, other, id, "rename yours")
			}
		})
		paths.Content = append(paths.Content, key, item)
	})
}

func operationIDs(item *yaml.Node, f func(id *yaml.Node)) {
	each(item, func(method string, _, operation *yaml.Node) {
		if id := value(operation, "operationId"); slices.Contains(operationFields, method) && id != nil {
			f(id)
		}
	})
}

func (m *merger) mergeTags(service, login *yaml.Node) {
	tags := value(login, "tags")
	if tags == nil {
		return
	}
	mine := value(service, "tags")
	if mine == nil {
		set(service, "tags", tags)
		return
	}
	for _, tag := range tags.Content {
		name := value(tag, "name")
		if !slices.ContainsFunc(mine.Content, func(t *yaml.Node) bool { return same(value(t, "name"), name) }) {
			mine.Content = append(mine.Content, tag)
		}
	}
}

func (m *merger) mergeComponents(service, login *yaml.Node) {
	mine := valueOrNew(service, "components")
	each(value(login, "components"), func(kind string, _, theirs *yaml.Node) {
		if strings.HasPrefix(kind, "x-") || theirs.Kind != yaml.MappingNode {
			return
		}
		mine := valueOrNew(mine, kind)
		each(theirs, func(name string, key, theirs *yaml.Node) {
			myKey, component := entry(mine, name)
			switch {
			case component == nil:
				mine.Content = append(mine.Content, key, theirs)
			case same(component, theirs):
			case kind == "securitySchemes" && component.Kind == yaml.MappingNode && theirs.Kind == yaml.MappingNode:
				m.mergeScheme("the security scheme "+name, component, theirs)
			default:
				m.collide("components/"+kind+"/"+name, myKey, key, "rename yours, or make it equal")
			}
		})
	})
}

// mergeScheme adds to a security scheme of the service what Sesame's has. Scopes are added to scopes, and lists of them
// to lists; the description is the service's, if it has one; whatever else both have must agree.
func (m *merger) mergeScheme(where string, mine, theirs *yaml.Node) {
	each(theirs, func(name string, key, theirs *yaml.Node) {
		myKey, member := entry(mine, name)
		switch {
		case member == nil:
			mine.Content = append(mine.Content, key, theirs)
		case name == "description" || same(member, theirs):
		case member.Kind == yaml.MappingNode && theirs.Kind == yaml.MappingNode:
			m.mergeScheme(where+", "+name, member, theirs)
		case member.Kind == yaml.SequenceNode && theirs.Kind == yaml.SequenceNode && strings.HasPrefix(name, "x-"):
			for _, item := range theirs.Content {
				if !slices.ContainsFunc(member.Content, func(n *yaml.Node) bool { return same(n, item) }) {
					member.Content = append(member.Content, item)
				}
			}
		default:
			m.collide(where+", "+name, myKey, key, "leave yours out, or make it equal")
		}
	})
}
