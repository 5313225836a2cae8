package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// specYAML returns the contract as it is written, with its comments and order, and with base in front of the server's own
// addresses.
func specYAML(openAPI []byte, base string) func() (*resource, error) {
	return func() (*resource, error) {
		text, err := fillIn(openAPI, base)
		if err != nil {
			return nil, err
		}
		return newResource("application/yaml", text)
	}
}

// specJSON returns the same contract in JSON, with its keys in the same order.
func specJSON(openAPI []byte, base string) func() (*resource, error) {
	return func() (*resource, error) {
		text, err := fillIn(openAPI, base)
		if err != nil {
			return nil, err
		}
		root, err := parse(text)
		if err != nil {
			return nil, err
		}
		var compact, indented bytes.Buffer
		if err := writeJSON(&compact, root); err != nil {
			return nil, err
		}
		if err := json.Indent(&indented, compact.Bytes(), "", "  "); err != nil {
			return nil, err
		}
		return newResource("application/json", indented.Bytes())
	}
}

// fillIn puts base in front of every address in openAPI that starts with a slash: the servers, the endpoints of the
// security schemes, and the links in the introduction. It edits the text at the positions that the parser reports, because
// encoding the document again would lose its layout.
func fillIn(openAPI []byte, base string) ([]byte, error) {
	root, err := parse(openAPI)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(openAPI), "\n")
	for _, n := range addresses(root) {
		if !strings.HasPrefix(n.Value, "/") {
			continue
		}
		at := n.Column - 1
		if n.Style != 0 || !strings.HasPrefix(lines[n.Line-1][at:], n.Value) {
			return nil, fmt.Errorf("openapi.yaml:%d: an address must be written plain, without quotes", n.Line)
		}
		rest := lines[n.Line-1][at+len(n.Value):]
		lines[n.Line-1] = lines[n.Line-1][:at] + join(base, n.Value) + rest
	}
	// A Markdown link that starts at the root does not work in a downloaded file.
	if n := find(root, "info", "description"); n != nil {
		last := min(n.Line+strings.Count(n.Value, "\n"), len(lines))
		for i := n.Line - 1; i < last; i++ {
			lines[i] = strings.ReplaceAll(lines[i], "](/", "]("+base+"/")
		}
	}
	return []byte(strings.Join(lines, "")), nil
}

// join returns base and path without a slash at the end, or "/".
func join(base, path string) string {
	if joined := strings.TrimSuffix(base+path, "/"); joined != "" {
		return joined
	}
	return "/"
}

// addresses returns the nodes that hold URLs of this server.
func addresses(root *yaml.Node) []*yaml.Node {
	var nodes []*yaml.Node
	for _, server := range list(find(root, "servers")) {
		nodes = append(nodes, find(server, "url"))
	}
	for _, scheme := range pairs(find(root, "components", "securitySchemes")) {
		for _, flow := range pairs(find(scheme, "flows")) {
			nodes = append(nodes, find(flow, "authorizationUrl"), find(flow, "tokenUrl"), find(flow, "refreshUrl"))
		}
	}
	return slices.DeleteFunc(nodes, func(n *yaml.Node) bool { return n == nil })
}
