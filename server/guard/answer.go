package guard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
)

// body is an error in the format of RFC 9457, as in Sesame's own answers.
type body struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Code   problem.Code `json:"code"`
	Errors []field      `json:"errors,omitempty"`
}

type field struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// answer refuses a request. Neither the answer nor the log repeats what the request contained.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request, op *contract.Operation, err error) {
	p, ok := errors.AsType[*problem.Error](err)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		p = problem.Wrap(problem.InvalidToken, "The credentials are not valid here.", err)
	case !ok:
		g.options.Log.ErrorContext(r.Context(), "a security scheme failed", "error", err)
		p = problem.New(problem.Internal, "Something went wrong here.")
	}
	if op != nil {
		g.options.Log.DebugContext(r.Context(), "refused", "operation", op.ID, "error", p.Error())
	}
	b := body{Type: p.Code.Type(), Title: p.Code.Title(), Status: p.Code.Status(), Detail: p.Detail, Code: p.Code}
	for _, f := range p.Fields {
		b.Errors = append(b.Errors, field{f.Pointer, f.Detail})
	}
	if challenge := p.Challenge(); challenge != "" {
		w.Header().Set("WWW-Authenticate", g.public.challenge(challenge))
	}
	if p.Code == problem.Unavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Code.Status())
	_ = json.NewEncoder(w).Encode(b) // fails only if the client has closed the connection
}

// misrouted logs why an operation of the document gets 404. It does not log the requested path, which may contain secrets.
func (g *Guard) misrouted(r *http.Request, found contract.Match, route string) {
	g.options.Log.DebugContext(r.Context(), "refused: the router chose another route than the operation's",
		"operation", found.Operation.ID, "path", found.Operation.Path, "route", route)
}

// admit returns the request with its caller in the context, or answers it and returns nil.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, found contract.Match) *http.Request {
	var err error
	op := found.Operation
	switch {
	case g.public.isFor(r, found):
		if err = g.public.serve(w, r); err == nil {
			return nil
		}
	case op == nil && len(found.Allowed) > 0:
		w.Header().Set("Allow", strings.Join(found.Allowed, ", "))
		err = problem.New(problem.MethodNotAllowed, "This address does not take the method; Allow lists those that it takes.")
	case op == nil:
		err = problem.New(problem.NotFound, "There is nothing at this address.")
	default:
		var admitted *http.Request
		if g.options.ValidateRequests {
			admitted, err = op.Admit(r, found.Params())
		} else {
			admitted, err = op.Authorize(r)
		}
		if err == nil {
			if !op.Public() { // a default that the handler can replace
				w.Header().Set("Cache-Control", "no-store")
			}
			return admitted.WithContext(context.WithValue(admitted.Context(), operationKey{}, op.ID))
		}
	}
	g.answer(w, r, op, err)
	return nil
}
