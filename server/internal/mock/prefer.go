package mock

import (
	"fmt"
	"strconv"
	"strings"

	"sesame/server/internal/problem"
)

// preference is the documented response that a request has chosen.
type preference struct {
	code    int    // 0 for none
	example string // by its name, "" for none
}

// String returns the value of Preference-Applied (RFC 7240 §3).
func (p preference) String() string {
	if p.example == "" {
		return fmt.Sprintf("code=%d", p.code)
	}
	return fmt.Sprintf("code=%d, example=%s", p.code, p.example)
}

// readPrefer reads the header Prefer. It ignores unknown preferences, as RFC 7240 §2 requires.
func readPrefer(headers []string) (preference, error) {
	var p preference
	items := strings.FieldsFunc(strings.Join(headers, ","), func(r rune) bool { return r == ',' || r == ';' })
	for _, item := range items {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "code":
			code, err := strconv.Atoi(value)
			if err != nil || code < 200 || code > 599 {
				return p, badPreference("code must be a status from 200 to 599")
			}
			p.code = code
		case "example":
			p.example = value
		}
	}
	return p, nil
}

func badPreference(format string, args ...any) error {
	return problem.New(problem.BadRequest, "Prefer: "+fmt.Sprintf(format, args...)+".")
}
