package contract

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// template is a path of the document, segment by segment.
type template struct {
	path     string // as in the document
	segments []segment
	names    []string // of its parameters, in their order
}

// segment is text, a parameter, or a mix of both, which only foreign documents may have.
type segment struct {
	text    string         // decoded
	names   []string       // of its parameters
	pattern *regexp.Regexp // of a mix
}

var pathParameter = regexp.MustCompile(`\{([^{}]+)\}`)

// newTemplate parses a path under base, both as they are written in a document.
func newTemplate(base, path string) (*template, error) {
	t := &template{path: path}
	if base != "" && !strings.HasPrefix(base, "/") || !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%s%s: a path must begin with /", base, path)
	}
	if base != "" {
		for text := range strings.SplitSeq(base[1:], "/") {
			t.segments = append(t.segments, segment{text: decode(text)})
		}
	}
	for text := range strings.SplitSeq(path[1:], "/") {
		s := newSegment(text)
		t.segments, t.names = append(t.segments, s), append(t.names, s.names...)
	}
	for i, s := range t.segments {
		if s.isText() && !readAlike(s.text, i == len(t.segments)-1) {
			return nil, fmt.Errorf("%s%s: no request can reach the segment %q", base, path, s.text)
		}
	}
	return t, nil
}

func newSegment(text string) segment {
	var s segment
	pattern, last := "", 0
	for _, at := range pathParameter.FindAllStringSubmatchIndex(text, -1) {
		s.names = append(s.names, strings.TrimSpace(text[at[2]:at[3]]))
		pattern += regexp.QuoteMeta(decode(text[last:at[0]])) + "(.+)"
		last = at[1]
	}
	switch {
	case len(s.names) == 0:
		s.text = decode(text)
	case pattern != "(.+)" || last != len(text):
		s.text = text
		s.pattern = regexp.MustCompile("(?s)^" + pattern + regexp.QuoteMeta(decode(text[last:])) + "$")
	}
	return s
}

// decode decodes text of a document once. As in a pattern of http.ServeMux, a % that begins no escape stands for itself.
func decode(text string) string {
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}

func (s segment) isText() bool  { return len(s.names) == 0 }
func (s segment) isMixed() bool { return s.pattern != nil }

// match compares decoded segments with the template and returns the values of its parameters.
func (t *template) match(segments []string) (values []string, ok bool) {
	for i, s := range t.segments {
		switch given := segments[i]; {
		case s.isText():
			if given != s.text {
				return nil, false
			}
		case given == "":
			return nil, false
		case s.isMixed():
			found := s.pattern.FindStringSubmatch(given)
			if found == nil {
				return nil, false
			}
			values = append(values, found[1:]...)
		default:
			values = append(values, given)
		}
	}
	return values, true
}

// textLength orders templates with the same number of parameters.
func (t *template) textLength() (n int) {
	for _, s := range t.segments {
		n += len(s.text)
	}
	return n
}

// check fails for a template that common routers cannot serve.
func (t *template) check() error {
	for _, s := range t.segments {
		if s.isMixed() || s.isText() && strings.ContainsAny(s.text, "{}") {
			return fmt.Errorf("%s: a parameter must be a whole segment: http.ServeMux and Echo cannot route text beside one", t.path)
		}
	}
	if names := slices.Sorted(slices.Values(t.names)); len(slices.Compact(names)) < len(t.names) {
		return fmt.Errorf("%s: a parameter is named twice", t.path)
	}
	return nil
}

// relation compares the set of paths that match one template with that of another.
type relation int

const (
	disjoint relation = iota
	same
	narrower
	wider
	overlapping
)

// relationTo compares two templates without mixed segments.
func (t *template) relationTo(other *template) relation {
	if len(t.segments) != len(other.segments) {
		return disjoint
	}
	r := same
	for i, a := range t.segments {
		b := other.segments[i]
		switch {
		case a.isText() && b.isText():
			if a.text != b.text {
				return disjoint
			}
		case a.isText():
			if a.text == "" { // a parameter is never empty
				return disjoint
			}
			r = r.and(narrower)
		case b.isText():
			if b.text == "" {
				return disjoint
			}
			r = r.and(wider)
		}
	}
	return r
}

func (r relation) and(next relation) relation {
	if r == same || r == next {
		return next
	}
	return overlapping
}
