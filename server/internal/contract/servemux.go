package contract

import (
	"net/http"
	"net/url"
	"strings"
)

// FindInServeMux gives the operation that the handler of an http.ServeMux pattern, which the mux has chosen for a request,
// is for. A pattern for GET takes HEAD as well: then it is GET's. There is none where the pattern is narrower than the
// operation's path, for then the document does not know of it, or is another path of the document: the operation's own
// handler is missing. It may be wider: a handler for /, or a router that is mounted at /v1/.
func (t *Router) FindInServeMux(method string, u *url.URL, pattern string) Match {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		if pattern[:i] == http.MethodGet && method == http.MethodHead {
			method = http.MethodGet
		}
		pattern = pattern[i:]
	}
	_, path, ok := strings.Cut(pattern, "/") // after its host
	found := t.Find(method, u)
	if !ok || found.Operation == nil {
		return Match{}
	}
	parts := strings.Split(path, "/")
	if all, _ := found.route.inServeMux(parts); !all {
		return Match{}
	}
	for _, other := range t.routes[len(parts)] {
		if _, exactly := other.inServeMux(parts); exactly && other != found.route {
			return Match{}
		}
	}
	return found
}

// inServeMux reports whether the segments of a pattern take every path of the template, and whether they take
// exactly those.
func (t *template) inServeMux(parts []string) (all, exactly bool) {
	exactly = true
	for i, part := range parts {
		if i == len(t.segments) {
			return false, false
		}
		switch s := t.segments[i]; {
		case part == "" || strings.HasSuffix(part, "...}"): // the rest of the path, which may be empty
			return true, false
		case part == "{$}": // nothing
			if !s.isText() || s.text != "" {
				return false, false
			}
		case strings.HasPrefix(part, "{"):
			if s.isText() && s.text == "" {
				return false, false
			}
			exactly = exactly && !s.isText()
		case !s.isText() || s.text != decode(part):
			return false, false
		}
	}
	all = len(parts) == len(t.segments)
	return all, all && exactly
}
