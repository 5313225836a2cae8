package login

import "sesame/server/internal/problem"

// Errors that a handler returns, for its caller to see. They are answered as Sesame's own are, with
// application/problem+json (RFC 9457). detail is a sentence for the developer who reads it; it must not repeat what
// the caller sent.

// NotFound is 404 with the code not_found.
func NotFound(detail string) error { return problem.New(problem.NotFound, detail) }

// Forbidden is 403 with the code insufficient_scope: the caller may not do this.
func Forbidden(detail string) error { return problem.New(problem.InsufficientScope, detail) }

// Invalid is 422 with the code validation_failed. pointer is the JSON pointer of the field, such as /text.
func Invalid(pointer, detail string) error {
	return problem.New(problem.ValidationFailed, "The request does not fit the contract.").At(pointer, detail)
}
