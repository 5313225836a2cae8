package contract

import "strings"

// IsServeMuxPattern reports whether the handler of an http.ServeMux pattern is the operation's. It is not
// where the pattern is narrower than the operation's path, for then the document does not know of it, or is
// the path of another operation. It may be wider: a handler for /, or a router that is mounted at /v1/.
func (m Match) IsServeMuxPattern(pattern string) bool {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 { // after its method
		pattern = pattern[i:]
	}
	_, path, ok := strings.Cut(pattern, "/") // after its host
	if !ok {
		return false
	}
	parts := strings.Split(path, "/")
	if ok, _ := m.route.inServeMux(parts); !ok {
		return false
	}
	for _, other := range m.router.routes[len(parts)] {
		if other.operations[m.Operation.Method] == nil || other == m.route {
			continue
		}
		if _, exactly := other.inServeMux(parts); exactly {
			return false
		}
	}
	return true
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
