package guard

import (
	"encoding/json"
	"errors"
	"net/http"

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
