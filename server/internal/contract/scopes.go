package contract

import (
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Scopes are the scopes of a document. Extensions of the password flow say who has them, each a list of scopes, because
// OpenAPI 3.0 allows nothing but a description beside a scope.
type Scopes struct {
	Declared   []string // all, sorted
	Default    []string // x-default: every person has them, and a login that requests none gets them
	OnRequest  []string // x-on-request: every person has them, but a login must request them
	PeopleOnly []string // x-people-only: a service client never has them for itself
	// Administrative is x-administrative: an account that was granted one of them is an administrator.
	Administrative []string
}

// scopeLists are the names of those extensions.
var scopeLists = []string{"x-default", "x-on-request", "x-people-only", "x-administrative"}

// declaredScopes collects the scopes of all OAuth 2 flows, and the lists of the password flow. A list in another place
// is a fault, because it would have no effect. In the documents of other services such extensions may mean anything, so
// unusable ones are ignored there.
func (c *compiler) declaredScopes() {
	if c.doc.Components == nil {
		c.doc.Components = &openapi3.Components{}
	}
	if c.own == nil {
		defer func() { c.faults = nil }()
	}
	for _, name := range slices.Sorted(maps.Keys(c.doc.Components.SecuritySchemes)) {
		scheme := c.doc.Components.SecuritySchemes[name].Value
		c.noLists(name, scheme.Extensions)
		flows := scheme.Flows
		if flows == nil {
			continue
		}
		c.noLists(name, flows.Extensions)
		c.sameScopes(name, flows)
		for _, flow := range []*openapi3.OAuthFlow{flows.Password, flows.ClientCredentials, flows.AuthorizationCode, flows.Implicit} {
			if flow == nil {
				continue
			}
			for scope, description := range flow.Scopes {
				c.scopes[scope], c.descriptions[scope] = true, description
			}
			if flow != flows.Password {
				c.noLists(name, flow.Extensions)
				continue
			}
			for i, list := range []*[]string{&c.who.Default, &c.who.OnRequest, &c.who.PeopleOnly, &c.who.Administrative} {
				c.scopeList(name, flow, scopeLists[i], list)
			}
		}
	}
	for _, scope := range c.who.OnRequest {
		if slices.Contains(c.who.Default, scope) {
			c.fault("the scope %s is in x-default and in x-on-request; it can be in one of them", scope)
		}
	}
	for _, scope := range c.who.Administrative {
		if slices.Contains(c.who.Default, scope) || slices.Contains(c.who.OnRequest, scope) {
			c.fault("the scope %s is in x-administrative, and every person has it", scope)
		}
	}
}

// sameScopes reports the scopes that the flows for people do not share. A person has the same scopes whichever flow a client uses,
// and tools that read one flow alone would show a part of them.
func (c *compiler) sameScopes(scheme string, flows *openapi3.OAuthFlows) {
	if flows.Password == nil || flows.AuthorizationCode == nil {
		return // one flow has nothing to differ from
	}
	password, code := flows.Password.Scopes, flows.AuthorizationCode.Scopes
	both := maps.Clone(password)
	maps.Copy(both, code)
	for _, scope := range slices.Sorted(maps.Keys(both)) {
		inPasswordText, inPassword := password[scope]
		inCodeText, inCode := code[scope]
		switch {
		case !inPassword:
			c.fault("the security scheme %s: the scope %s is in the flow authorizationCode and not in the flow password; both have the same scopes", scheme, scope)
		case !inCode:
			c.fault("the security scheme %s: the scope %s is in the flow password and not in the flow authorizationCode; both have the same scopes", scheme, scope)
		case inPasswordText != inCodeText:
			c.fault("the security scheme %s: the scope %s has another description in the flow authorizationCode than in the flow password", scheme, scope)
		}
	}
}

// noLists reports the extensions that belong to the password flow.
func (c *compiler) noLists(scheme string, extensions map[string]any) {
	for _, extension := range scopeLists {
		if _, given := extensions[extension]; given {
			c.fault("the security scheme %s: %s belongs beside the scopes of the password flow, and has no effect elsewhere", scheme, extension)
		}
	}
}

// scopeList reads an extension of the password flow.
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
