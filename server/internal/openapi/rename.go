package openapi

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"sesame"
)

// renameCollisions gives components and operations another name if Sesame's document has one of that name. The names matter
// to nobody but the document itself and the generated code, which does not exist yet.
func (a *adopter) renameCollisions() error {
	login, err := parse(Document{Name: "Sesame's openapi.yaml", Text: sesame.OpenAPI})
	if err != nil {
		return err
	}
	theirs := sesameScopes(login)
	for _, scope := range slices.Sorted(maps.Keys(theirs)) {
		description := theirs[scope]
		if mine, declared := a.scopes[scope]; declared && mine != description {
			a.scopes[scope] = description
			a.note("the scope %s is Sesame's own (%s); rename yours if it means something else", scope, strings.TrimSuffix(description, "."))
		}
	}
	if err = a.checkPaths(login); err != nil {
		return err
	}
	a.renameComponents(login)
	taken := map[string]bool{}
	eachID := func(document *yaml.Node, f func(id *yaml.Node)) {
		each(value(document, "paths"), func(_ string, _, item *yaml.Node) {
			operations(item, func(operation *yaml.Node) {
				if id := value(operation, "operationId"); id != nil {
					f(id)
				}
			})
		})
	}
	sesames := map[string]bool{}
	eachID(login, func(id *yaml.Node) { sesames[id.Value], taken[id.Value] = true, true })
	eachID(a.document, func(id *yaml.Node) { taken[id.Value] = true })
	eachID(a.document, func(id *yaml.Node) {
		if old := id.Value; sesames[old] {
			id.Value = free(old, func(name string) bool { return taken[name] })
			taken[id.Value] = true
			a.note("the operationId %s is %s now, because Sesame has one of that name", old, id.Value)
		}
	})
	return nil
}

// renameComponents also renames those whose names begin with a digit, from which the generator would make no name of Go.
func (a *adopter) renameComponents(login *yaml.Node) {
	references := map[string]string{}
	each(value(a.document, "components"), func(section string, _, mine *yaml.Node) {
		theirs := value(value(login, "components"), section)
		if section == "securitySchemes" || section == "examples" || strings.HasPrefix(section, "x-") {
			return
		}
		taken := func(name string) bool { return value(mine, name) != nil || value(theirs, name) != nil }
		each(mine, func(name string, key, component *yaml.Node) {
			other := value(theirs, name)
			switch {
			case other != nil && !same(component, other):
				key.Value = free(name, taken)
				a.note("components/%s/%s is %s now, because Sesame has one of that name", section, name, key.Value)
			case name != "" && name[0] >= '0' && name[0] <= '9':
				next := "N" + name
				if taken(next) {
					next = free(next, taken)
				}
				key.Value = next
				a.note("components/%s/%s is %s now, because a name of Go begins with a letter", section, name, key.Value)
			default:
				return
			}
			prefix := "#/components/" + section + "/"
			references[prefix+escapePointer(name)] = prefix + escapePointer(key.Value)
		})
	})
	rewrite(a.document, references)
}

// checkPaths reports paths that Sesame serves, too. Only the author can say where the operations belong.
func (a *adopter) checkPaths(login *yaml.Node) error {
	var errs []error
	theirs := map[string]bool{}
	each(value(login, "paths"), func(path string, _, _ *yaml.Node) { theirs[parameter.ReplaceAllString(path, "{}")] = true })
	each(value(a.document, "paths"), func(path string, key, _ *yaml.Node) {
		if theirs[parameter.ReplaceAllString(path, "{}")] {
			errs = append(errs, &fault{a.name, key.Line, "/paths/" + escapePointer(path), "Sesame has this path, too; give yours another one"})
		}
	})
	return errors.Join(errs...)
}

// sesameScopes are the scopes of Sesame, with their descriptions.
func sesameScopes(login *yaml.Node) map[string]string {
	scopes := map[string]string{}
	eachFlow(login, func(flow *yaml.Node) {
		each(value(flow, "scopes"), func(scope string, _, description *yaml.Node) { scopes[scope] = description.Value })
	})
	return scopes
}

func free(name string, taken func(string) bool) string {
	for i := 2; ; i++ {
		if next := name + strconv.Itoa(i); !taken(next) {
			return next
		}
	}
}

// rewrite writes other references in place of some, also into longer ones that begin with them.
func rewrite(n *yaml.Node, references map[string]string) {
	if len(references) == 0 {
		return
	}
	each(n, func(name string, _, v *yaml.Node) {
		if v.Kind != yaml.ScalarNode || !strings.HasPrefix(v.Value, "#/components/") {
			return // mappings of discriminators have any name
		}
		parts := strings.SplitN(v.Value, "/", 5)
		if len(parts) < 4 {
			return
		}
		if next := references[strings.Join(parts[:4], "/")]; next != "" {
			v.Value = strings.Join(append([]string{next}, parts[4:]...), "/")
		}
	})
	for _, child := range n.Content {
		rewrite(child, references)
	}
}
