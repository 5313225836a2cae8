package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// The security schemes of Sesame: an access token, and the id and secret of a service client.
const (
	loginScheme  = "OAuth2Password"
	clientScheme = "ClientBasic"
)

// Adopt prepares a document that was written without Sesame for Merge:
//
//   - Security schemes that mean an access token (oauth2, openIdConnect, http bearer, the header Authorization) become Sesame's
//     login scheme, with all of their scopes.
//   - Operations of a document without any security need a token.
//   - The path of the server's URL becomes part of each path.
//   - Patterns that Go does not support are removed.
//   - Extensions such as x-go-type, which the code generator would follow, are removed.
//   - Components and operations with a name that Sesame's document has, too, get another one.
//
// The notes tell the author what has changed. It is an error if a scheme of another kind is left, such as an API key.
func Adopt(d Document, open Opener) (text []byte, notes []string, err error) {
	f, faults, err := readForeign(d, open)
	if err != nil {
		return nil, nil, err
	}
	var serious []error
	for _, fault := range faults {
		if strings.Contains(strings.ToLower(fault.pointer), "/security") { // an operation must not become public by a mistake
			serious = append(serious, fault)
			continue
		}
		f.Notes = append(f.Notes, fault.Error()+"; it was removed")
	}
	if err = errors.Join(serious...); err != nil {
		return nil, nil, err
	}
	document := f.tree
	if version := value(document, "openapi"); !strings.HasPrefix(version.Value, "3.0") {
		return nil, nil, &fault{d.Name, version.Line, "/openapi", fmt.Sprintf("the document is OpenAPI %s, and the server enforces 3.0 alone; "+
			"convert it first, for instance with npx @apiture/openapi-down-convert", version.Value)}
	}
	if err = (&expander{name: d.Name}).checkStructure(document); err != nil {
		return nil, nil, err
	}
	a := &adopter{name: d.Name, document: document, scopes: map[string]string{}, lists: map[string][]string{}, replaced: map[string]bool{}, notes: f.Notes}
	if err = a.moveServers(); err != nil {
		return nil, nil, err
	}
	schemes := valueOrNew(valueOrNew(document, "components"), "securitySchemes")
	if err = a.replaceSchemes(schemes); err != nil {
		return nil, nil, err
	}
	if n := dropExtensions(document, 0); n > 0 {
		a.note("extensions such as x-go-type were removed (%d): they are instructions to the code generator of another project", n)
	}
	a.dropPatterns(document)
	a.secure()
	if err = a.renameCollisions(); err != nil {
		return nil, nil, err
	}
	set(schemes, loginScheme, a.login())
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err = encoder.Encode(document); err != nil {
		return nil, nil, fmt.Errorf("write the document: %w", err)
	}
	return out.Bytes(), a.notes, encoder.Close()
}

type adopter struct {
	name     string
	document *yaml.Node
	scopes   map[string]string   // declared or required, with their descriptions
	lists    map[string][]string // the x- lists of scopes, such as x-default
	replaced map[string]bool     // schemes that mean an access token
	notes    []string
}

func (a *adopter) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

// moveServers leaves / as the only server, since that is where Sesame serves the document. The path of the server's URL is
// written into each path instead: that of the document's first server, or of the path's own.
func (a *adopter) moveServers() error {
	base, err := a.baseOf(a.document, "")
	if err != nil {
		return err
	}
	if servers := value(a.document, "servers"); len(items(servers)) > 1 || len(items(servers)) == 1 && text(servers.Content[0], "url") != "/" {
		servers.Content = []*yaml.Node{mapping("url", scalar("/"))}
		a.note("servers is / now, because Sesame serves the operations at its own address (SESAME_PUBLIC_URL)")
	}
	if base != "" {
		a.note("each path begins with %s now, which was in the URL of the server", base)
	}
	each(value(a.document, "paths"), func(path string, key, item *yaml.Node) {
		own, fault := a.baseOf(item, base)
		if fault != nil && err == nil {
			err = fault
		}
		if value(item, "servers") != nil {
			remove(item, "servers")
			a.note("%s is %s now, because it had servers of its own", path, own+path)
		}
		if strings.HasPrefix(path, "/") {
			key.Value = own + path
		}
		each(item, func(method string, _, operation *yaml.Node) {
			if value(operation, "servers") != nil {
				remove(operation, "servers")
				a.note("%s %s: the servers of the operation were removed, because Sesame serves it at its own address", strings.ToUpper(method), path)
			}
		})
	})
	return err
}

// baseOf returns the path of the first server of a document or a path, and otherwise the one above.
func (a *adopter) baseOf(n *yaml.Node, above string) (string, error) {
	servers := items(value(n, "servers"))
	if len(servers) == 0 {
		return above, nil
	}
	base, missing, err := serverPath(servers[0])
	if len(missing) > 0 {
		err = NoDefault(missing)
	}
	if err != nil {
		return "", &fault{a.name, servers[0].Line, "", err.Error()}
	}
	return base, nil
}

// replaceSchemes removes the schemes that mean an access token, and collects their scopes.
func (a *adopter) replaceSchemes(schemes *yaml.Node) error {
	var kept []*yaml.Node
	var err error
	each(schemes, func(name string, key, scheme *yaml.Node) {
		kind := text(scheme, "type")
		switch {
		case kind == "oauth2", kind == "openIdConnect", kind == "http" && strings.EqualFold(text(scheme, "scheme"), "bearer"),
			kind == "apiKey" && text(scheme, "in") == "header" && strings.EqualFold(text(scheme, "name"), "Authorization"): // as Swagger 2.0 writes bearer tokens
			a.replaced[name] = true
			each(value(scheme, "flows"), func(_ string, _, flow *yaml.Node) { a.collect(flow) })
			if name != loginScheme {
				a.note("the security scheme %s is %s now, Sesame's login", name, loginScheme)
			}
		case name == clientScheme && kind == "http":
			kept = append(kept, key, scheme)
		case err == nil:
			err = &fault{a.name, key.Line, "/components/securitySchemes/" + escapePointer(name), fmt.Sprintf("Sesame does not support the security scheme %s (%s). "+
				"Programs identify themselves with an access token of a service client (%s), or its id and secret (%s, http basic): "+
				"replace the scheme by one of these, or remove it", name, strings.TrimSpace(kind+" "+text(scheme, "scheme")), loginScheme, clientScheme)}
		}
	})
	schemes.Content = kept
	return err
}

// collect takes over the scopes of a flow and its lists of scopes.
func (a *adopter) collect(flow *yaml.Node) {
	each(value(flow, "scopes"), func(scope string, _, description *yaml.Node) { a.scopes[scope] = description.Value })
	each(flow, func(name string, _, list *yaml.Node) {
		if !strings.HasPrefix(name, "x-") || list.Kind != yaml.SequenceNode {
			return
		}
		for _, scope := range list.Content {
			if !slices.Contains(a.lists[name], scope.Value) {
				a.lists[name] = append(a.lists[name], scope.Value)
			}
		}
	})
}

// secure writes the login scheme into every list of security requirements, and a default where there is none.
func (a *adopter) secure() {
	if security := value(a.document, "security"); security != nil {
		a.requirements(security)
	} else {
		token := mapping(loginScheme, &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle})
		set(a.document, "security", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{token}})
		a.note("operations without security need an access token now; write security: [] into those that anyone may call")
	}
	each(value(a.document, "paths"), func(_ string, _, item *yaml.Node) {
		each(item, func(_ string, _, operation *yaml.Node) { a.requirements(value(operation, "security")) })
	})
}

// requirements writes the login scheme in place of the schemes that it replaces.
func (a *adopter) requirements(security *yaml.Node) {
	if security == nil || security.Kind != yaml.SequenceNode {
		return
	}
	for _, alternative := range security.Content {
		var kept []*yaml.Node
		var login *yaml.Node // two schemes of one alternative may become one
		each(alternative, func(name string, key, scopes *yaml.Node) {
			switch {
			case !a.replaced[name] && name != loginScheme: // the contract refuses a name that is not declared
				kept = append(kept, key, scopes)
				return
			case login == nil:
				login, key.Value = scopes, loginScheme
				kept = append(kept, key, scopes)
			default:
				login.Content = append(login.Content, scopes.Content...)
			}
			for _, scope := range scopes.Content {
				if _, known := a.scopes[scope.Value]; !known {
					a.scopes[scope.Value] = scope.Value
				}
			}
		})
		alternative.Content = kept
	}
}

// login is the login scheme, with every scope that the document declares or requires.
func (a *adopter) login() *yaml.Node {
	scopes := &yaml.Node{Kind: yaml.MappingNode}
	names := slices.Sorted(maps.Keys(a.scopes))
	for _, name := range names {
		set(scopes, name, scalar(a.scopes[name]))
	}
	flow := mapping("tokenUrl", scalar("/token"))
	set(flow, "refreshUrl", scalar("/token"))
	set(flow, "scopes", scopes)
	for _, name := range slices.Sorted(maps.Keys(a.lists)) {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, scope := range a.lists[name] {
			list.Content = append(list.Content, scalar(scope))
		}
		set(flow, name, list)
	}
	if len(names) > 0 && a.lists["x-default"] == nil {
		a.note("nobody has the scopes %s yet: beside scopes, list in x-default those that every person has, and grant the others", strings.Join(names, ", "))
	}
	scheme := mapping("type", scalar("oauth2"))
	set(scheme, "flows", mapping("password", flow))
	return scheme
}

// text is a member of a mapping that is a string, or "".
func text(n *yaml.Node, name string) string {
	if v := value(n, name); v != nil {
		return v.Value
	}
	return ""
}

// dropPatterns removes the patterns of schemas that the server cannot check. It would refuse to start.
func (a *adopter) dropPatterns(n *yaml.Node) {
	each(n, func(name string, _, v *yaml.Node) {
		if name == "example" || name == "default" || strings.HasPrefix(name, "x-") {
			return
		}
		if name == "pattern" && v.Kind == yaml.ScalarNode && (value(n, "type") != nil || value(n, "minLength") != nil || value(n, "maxLength") != nil) {
			probe := &openapi3.Schema{Pattern: v.Value}
			if fault, ok := errors.AsType[*openapi3.SchemaError](probe.VisitJSON("")); ok && fault.Origin != nil {
				a.note("line %d: the pattern %s was removed: it is not a regular expression that Go supports, which has no lookahead and no backreferences", v.Line, v.Value)
				v.Value = ""
			}
		}
		a.dropPatterns(v)
	})
	for _, item := range items(n) {
		a.dropPatterns(item)
	}
}

// dropExtensions removes the instructions to code generators, and returns their number.
func dropExtensions(n *yaml.Node, dropped int) int {
	if n.Kind == yaml.MappingNode {
		var kept []*yaml.Node
		each(n, func(name string, key, v *yaml.Node) {
			if strings.HasPrefix(name, "x-go-type") || strings.HasPrefix(name, "x-oapi-codegen") {
				dropped++
				return
			}
			kept = append(kept, key, v)
		})
		n.Content = kept
	}
	for _, child := range n.Content {
		dropped = dropExtensions(child, dropped)
	}
	return dropped
}
