package mock

import (
	"math"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/contract"
)

// samplesOf has a value for each string format.
var samplesOf = map[string]string{
	"uuid": "019ad827-9c2f-713a-a564-7e27e6b20354", "email": "ann@example.com", "uri": "https://example.com/",
	"url": "https://example.com/", "date-time": "2026-11-24T14:11:00Z", "date": "2026-11-24", "time": "14:11:00Z",
	"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "hostname": "example.com", "byte": "c2VzYW1l", "duration": "PT10M",
}

// sampleString makes a text of the schema's format, pattern and length.
func sampleString(s *openapi3.Schema) string {
	text, known := samplesOf[s.Format]
	if !known {
		text = "string"
	}
	if missing := int(min(s.MinLength, maxSampleText)) - utf8.RuneCountInString(text); missing > 0 {
		text += strings.Repeat("x", missing)
	}
	if runes := []rune(text); s.MaxLength != nil && *s.MaxLength < uint64(len(runes)) {
		text = string(runes[:*s.MaxLength])
	}
	if s.Pattern == "" || contract.Fits(s, text) == nil {
		return text
	}
	shortest, _ := matching(s.Pattern, 0)
	missing := int(min(s.MinLength, maxSampleText)) - utf8.RuneCountInString(shortest)
	for _, extra := range []int{0, 1, 2, 3, 4, missing / 2, missing, missing + 1} { // repeats what the pattern allows to be repeated
		made, ok := matching(s.Pattern, max(extra, 0))
		if ok && contract.Fits(s, made) == nil {
			return made
		}
	}
	return text
}

// matching returns a text that matches a regular expression, with extra repetitions.
func matching(pattern string, extra int) (string, bool) {
	expression, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	m := &matcher{extra: extra}
	m.write(expression)
	return m.String(), true
}

type matcher struct {
	strings.Builder
	extra int
}

func (m *matcher) write(e *syntax.Regexp) {
	if m.Len() > maxSampleText {
		return
	}
	switch e.Op {
	case syntax.OpLiteral:
		m.WriteString(string(e.Rune))
	case syntax.OpCharClass:
		m.WriteRune(oneOf(e.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		m.WriteByte('a')
	case syntax.OpCapture, syntax.OpConcat:
		for _, part := range e.Sub {
			m.write(part)
		}
	case syntax.OpAlternate:
		m.write(e.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		m.repeat(e.Sub[0], 0, map[bool]int{true: 1, false: -1}[e.Op == syntax.OpQuest])
	case syntax.OpPlus:
		m.repeat(e.Sub[0], 1, -1)
	case syntax.OpRepeat:
		m.repeat(e.Sub[0], e.Min, e.Max)
	}
}

func (m *matcher) repeat(e *syntax.Regexp, least, most int) {
	n := least + m.extra
	if most >= 0 {
		n = min(n, most)
	}
	for range n {
		m.write(e)
	}
}

// oneOf returns a character of a class, given as ranges: a letter or digit if there is one.
func oneOf(ranges []rune) rune {
	in := func(r rune) bool {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= r && r <= ranges[i+1] {
				return true
			}
		}
		return false
	}
	for r := range slices.Values([]rune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890-_. ")) {
		if in(r) {
			return r
		}
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], ranges[i]+100); r++ {
			if unicode.IsPrint(r) {
				return r
			}
		}
	}
	if len(ranges) > 0 {
		return ranges[0]
	}
	return 'a'
}

// sampleNumber makes a number between the schema's bounds: 1 if it may be.
func sampleNumber(s *openapi3.Schema) any {
	low, high := math.Inf(-1), math.Inf(1)
	if s.Min != nil {
		low = *s.Min
	}
	if s.Max != nil {
		high = *s.Max
	}
	step := 1.0
	if s.MultipleOf != nil && *s.MultipleOf > 0 {
		step = *s.MultipleOf
	} else if width := high - low; width <= 1 && !isInteger(s) {
		step = width / 2
	}
	if bound := s.ExclusiveMin; bound.Value != nil {
		low = math.Max(low, *bound.Value+step)
	} else if bound.IsTrue() {
		low += step
	}
	if bound := s.ExclusiveMax; bound.Value != nil {
		high = math.Min(high, *bound.Value-step)
	} else if bound.IsTrue() {
		high -= step
	}
	value := math.Min(math.Max(low, 1), high)
	if s.MultipleOf != nil && *s.MultipleOf > 0 {
		if value = math.Ceil(value/step) * step; value > high {
			value = math.Floor(high/step) * step
		}
	}
	if isInteger(s) {
		value = math.Ceil(value)
	}
	return value
}

func isInteger(s *openapi3.Schema) bool { return s.Type.Includes(openapi3.TypeInteger) }
