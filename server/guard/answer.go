package guard

import (
	"encoding/json"
	"errors"
	"net/http"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
)

// statuses has what Admit refuses with. Anything else is a fault.
var statuses = map[problem.Code]int{
	problem.BadRequest:           http.StatusBadRequest,
	problem.Unauthenticated:      http.StatusUnauthorized,
	problem.InvalidToken:         http.StatusUnauthorized,
	problem.InsufficientScope:    http.StatusForbidden,
	problem.NotFound:             http.StatusNotFound,
	problem.MethodNotAllowed:     http.StatusMethodNotAllowed,
	problem.PayloadTooLarge:      http.StatusRequestEntityTooLarge,
	problem.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	problem.ValidationFailed:     http.StatusUnprocessableEntity,
	problem.Internal:             http.StatusInternalServerError,
}

// body is an error as RFC 9457 has it, the same as Sesame's own.
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

// answer refuses a request. Nothing that it sent is repeated, neither here nor in the log.
func (g *Guard) answer(w http.ResponseWriter, r *http.Request, op *contract.Operation, err error) {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || statuses[p.Code] == 0 { // an error of somebody's own scheme
		g.Log.ErrorContext(r.Context(), "a request could not be checked", "error", err)
		p = problem.New(problem.Internal, "Something went wrong here.")
	}
	if op != nil {
		g.Log.DebugContext(r.Context(), "refused", "operation", op.ID, "error", p.Error())
	}
	status := statuses[p.Code]
	b := body{Type: "urn:sesame:problem:" + string(p.Code), Title: http.StatusText(status), Status: status, Detail: p.Detail, Code: p.Code}
	for _, f := range p.Fields {
		b.Errors = append(b.Errors, field{f.Pointer, f.Detail})
	}
	if challenge := contract.Challenge("sesame", p); challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(b) // it can only fail when the client has gone
}
