package contract

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"sesame/server/internal/problem"
)

// checkQuery checks the query as strictly as a body, if the operation has query parameters. Parsers read a duplicate
// parameter differently, and a client that misspells a filter would take the whole list for the filtered one. Operations
// without query parameters ignore the query.
func (op *Operation) checkQuery(raw string) error {
	if len(op.query) == 0 || raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return problem.New(problem.BadRequest, "The query is not valid.")
	}
	for name, values := range query {
		if op.lenient && !slices.Contains(op.query, name) {
			continue
		}
		if !slices.Contains(op.query, name) { // the error must not repeat what was sent
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
