package proxy

import (
	"encoding/json"
	"errors"
	"net/url"
)

// MCPDocument is the OpenAPI document of a server of the Model Context Protocol (streamable HTTP), which has none of its own: one
// path with three methods. Bodies are not described, and so not checked. Its operations require the scopes.
func MCPDocument(resource, issuer string, scopes []string) ([]byte, error) {
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" {
		return nil, errors.New("must be the URL of the MCP server, such as https://mcp.example.com/mcp")
	}
	type object = map[string]any
	declared := object{}
	for _, scope := range scopes {
		declared[scope] = scope
	}
	operation := func(id, summary string) object {
		return object{
			"operationId": id, "summary": summary, "security": []any{object{"Login": append([]string{}, scopes...)}},
			"responses": object{"default": object{"description": "As the Model Context Protocol says."}},
		}
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return json.Marshal(object{
		"openapi": "3.0.3", "info": object{"title": u.Host, "version": "1"},
		"paths": object{path: object{
			"post": operation("send", "Send a message"), "get": operation("listen", "Listen to the server"), "delete": operation("end", "End the session"),
		}},
		"components": object{"securitySchemes": object{"Login": object{"type": "oauth2", "flows": object{"authorizationCode": object{
			"authorizationUrl": issuer + "/authorize", "tokenUrl": issuer + "/token", "scopes": declared,
		}}}}},
	})
}
