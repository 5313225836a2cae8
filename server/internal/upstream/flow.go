package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Person is somebody at a provider, as the provider says. Who that is here depends on Issuer and Subject alone.
type Person struct {
	Provider      Provider
	Issuer        string
	Subject       string
	Email         string
	EmailVerified bool // the provider said so with the boolean true
	Name          string
	Label         string // what the provider calls the person
}

// Wish is what a person wants a sign-in for. It comes back with the answer.
type Wish struct {
	Errand string // where they are going; of characters that a cookie can have
	// Session is that of the browser, to link the identity to its account; "" to sign in.
	Session string
	Again   bool // the person has to prove again who they are
}

// Begun is a sign-in that has begun.
type Begun struct {
	Address string      // of the provider
	Cookie  secret.Text // for the browser to keep until ExpiresAt
	Expires time.Time
}

// flowTTL is how long a person can stay at the provider.
const flowTTL = 10 * time.Minute

// MaxCookie bounds the cookie, since browsers drop one of more than 4096 bytes with its name and attributes.
const MaxCookie = 3800

// flow is what the cookie holds beside the errand.
type flow struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Session  string `json:"b"`
	Again    bool   `json:"a"`
	Expires  int64  `json:"e"` // Unix microseconds
}

// begun is when the flow began.
func (f flow) begun() time.Time { return time.UnixMicro(f.Expires).Add(-flowTTL) }

// The errors of Finish. The text is for the log.
var (
	// ErrState is for an answer that belongs to no sign-in of this browser: a forged or a repeated one, or one that is too late.
	ErrState = errors.New("the answer of the provider belongs to no sign-in that this browser has begun, or it came too late or twice")
	// ErrDenied is for a person who has cancelled at the provider.
	ErrDenied = errors.New("the person has cancelled the sign-in at the provider")
	// ErrProvider is for a provider that does not answer, or answers what it must not.
	ErrProvider = errors.New("the provider failed")
)

// providerError is an ErrProvider with a cause.
type providerError struct {
	text  string
	cause error
}

// Error implements error.
func (e *providerError) Error() string { return e.text }

// Unwrap returns ErrProvider and the cause.
func (e *providerError) Unwrap() []error { return []error{ErrProvider, e.cause} }

// failed marks an error as the fault of the provider. Its text may quote a whole answer, which is for a log and a terminal: only the
// beginning is kept, so that nobody can fill the log with the answers of a provider that is down.
func failed(err error) error {
	if errors.Is(err, ErrProvider) {
		return err
	}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // whose text has the whole answer
		err = errors.New("the token endpoint answered " + refused.Response.Status + " " + refused.ErrorCode)
	}
	return &providerError{"the provider failed: " + printable(err.Error(), 500), err}
}

// Begin begins a sign-in. The state, the nonce and the PKCE verifier are sealed in a cookie of the browser. So a beginning writes
// nothing, and nobody else can finish it. Errors: NotFound, PayloadTooLarge for an errand that no cookie can hold, ErrProvider.
func (s *Service) Begin(ctx context.Context, name string, wish Wish) (begun Begun, err error) {
	p, err := s.usable(ctx, name)
	if err != nil {
		return begun, err
	}
	f := flow{
		State: token.NewSecret().Reveal(), Nonce: token.NewSecret().Reveal(), Verifier: oauth2.GenerateVerifier(),
		Session: wish.Session, Again: wish.Again, Expires: s.now().Add(flowTTL).UnixMicro(),
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return begun, err
	}
	cookie := s.flows.SealURL(plain, flowName(p, wish.Errand)) + "." + wish.Errand
	if len(cookie) > MaxCookie {
		return begun, problem.New(problem.PayloadTooLarge, "The request of the application is too long to sign in at a provider.")
	}
	address, err := s.kind(p).address(ctx, f)
	return Begun{Address: address, Cookie: secret.New(cookie), Expires: time.UnixMicro(f.Expires)}, err
}

// flowName binds a flow to its provider and its errand.
func flowName(p Provider, errand string) string { return p.Name + " " + p.Issuer + " " + errand }

// Answer is what a provider has answered.
type Answer struct {
	Person
	Wish // as far as it is known: from ErrDenied on
}

// kind is what the kinds of providers do in their own way.
type kind interface {
	// address is where the person signs in.
	address(ctx context.Context, f flow) (string, error)
	// answersWithIssuer reports whether every answer has the parameter iss (RFC 9207).
	answersWithIssuer(ctx context.Context) (bool, error)
	// person exchanges the code.
	person(ctx context.Context, f flow, code string) (Person, error)
}

func (s *Service) kind(p Provider) kind {
	if p.Kind == GitHub {
		return github{s, p}
	}
	return openID{s, p}
}

// Finish checks the answer of a provider against the cookie, and gets the person from the provider. Each answer is used once. Errors:
// NotFound, ErrState, ErrDenied, ErrProvider.
func (s *Service) Finish(ctx context.Context, name string, cookie secret.Text, query url.Values) (a Answer, err error) {
	p, err := s.usable(ctx, name)
	if err != nil {
		return a, err
	}
	f, errand, ok := s.open(p, cookie)
	if !ok || !same(query.Get("state"), f.State) || repeats(query) {
		return a, ErrState
	}
	a.Wish = Wish{Errand: errand, Session: f.Session, Again: f.Again}
	err = s.db.UseState(ctx, "state "+token.HashSecret(secret.New(f.State)), time.UnixMicro(f.Expires))
	if errors.Is(err, store.ErrConflict) {
		return Answer{}, ErrState
	}
	if err != nil {
		return a, err
	}
	k := s.kind(p)
	named, err := k.answersWithIssuer(ctx)
	if err != nil {
		return a, err
	}
	if iss := query.Get("iss"); iss != p.Issuer && (named || query.Has("iss")) { // the answer of another provider (mix-up)
		return a, failed(errors.New("the answer names another issuer, or none"))
	}
	switch fault := query.Get("error"); {
	case fault == "access_denied":
		return a, ErrDenied
	case fault != "":
		return a, failed(errors.New("the provider answered with the error " + printable(fault, 100)))
	case query.Get("code") == "":
		return a, failed(errors.New("the answer has no code"))
	}
	a.Person, err = k.person(ctx, f, query.Get("code"))
	a.Provider, a.Issuer = p, p.Issuer
	return a, err
}

// open opens a cookie that is not expired.
func (s *Service) open(p Provider, cookie secret.Text) (f flow, errand string, ok bool) {
	sealed, errand, ok := strings.Cut(cookie.Reveal(), ".")
	if !ok {
		return f, "", false
	}
	plain, err := s.flows.OpenURL(sealed, flowName(p, errand))
	if err == nil {
		err = json.Unmarshal(plain, &f)
	}
	return f, errand, err == nil && store.Pending(time.UnixMicro(f.Expires), s.now(), flowTTL)
}

// repeats reports whether a parameter occurs twice (RFC 6749 §3.1).
func repeats(query url.Values) bool {
	for _, values := range query {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// printable returns the first bytes of the text of a provider, for the log, with a question mark for each other character.
func printable(text string, bytes int) string {
	return strings.Map(func(r rune) rune {
		if names.Printable(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text[:min(len(text), bytes)], "?"))
}
