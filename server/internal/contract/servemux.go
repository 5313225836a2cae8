package contract

import (
	"net/http"
	"net/url"
	"strings"
)

// FindInServeMux returns the operation of a request for which an http.ServeMux has chosen a pattern. A pattern for GET also
// matches HEAD, which is then the operation of GET even if the document has one of HEAD.
//
// There is no operation if the pattern is narrower than the operation's path, because the document does not describe that
// pattern, or if it is another path of the document, because the operation's own handler is missing. The pattern may be
// wider: a handler for /, or a router at /v1/.
func (t *Router) FindInServeMux(method string, u *url.URL, pattern string) Match {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		if pattern[:i] == http.MethodGet && method == http.MethodHead {
			method = http.MethodGet
		}
		pattern = pattern[i:]
	}
	_, path, ok := strings.Cut(pattern, "/") // without its host
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

// inServeMux reports whether the segments of a pattern match every path of the template, and whether they match exactly
// those.
func (t *template) inServeMux(parts []string) (all, exactly bool) {
	exactly = true
	for i, part := range parts {
		if i == len(t.segments) {
			return false, false
		}
		switch s := t.segments[i]; {
		case part == "" || strings.HasSuffix(part, "...}"): // matches the rest of the path, even if it is empty
			return true, false
		case part == "{$}": // matches an empty segment
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
