package contract

import (
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Scopes are the scopes of a document. Who has them is said by extensions of the OAuth 2 flow that declares them, each a
// list of scopes, since OpenAPI 3.0 leaves no room for more beside a scope than its text.
type Scopes struct {
	Declared   []string // all, sorted
	Default    []string // x-default: every person has them, and a login that asks for none gets them
	OnRequest  []string // x-on-request: every person has them, but a login must ask for them
	PeopleOnly []string // x-people-only: a service client never has them for itself
}

// declaredScopes collects the scopes of all OAuth 2 flows.
func (c *compiler) declaredScopes() {
	if c.doc.Components == nil {
		c.doc.Components = &openapi3.Components{}
	}
	for _, name := range slices.Sorted(maps.Keys(c.doc.Components.SecuritySchemes)) {
		flows := c.doc.Components.SecuritySchemes[name].Value.Flows
		if flows == nil {
			continue
		}
		for _, flow := range []*openapi3.OAuthFlow{flows.Password, flows.ClientCredentials, flows.AuthorizationCode, flows.Implicit} {
			if flow == nil {
				continue
			}
			for scope := range flow.Scopes {
				c.scopes[scope] = true
			}
			for extension, list := range map[string]*[]string{
				"x-default": &c.who.Default, "x-on-request": &c.who.OnRequest, "x-people-only": &c.who.PeopleOnly,
			} {
				c.scopeList(name, flow, extension, list)
			}
		}
	}
	for _, scope := range c.who.OnRequest {
		if slices.Contains(c.who.Default, scope) {
			c.fault("the scope %s is in x-default and in x-on-request; it can be in one of them", scope)
		}
	}
}

// scopeList reads an extension of a flow.
func (c *compiler) scopeList(scheme string, flow *openapi3.OAuthFlow, extension string, into *[]string) {
	value, given := flow.Extensions[extension]
	if !given {
		return
	}
	list, ok := value.([]any)
	if !ok {
		c.fault("the security scheme %s: %s must be a list of scopes", scheme, extension)
	}
	for _, item := range list {
		scope, _ := item.(string)
		if _, declared := flow.Scopes[scope]; !declared {
			c.fault("the security scheme %s: %s names %v, which its flow does not declare", scheme, extension, item)
		} else if !slices.Contains(*into, scope) {
			*into = append(*into, scope)
		}
	}
}
