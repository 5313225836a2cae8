package contract

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Router finds the operation of a request by the paths of the document. A path is decoded once and
// compared segment by segment, so that every spelling of it leads to one operation.
type Router struct {
	routes map[int][]*route // by their number of segments; the more specific before the less specific
}

// route is a path of the document with its operations by method.
type route struct {
	*template
	operations map[string]*Operation
}

// Match is what a Router has found.
type Match struct {
	Operation *Operation // nil if none has this path and method
	Allowed   []string   // without an operation, the methods that the path has; nil if it is unknown
	Values    []string   // of the path's parameters, in their order, decoded

	route *route
}

// NewRouter makes a Router for operations that are served under base, a path as in an address, "" for the
// root. It refuses paths between which routers might choose differently, and paths that common routers
// cannot serve. Every router that prefers text to parameters then chooses the operation that Find gives.
func NewRouter(base string, operations []*Operation) (*Router, error) {
	r, err := NewForeignRouter(base, operations)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, routes := range r.routes {
		for i, a := range routes {
			if fault := a.check(); fault != nil {
				faults = append(faults, fault)
				continue
			}
			for _, b := range routes[:i] {
				if reason := a.conflict(b); reason != "" {
					faults = append(faults, fmt.Errorf("%s and %s %s", b.path, a.path, reason))
				}
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return r, errors.Join(faults...)
}

// NewForeignRouter takes the paths of a document as they come: text may stand beside a parameter, and where
// two paths match a request, the one with fewer parameters wins, then the one with more text, then the first
// in alphabetical order. Use it where no other router follows. The error names the paths that no request can reach; the
// Router finds the others nonetheless.
func NewForeignRouter(base string, operations []*Operation) (*Router, error) {
	byPath := map[string]*route{}
	r := &Router{routes: map[int][]*route{}}
	var faults []error
	for _, op := range operations {
		known := byPath[op.Path]
		if known == nil {
			t, err := newTemplate(base, op.Path)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			known = &route{t, map[string]*Operation{}}
			byPath[op.Path] = known
			r.routes[len(t.segments)] = append(r.routes[len(t.segments)], known)
		}
		known.operations[op.Method] = op
	}
	for _, routes := range r.routes {
		slices.SortFunc(routes, func(a, b *route) int {
			return cmp.Or(cmp.Compare(len(a.names), len(b.names)), cmp.Compare(b.textLength(), a.textLength()), cmp.Compare(a.path, b.path))
		})
	}
	return r, errors.Join(faults...)
}

// conflict says why routers might choose differently between two paths, if they might.
func (r *route) conflict(other *route) string {
	const undecided = "both match some requests, and neither is more specific: http.ServeMux refuses them, and other routers choose differently"
	switch r.relationTo(other.template) {
	case same:
		return "are the same path, in another spelling or with other names for its parameters"
	case overlapping:
		for method := range r.operations {
			if other.operations[method] != nil || method == http.MethodGet && other.operations[http.MethodHead] != nil ||
				method == http.MethodHead && other.operations[http.MethodGet] != nil {
				return undecided
			}
		}
	case wider:
		if r.operations[http.MethodHead] != nil && other.operations[http.MethodGet] != nil { // which takes HEAD, too
			return undecided
		}
	case narrower:
		return other.conflict(r)
	}
	return ""
}

// Find gives the operation that a request is for. A path that two routers might read in two ways is unknown.
func (t *Router) Find(method string, u *url.URL) Match {
	segments, ok := readPath(u)
	if !ok {
		return Match{}
	}
	var allowed []string
	for _, r := range t.routes[len(segments)] {
		values, matches := r.match(segments)
		if !matches {
			continue
		}
		if op := r.operations[method]; op != nil {
			return Match{Operation: op, Values: values, route: r}
		}
		allowed = slices.AppendSeq(allowed, maps.Keys(r.operations))
	}
	slices.Sort(allowed)
	return Match{Allowed: slices.Compact(allowed)}
}

// Params gives the parameters of the path by their names.
func (m Match) Params() map[string]string {
	params := make(map[string]string, len(m.Values))
	for i, name := range m.route.names {
		params[name] = m.Values[i]
	}
	return params
}

// readPath splits the path of a request into its decoded segments. It fails for a path that routers and
// proxies disagree about.
func readPath(u *url.URL) (segments []string, ok bool) {
	if u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || !utf8.ValidString(u.Path) {
		return nil, false
	}
	if u.RawPath != "" { // how it was sent, where that is not how Go would escape it
		decoded, err := url.PathUnescape(u.RawPath)
		if err != nil || decoded != u.Path || strings.Count(u.RawPath, "/") != strings.Count(u.Path, "/") { // a slash was escaped
			return nil, false
		}
	}
	segments = strings.Split(u.Path[1:], "/")
	for i, s := range segments {
		if !readAlike(s, i == len(segments)-1) {
			return nil, false
		}
	}
	return segments, true
}

// readAlike reports whether every router and proxy reads a decoded segment as text. Only the last may be
// empty: there a slash ends the path.
func readAlike(s string, last bool) bool {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }
	return s != "." && s != ".." && (s != "" || last) && !strings.ContainsFunc(s, odd)
}

// Plain gives a request whose path is spelled in the one way that every router reads alike. For a path
// that Find does not know it gives the request as it is.
func Plain(r *http.Request) *http.Request {
	if r.URL.RawPath == "" {
		return r
	}
	if _, ok := readPath(r.URL); !ok {
		return r
	}
	plain, u := *r, *r.URL
	u.RawPath = "" // the decoded path is enough, since none of its slashes was escaped
	plain.URL = &u
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	if prefix, ok := strings.CutSuffix(sent, r.URL.RawPath); ok { // which http.StripPrefix takes off the URL alone
		plain.RequestURI = prefix + u.RequestURI()
	}
	return &plain
}
