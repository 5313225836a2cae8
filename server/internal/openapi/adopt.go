package openapi

import (
	"bytes"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// loginScheme is the name of the security scheme by which people and clients come with an access token of Sesame's.
const loginScheme = "OAuth2Password"

// Adopt prepares a document of somebody's own for Merge: security schemes that mean a token (oauth2, openIdConnect, http
// bearer, or one that is not declared) become Sesame's, with the scopes that operations name; a document that does
// not say who may call gets a default that wants a token; the only server is /. The notes say what has changed, for
// the author.
func Adopt(d Document) (text []byte, notes []string, err error) {
	document, err := parse(d)
	if err != nil {
		return nil, nil, err
	}
	a := &adopter{document: document, scopes: map[string]string{}, renamed: map[string]bool{}}
	a.servers()
	schemes := valueOrNew(valueOrNew(document, "components"), "securitySchemes")
	a.replaceSchemes(schemes)
	if security := value(document, "security"); security == nil {
		set(document, "security", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{
			mapping(loginScheme, &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}),
		}})
		a.note("an operation that does not say who may call it wants a token now; write security: [] on those that anyone may call")
	} else {
		a.requirements(security)
	}
	each(value(document, "paths"), func(_ string, _, item *yaml.Node) {
		each(item, func(_ string, _, operation *yaml.Node) { a.requirements(value(operation, "security")) })
	})
	a.declareScopes(schemes)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err = encoder.Encode(document); err != nil {
		return nil, nil, fmt.Errorf("write the document: %w", err)
	}
	return out.Bytes(), a.notes, encoder.Close()
}

type adopter struct {
	document *yaml.Node
	scopes   map[string]string // that operations need or schemes declare, with their descriptions
	renamed  map[string]bool   // schemes that mean a token
	notes    []string
}

func (a *adopter) note(format string, args ...any) {
	a.notes = append(a.notes, fmt.Sprintf(format, args...))
}

func (a *adopter) servers() {
	servers := value(a.document, "servers")
	if servers == nil || len(servers.Content) == 1 && value(servers.Content[0], "url") != nil && value(servers.Content[0], "url").Value == "/" {
		return
	}
	servers.Content = []*yaml.Node{mapping("url", scalar("/"))}
	a.note("servers is / now, since the operations are served at the public URL")
}

// replaceSchemes removes the schemes that mean a token, and keeps the texts of their scopes.
func (a *adopter) replaceSchemes(schemes *yaml.Node) {
	var kept []*yaml.Node
	each(schemes, func(name string, key, scheme *yaml.Node) {
		kind, http := value(scheme, "type"), value(scheme, "scheme")
		isToken := kind != nil && (kind.Value == "oauth2" || kind.Value == "openIdConnect" ||
			kind.Value == "http" && http != nil && http.Value == "bearer")
		if !isToken {
			kept = append(kept, key, scheme)
			if name != "ClientBasic" {
				a.note("the security scheme %s is no token; the server does not know it, so take it out", name)
			}
			return
		}
		a.renamed[name] = true
		each(value(scheme, "flows"), func(_ string, _, flow *yaml.Node) {
			each(value(flow, "scopes"), func(scope string, _, text *yaml.Node) { a.scopes[scope] = text.Value })
		})
		if name != loginScheme {
			a.note("the security scheme %s is %s now", name, loginScheme)
		}
	})
	schemes.Content = kept
}

// requirements renames the schemes of a security list.
func (a *adopter) requirements(security *yaml.Node) {
	if security == nil || security.Kind != yaml.SequenceNode {
		return
	}
	declared := value(value(a.document, "components"), "securitySchemes")
	for _, alternative := range security.Content {
		each(alternative, func(name string, key, scopes *yaml.Node) {
			if !a.renamed[name] && value(declared, name) != nil {
				return
			}
			key.Value = loginScheme
			for _, scope := range scopes.Content {
				if _, known := a.scopes[scope.Value]; !known {
					a.scopes[scope.Value] = scope.Value
				}
			}
		})
	}
}

// declareScopes writes the login scheme with the scopes that are Sesame's to grant.
func (a *adopter) declareScopes(schemes *yaml.Node) {
	scopes := &yaml.Node{Kind: yaml.MappingNode}
	var names []string
	for name := range a.scopes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		set(scopes, name, scalar(a.scopes[name]))
	}
	flow := mapping("tokenUrl", scalar("/token"))
	set(flow, "refreshUrl", scalar("/token"))
	set(flow, "scopes", scopes)
	scheme := mapping("type", scalar("oauth2"))
	set(scheme, "flows", mapping("password", flow))
	set(schemes, loginScheme, scheme)
	if len(names) > 0 {
		a.note("no person has the scopes %v until an administrator grants them; list those that everybody has in x-default, beside scopes", names)
	}
}
