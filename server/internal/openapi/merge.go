// Package openapi merges the OpenAPI 3.0 document of a service with Sesame's own, and prepares existing documents for
// that. It works on YAML nodes, so comments and order survive, and errors name the lines of both documents.
//
//	document, err := openapi.AddLogin(openapi.Document{Name: "openapi.yaml", Text: service})
//
// Read Merge first; node.go has what it needs of YAML, and adopt.go prepares documents for `sesame new --spec`. Documents that
// were written without Sesame are read by read.go: json.go and expand.go parse them, bundle.go walks through them by the
// grammar in grammar.go, and reference.go follows what they refer to.
package openapi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"sesame"
)

// Document is an OpenAPI document, with the name that errors use for it.
type Document struct {
	Name string
	Text []byte // YAML or JSON
}

// AddLogin merges a service's document with Sesame's.
func AddLogin(service Document) ([]byte, error) {
	return Merge(service, Document{Name: "Sesame's openapi.yaml", Text: sesame.OpenAPI})
}

// merger collects the reasons why two documents cannot be merged.
type merger struct {
	service, login string // the names of the documents
	errs           []error
}

// Merge returns one document with the operations, components and tags of both. It keeps the service's info, servers,
// default security and external documentation.
//
// A path, an operationId or a component that both documents have is an error, unless the component has the same value in
// both. The error names every such collision, with its line in each document. Security schemes with the same name are
// merged: the service declares only its own scopes in the password flow of OAuth2Password, and may list them in x-default,
// x-on-request and x-people-only. The authorizationCode flow gets the same scopes.
func Merge(service, login Document) ([]byte, error) {
	mine, err := parse(service)
	if err != nil {
		return nil, err
	}
	theirs, err := parse(login)
	if err != nil {
		return nil, err
	}
	m := &merger{service: service.Name, login: login.Name}
	m.checkServers(mine)
	keepSecurity(mine, theirs)
	m.checkScopes(mine, theirs)
	m.mergePaths(mine, theirs)
	mergeTags(mine, theirs)
	m.mergeComponents(mine, theirs)
	shareScopes(mine)
	if len(m.errs) > 0 {
		return nil, fmt.Errorf("%s and %s cannot be served together:\n%w", service.Name, login.Name, errors.Join(m.errs...))
	}
	return write(mine)
}

func (m *merger) fail(format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf(format, args...))
}

// collide reports a name that both documents have, with its two places.
func (m *merger) collide(what string, a, b *yaml.Node, remedy string) {
	m.fail("%s is at %s, line %d, and at %s, line %d; %s", what, m.service, a.Line, m.login, b.Line, remedy)
}

// checkServers allows no address but /. The server fills in its public URL when it serves the document, so another
// address would send the clients of Sesame's operations elsewhere.
func (m *merger) checkServers(service *yaml.Node) {
	check := func(_ string, _, n *yaml.Node) {
		servers := value(n, "servers")
		for _, server := range items(servers) {
			if url := value(server, "url"); url == nil || url.Value != "/" {
				m.fail("%s, line %d: servers must be one with the url /, or absent: all operations are served at the public URL, and the server adds that", m.service, servers.Line)
				return
			}
			unstyled(server) // a quoted address could not be completed
		}
	}
	check("", nil, service)
	each(value(service, "paths"), func(_ string, key, item *yaml.Node) {
		check("", key, item)
		each(item, check)
	})
	if value(service, "servers") == nil {
		insert(service, "paths", "servers", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{mapping("url", scalar("/"))}})
	}
}

// keepSecurity writes Sesame's default for security into those of its operations that rely on it, because the merged
// document has the service's default.
func keepSecurity(service, login *yaml.Node) {
	global := value(login, "security")
	if global == nil || same(global, value(service, "security")) {
		return
	}
	uncommented(global)
	global.Style = yaml.FlowStyle
	each(value(login, "paths"), func(_ string, _, item *yaml.Node) {
		operations(item, func(operation *yaml.Node) {
			if value(operation, "security") == nil {
				insert(operation, "responses", "security", global)
			}
		})
	})
}

var parameter = regexp.MustCompile(`\{[^{}]*\}`)

// mergePaths appends Sesame's paths. Two paths that differ in the names of their parameters alone are the same path.
func (m *merger) mergePaths(service, login *yaml.Node) {
	paths := valueOrNew(service, "paths")
	known, ids := map[string]*yaml.Node{}, map[string]*yaml.Node{}
	each(paths, func(path string, key, item *yaml.Node) {
		known[parameter.ReplaceAllString(path, "{}")] = key
		operations(item, func(operation *yaml.Node) {
			if id := value(operation, "operationId"); id != nil {
				ids[id.Value] = id
			}
		})
	})
	each(value(login, "paths"), func(path string, key, item *yaml.Node) {
		if other := known[parameter.ReplaceAllString(path, "{}")]; other != nil {
			m.collide("the path "+path, other, key, "give yours another one")
		}
		operations(item, func(operation *yaml.Node) {
			if id := value(operation, "operationId"); id != nil && ids[id.Value] != nil {
				m.collide("the operationId "+id.Value, ids[id.Value], id, "rename yours")
			}
		})
		paths.Content = append(paths.Content, key, item)
	})
}

func mergeTags(service, login *yaml.Node) {
	mine := value(service, "tags")
	if mine == nil {
		mine = &yaml.Node{Kind: yaml.SequenceNode}
		insert(service, "paths", "tags", mine)
	}
	mine.Style = 0
	for _, tag := range items(value(login, "tags")) {
		name := value(tag, "name")
		if !slices.ContainsFunc(mine.Content, func(t *yaml.Node) bool { return same(value(t, "name"), name) }) {
			mine.Content = append(mine.Content, tag)
		}
	}
}

func (m *merger) mergeComponents(service, login *yaml.Node) {
	components := valueOrNew(service, "components")
	each(value(login, "components"), func(kind string, _, theirs *yaml.Node) {
		mine := valueOrNew(components, kind)
		each(theirs, func(name string, key, theirs *yaml.Node) {
			myKey, component := entry(mine, name)
			switch {
			case component == nil:
				mine.Content = append(mine.Content, key, theirs)
			case kind == "securitySchemes":
				unstyled(component)
				m.mergeScheme("the security scheme "+name, component, theirs)
			case !same(component, theirs):
				m.collide("components/"+kind+"/"+name, myKey, key, "rename yours, or make it equal")
			}
		})
	})
}

// mergeScheme completes a security scheme of the service, or a part of one. The scopes, and the lists of scopes, are
// those of both documents. The service may leave out everything else; what it has must agree, because the scheme
// describes Sesame's token endpoint. Its description may differ.
func (m *merger) mergeScheme(where string, mine, theirs *yaml.Node) {
	each(mine, func(name string, key, _ *yaml.Node) {
		extends := name == "description" || strings.HasPrefix(name, "x-") || strings.HasSuffix(where, ", scopes")
		if !extends && value(theirs, name) == nil {
			m.fail("%s, line %d: %s has no %s in %s; leave it out", m.service, key.Line, where, name, m.login)
		}
	})
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
