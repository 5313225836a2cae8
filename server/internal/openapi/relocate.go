package openapi

import (
	"net/url"
	"path"

	"go.yaml.in/yaml/v3"
)

// Relocate makes every address of a document a path: one server at base, for all operations, and the token endpoints of
// the security schemes. It is for a server that stands in for others.
func Relocate(document *yaml.Node, base string) {
	drop := func(_ string, _, n *yaml.Node) { remove(n, "servers") }
	drop("", nil, document)
	each(value(document, "paths"), func(_ string, key, item *yaml.Node) {
		drop("", key, item)
		each(item, drop)
	})
	server := mapping("url", scalar(base))
	set(server, "description", scalar("The mock"))
	set(document, "servers", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{server}})
	each(value(value(document, "components"), "securitySchemes"), func(_ string, _, scheme *yaml.Node) {
		each(value(scheme, "flows"), func(_ string, _, flow *yaml.Node) {
			for _, name := range []string{"tokenUrl", "refreshUrl"} {
				if address := value(flow, name); address != nil {
					if path, ok := PathOf(address.Value); ok {
						*address = *scalar(path)
					}
				}
			}
		})
	})
}

// PathOf returns the path of an address, which may be relative, with its escapes. It fails for an empty address.
func PathOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return "", false
	}
	return path.Clean("/" + u.EscapedPath()), true
}
