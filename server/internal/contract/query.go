package contract

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"sesame/server/internal/problem"
)

// checkQuery reads the query of an operation that has parameters there as strictly as a body is read: what
// is given twice is read differently by different readers, and who misspells a filter would believe that
// the whole list is the part that was asked for. Elsewhere the query is not looked at.
func (op *Operation) checkQuery(raw string) error {
	if len(op.query) == 0 || raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return problem.New(problem.BadRequest, "The query is not valid.")
	}
	for name, values := range query {
		if !slices.Contains(op.query, name) { // which is not repeated: it could be anything
			return problem.New(problem.ValidationFailed, fmt.Sprintf("The query has a parameter that this operation does not take. It takes: %s.", strings.Join(op.query, ", ")))
		}
		if len(values) > 1 {
			return problem.New(problem.BadRequest, "A parameter is given twice.").At("/"+name, "is given twice")
		}
		if !utf8.ValidString(values[0]) {
			return problem.New(problem.BadRequest, "The query is not valid UTF-8.").At("/"+name, "is not valid UTF-8")
		}
	}
	return nil
}
