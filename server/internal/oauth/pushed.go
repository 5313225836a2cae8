package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// PushedTTL is how long a pushed request can be used.
	PushedTTL = 60 * time.Second
	// maxPushed bounds the request_uri, in characters: it becomes part of an address.
	maxPushed = 4000

	pushedPrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2
	pushedHolder = "pushed request"                     // which no session of a browser has as its id
)

// pushed is a pushed request, sealed in its request_uri. So nothing is stored before a person has agreed to it.
type pushed struct {
	ID         string                  `json:"id"`
	Parameters AuthorizationParameters `json:"p"`
	ExpiresAt  int64                   `json:"exp"` // Unix microseconds
}

func isPushed(requestURI string) bool { return strings.HasPrefix(requestURI, pushedPrefix) }

// Push examines the parameters of an authorization request, and returns a request_uri in their place (RFC 9126). Errors:
// InvalidRequest and the other errors of the authorization endpoint.
func (s *Service) Push(ctx context.Context, client Client, p AuthorizationParameters) (requestURI string, err error) {
	if p.RequestURI != "" {
		return "", problem.New(problem.InvalidRequest, "request_uri is not allowed here.")
	}
	p.ClientID = client.PublicID()
	a, err := s.Authorization(ctx, p, s.now())
	if err != nil {
		return "", err
	}
	if a.Fault != nil {
		return "", a.Fault
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	p.Pushed = id.String()
	plain, err := json.Marshal(pushed{p.Pushed, p, s.now().Add(PushedTTL).UnixMicro()})
	if err != nil {
		return "", err
	}
	if requestURI = pushedPrefix + s.pages.SealURL(plain, pushedHolder); len(requestURI) > maxPushed {
		return "", problem.New(problem.InvalidRequest, "The request is too long. Shorten state, or leave out id_token_hint.")
	}
	return requestURI, nil
}

// openPushed returns the parameters of a pushed request. The others of the request are ignored, but for client_id
// (RFC 9126 §4).
func (s *Service) openPushed(sent AuthorizationParameters) (AuthorizationParameters, error) {
	var p pushed
	plain, err := s.pages.OpenURL(strings.TrimPrefix(sent.RequestURI, pushedPrefix), pushedHolder)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	switch {
	case err != nil:
	case p.Parameters.ClientID != sent.ClientID:
		err = errors.New("it was pushed by another client")
	case !store.Pending(time.UnixMicro(p.ExpiresAt).UTC(), s.now(), PushedTTL):
		err = errors.New("it is expired")
	}
	if err != nil {
		return p.Parameters, unsafeRequest("The request of the application is unknown or has expired.")
	}
	return p.Parameters, nil
}

// usePushed reports whether an authorization request was not pushed, or not used before. Its form can be open for pendingFor, so
// that is how long its use is remembered.
func (s *Service) usePushed(ctx context.Context, a Authorization) (unused bool, err error) {
	if a.Pushed == "" {
		return true, nil
	}
	used, err := s.db.UseAuthorizationCode(ctx, a.Pushed, pushedHolder, s.now().Add(PushedTTL+pendingFor))
	return used == "", err
}
