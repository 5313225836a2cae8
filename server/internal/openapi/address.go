package openapi

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

// BasePath returns the path of the first server's URL, percent-encoded and without a slash at the end. It is "" without
// servers. missing are the variables in that path without a default, for
// which their names are taken.
func BasePath(servers openapi3.Servers) (base string, missing []string, err error) {
	if len(servers) == 0 || servers[0] == nil {
		return "", nil, nil
	}
	defaults := map[string]string{}
	for name, variable := range servers[0].Variables {
		if variable != nil {
			defaults[name] = variable.Default
		}
	}
	return basePath(servers[0].URL, defaults)
}

// serverPath is BasePath for a node.
func serverPath(server *yaml.Node) (base string, missing []string, err error) {
	defaults := map[string]string{}
	each(value(server, "variables"), func(name string, _, variable *yaml.Node) {
		if standard := value(variable, "default"); standard != nil {
			defaults[name] = standard.Value
		}
	})
	return basePath(text(server, "url"), defaults)
}

// basePath returns the path of a URL, which may have no scheme (//api.example.com/v1) or be relative to the document (v1,
// ./v1), which is taken to be at the root of its host.
func basePath(address string, defaults map[string]string) (base string, missing []string, err error) {
	address = strings.TrimSpace(address)
	host := hostPart.FindString(address)
	fill := func(part string) string {
		name := part[1 : len(part)-1]
		if standard, ok := defaults[name]; ok {
			return standard
		}
		missing = append(missing, name)
		return name
	}
	host, missing = variable.ReplaceAllStringFunc(host, fill), nil // of the host nothing is used
	address = host + variable.ReplaceAllStringFunc(address[len(hostPart.FindString(address)):], fill)
	u, err := url.Parse(address)
	if err != nil || strings.ContainsAny(u.Path, "{}") {
		return "", nil, fmt.Errorf("the URL of the server, %s, is not valid; write one such as https://api.example.com/v1, or a path such as /v1", address)
	}
	return strings.TrimSuffix(path.Clean("/"+u.EscapedPath()), "/"), missing, nil
}

var hostPart = regexp.MustCompile(`^([^/]*:)?//[^/]*`)

var variable = regexp.MustCompile(`\{[^{}/]*\}`)

// NoDefault is the error for a document whose first server has such variables.
func NoDefault(missing []string) error {
	return fmt.Errorf("the variables of the server's URL must have a default, and these have none: %s; add them under variables", strings.Join(missing, ", "))
}
