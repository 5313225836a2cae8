package openapi

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// checkScopes refuses a service's document that changes who has a scope of Sesame's. With users:write in x-default, every
// person would be an administrator.
func (m *merger) checkScopes(service, login *yaml.Node) {
	scopes, said := map[string]bool{}, map[string]*yaml.Node{}
	eachFlow(login, func(flow *yaml.Node) {
		each(flow, func(name string, _, value *yaml.Node) {
			if name == "scopes" {
				each(value, func(scope string, _, _ *yaml.Node) { scopes[scope] = true })
			}
			said[name] = value
		})
	})
	eachFlow(service, func(flow *yaml.Node) {
		each(flow, func(name string, _, list *yaml.Node) {
			if !strings.HasPrefix(name, "x-") || list.Kind != yaml.SequenceNode {
				return
			}
			for _, item := range list.Content {
				allowed := said[name] != nil && slices.ContainsFunc(said[name].Content, func(n *yaml.Node) bool { return same(n, item) })
				if scopes[item.Value] && !allowed {
					m.fail("%s, line %d: %s names %s, which is a scope of %s; only that document says who has it", m.service, item.Line, name, item.Value, m.login)
				}
			}
		})
	})
}

// eachFlow calls f for the OAuth 2 flows of every security scheme.
func eachFlow(document *yaml.Node, f func(flow *yaml.Node)) {
	each(value(value(document, "components"), "securitySchemes"), func(_ string, _, scheme *yaml.Node) {
		each(value(scheme, "flows"), func(_ string, _, flow *yaml.Node) { f(flow) })
	})
}

// shareScopes gives the authorizationCode flow of each security scheme the scopes of its password flow: a person has the same
// ones whichever flow a client uses, and a service declares its own once.
func shareScopes(document *yaml.Node) {
	each(value(value(document, "components"), "securitySchemes"), func(_ string, _, scheme *yaml.Node) {
		flows := value(scheme, "flows")
		from, flow := value(value(flows, "password"), "scopes"), value(flows, "authorizationCode")
		if from == nil || flow == nil {
			return
		}
		into := valueOrNew(flow, "scopes")
		each(from, func(scope string, _, description *yaml.Node) {
			if value(into, scope) == nil {
				set(into, scope, scalar(description.Value))
			}
		})
	})
}
