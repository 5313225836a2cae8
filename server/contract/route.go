package contract

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// route is an operation's path. Echo's router cannot have all that a document may: text beside a
// parameter, /files/{name}.json.
type route struct {
	op      *Operation
	pattern *regexp.Regexp
	names   []string
}

// Router finds the operation of a request by the paths of the document.
type Router struct{ routes []route }

// NewRouter makes a Router for the operations, which are served under base: "" for the root, no slash
// at the end. Routes are tried in order: what has fewer parameters and more text is meant more closely.
func NewRouter(base string, operations []*Operation) (*Router, error) {
	routes := make([]route, 0, len(operations))
	for _, op := range operations {
		r := route{op: op}
		text := "^" + regexp.QuoteMeta(base)
		last := 0
		for _, at := range pathParameter.FindAllStringSubmatchIndex(op.Path, -1) {
			text += regexp.QuoteMeta(op.Path[last:at[0]]) + "([^/]+)"
			r.names = append(r.names, op.Path[at[2]:at[3]])
			last = at[1]
		}
		pattern, err := regexp.Compile(text + regexp.QuoteMeta(op.Path[last:]) + "$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op.Path, err)
		}
		r.pattern = pattern
		routes = append(routes, r)
	}
	slices.SortStableFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(len(a.names), len(b.names)), cmp.Compare(len(b.op.Path), len(a.op.Path)))
	})
	return &Router{routes}, nil
}

// Find gives the operation of a request with its path parameters; without one, the methods that the
// path does take, nil for none. path is as it was sent, escapes and all.
func (t *Router) Find(method, path string) (op *Operation, params map[string]string, allowed []string) {
	for _, r := range t.routes {
		values := r.pattern.FindStringSubmatch(path)
		if values == nil {
			continue
		}
		if r.op.Method != method {
			allowed = append(allowed, r.op.Method)
			continue
		}
		params = make(map[string]string, len(r.names))
		for i, name := range r.names {
			value, err := url.PathUnescape(values[i+1])
			if err != nil {
				value = values[i+1]
			}
			params[strings.TrimSpace(name)] = value
		}
		return r.op, params, nil
	}
	slices.Sort(allowed)
	return nil, nil, slices.Compact(allowed)
}
