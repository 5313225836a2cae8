package oauth

import (
	"context"
	"encoding/json"
	"time"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// pending is a request that waits for a person, in a form of a page.
type pending struct {
	Parameters AuthorizationParameters `json:"p"`
	Since      int64                   `json:"t"` // Unix microseconds
}

// pendingFor is how long a page can be left open.
const pendingFor = time.Hour

// Seal returns a request as a text for the form of a page. holder binds it: it opens for the same holder alone.
func (s *Service) Seal(a Authorization, holder string) string {
	plain, err := json.Marshal(pending{a.AuthorizationParameters, a.Since.UnixMicro()})
	if err != nil { // strings and a number
		panic(err)
	}
	return s.pages.SealURL(plain, holder)
}

// ErrPage is the error for a form that cannot be used any more.
func ErrPage(cause error) *problem.Error {
	return problem.Wrap(problem.InvalidRequest, "This page is too old, or belongs to another sign-in.", cause)
}

// Unseal is the inverse of Seal. It examines the request again, since the client may have changed. Errors: InvalidRequest.
func (s *Service) Unseal(ctx context.Context, sealed, holder string) (Authorization, error) {
	var p pending
	plain, err := s.pages.OpenURL(sealed, holder)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	since := time.UnixMicro(p.Since).UTC()
	if err != nil || !store.Pending(since.Add(pendingFor), s.now(), pendingFor) {
		return Authorization{}, ErrPage(err)
	}
	return s.Authorization(ctx, p.Parameters, since)
}
