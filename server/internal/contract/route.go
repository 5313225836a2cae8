package contract

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Router finds the operation of a request by the paths of the document. It decodes a path once and compares it segment by
// segment, so every spelling of a path finds the same operation.
type Router struct {
	routes map[int][]*route // by their number of segments; the more specific first
}

// route is a path of the document, with its operations by method.
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

// NewRouter returns a Router for operations under base, the path of a URL without a slash at the end. It fails for paths
// that common routers cannot serve, and for two paths between which routers choose differently. So every router that
// prefers text to parameters chooses the operation that Find returns.
func NewRouter(base string, operations []*Operation) (*Router, error) {
	r, err := NewForeignRouter(base, operations)
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, routes := range r.routes {
		var checked []*route // the others cannot be compared
		for _, a := range routes {
			if fault := a.check(); fault != nil {
				faults = append(faults, fault)
				continue
			}
			checked = append(checked, a)
			for _, b := range checked[:len(checked)-1] {
				if reason := a.conflict(b); reason != "" {
					faults = append(faults, fmt.Errorf("%s and %s %s", b.path, a.path, reason))
				}
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return r, errors.Join(faults...)
}

// NewForeignRouter accepts paths that other routers do not: a segment may hold text and parameters, and several paths may
// match a request. The one with the fewest parameters wins, then the one with the most text, then the first in alphabetical
// order. Use it where no other router follows. The error names the paths that no request can reach; the Router finds the
// others nevertheless.
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

// conflict returns the reason why routers can choose differently between two paths, or "".
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

// Find returns the operation of a request. HEAD is for the operation of GET where it has none of its own (RFC 9110 §9.3.2). Find
// finds none for a path that routers read differently.
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
		if op := operationOf(r.operations, method); op != nil {
			return Match{Operation: op, Values: values, route: r}
		}
		allowed = slices.AppendSeq(allowed, maps.Keys(r.operations))
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	return Match{Allowed: slices.Compact(allowed)}
}

// operationOf returns the operation of a path for a method, or nil.
func operationOf(operations map[string]*Operation, method string) *Operation {
	if op := operations[method]; op != nil || method != http.MethodHead {
		return op
	}
	return operations[http.MethodGet]
}

// twiceEncoded finds text that is still percent-encoded after the path was decoded once.
var twiceEncoded = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// MayBeMisread reports whether the router of another program may read a path as that of another operation than the one that
// Find has found. Java's containers cut a segment at its semicolon, and then read ..; as dots. Some programs decode a path twice.
// Express ignores the case of letters, Rails an ending such as .json, and many a slash at the end: so a parameter that is the
// text of another path of the document but for these is doubtful.
func (t *Router) MayBeMisread(u *url.URL, found Match) bool {
	if found.Operation == nil {
		return false
	}
	if strings.Contains(u.Path, ";") || twiceEncoded.MatchString(u.Path) {
		return true
	}
	segments := strings.Split(u.Path[1:], "/")
	for n := len(segments) - 1; n <= len(segments)+1; n++ {
		for _, other := range t.routes[n] {
			if other != found.route && found.route.resembles(other.template, segments) {
				return true
			}
		}
	}
	return false
}

// resembles reports whether a path that matches the template also matches another one if letter case, endings and a slash at the
// end are ignored where the template has parameters.
func (t *template) resembles(other *template, given []string) (doubtful bool) {
	own, others := withoutSlash(t.segments), withoutSlash(other.segments)
	if len(own) != len(others) {
		return false
	}
	for i, s := range others {
		switch {
		case !s.isText() || own[i].isText() && own[i].text == s.text:
		case own[i].isText() || !alike(given[i], s.text):
			return false
		case given[i] != s.text || len(t.segments) != len(other.segments):
			doubtful = true
		}
	}
	return doubtful
}

func withoutSlash(segments []segment) []segment {
	if last := len(segments) - 1; last > 0 && segments[last].isText() && segments[last].text == "" {
		return segments[:last]
	}
	return segments
}

// alike reports whether a router may read a segment as a text.
func alike(given, text string) bool {
	for end := len(given); end > 0; end = strings.LastIndexByte(given[:end], '.') {
		if strings.EqualFold(strings.TrimRight(given[:end], " ."), text) {
			return true
		}
	}
	return false
}

// Params returns the parameters of the path by name.
func (m Match) Params() map[string]string {
	params := make(map[string]string, len(m.Values))
	for i, name := range m.route.names {
		params[name] = m.Values[i]
	}
	return params
}

// readPath returns the decoded segments of a path. It fails for a path that routers and proxies read differently.
func readPath(u *url.URL) (segments []string, ok bool) {
	if u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || !utf8.ValidString(u.Path) {
		return nil, false
	}
	if u.RawPath != "" { // the path as it was sent, if Go would escape it differently
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

// readAlike reports whether every router and proxy reads a decoded segment as text. Only the last segment may be empty: the
// path then ends with a slash.
func readAlike(s string, last bool) bool {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }
	return s != "." && s != ".." && (s != "" || last) && !strings.ContainsFunc(s, odd)
}

// Plain returns a copy of a request with the spelling of its path that every router reads alike. It returns the request
// itself if routers read its path differently.
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
	if prefix, ok := strings.CutSuffix(sent, r.URL.RawPath); ok { // http.StripPrefix removes the prefix from the URL alone
		plain.RequestURI = prefix + u.RequestURI()
	}
	return &plain
}
