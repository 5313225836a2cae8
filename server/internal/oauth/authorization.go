package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// AuthorizationParameters are the parameters of an authorization request, as they were sent (RFC 6749 §4.1.1, OpenID Connect
// Core §3.1.2.1). One that is empty is absent.
type AuthorizationParameters struct {
	ResponseType        string `json:"response_type,omitempty"`
	ClientID            string `json:"client_id,omitempty"`
	RedirectURI         string `json:"redirect_uri,omitempty"`
	Scope               string `json:"scope,omitempty"`
	State               string `json:"state,omitempty"`
	Nonce               string `json:"nonce,omitempty"`
	CodeChallenge       string `json:"code_challenge,omitempty"`
	CodeChallengeMethod string `json:"code_challenge_method,omitempty"`
	Prompt              string `json:"prompt,omitempty"`
	MaxAge              string `json:"max_age,omitempty"`
	LoginHint           string `json:"login_hint,omitempty"`
	IDTokenHint         string `json:"id_token_hint,omitempty"`
	ResponseMode        string `json:"response_mode,omitempty"`
	UILocales           string `json:"ui_locales,omitempty"`
	Request             string `json:"request,omitempty"`
	RequestURI          string `json:"request_uri,omitempty"`
	Resource            string `json:"resource,omitempty"` // RFC 8707 §2.1
	Pushed              string `json:"pushed,omitempty"`   // the id of a pushed request, which no client sends
}

// Authorization is an authorization request whose answer may be sent to the client.
type Authorization struct {
	AuthorizationParameters
	Client   Client
	Redirect string         // the registered address, or the one that was sent
	Scopes   []string       // those of the requested scopes that the client may have
	Fault    *problem.Error // what is wrong with the request; the code is that of the answer
	Since    time.Time      // when the request was made
	prompts  []string
	maxAge   time.Duration // -1 for none
	hint     token.Hint
}

// The errors of the authorization endpoint (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
const (
	loginRequired          problem.Code = "login_required"
	consentRequired        problem.Code = "consent_required"
	requestNotSupported    problem.Code = "request_not_supported"
	requestURINotSupported problem.Code = "request_uri_not_supported"
)

// ErrUnsafe is the error for a request whose answer must not be sent anywhere (RFC 6749 §4.1.2.1).
var ErrUnsafe = errors.New("unsafe authorization request")

func unsafeRequest(detail string) error {
	return problem.Wrap(problem.InvalidRequest, detail, ErrUnsafe)
}

// Authorization examines a request. since is when it was made. An error that wraps ErrUnsafe is for a page; other faults are
// in the Authorization, and may be sent to the client.
func (s *Service) Authorization(ctx context.Context, p AuthorizationParameters, since time.Time) (a Authorization, err error) {
	if isPushed(p.RequestURI) {
		if p, err = s.openPushed(p); err != nil {
			return a, err
		}
	}
	a = Authorization{AuthorizationParameters: p, Since: since, maxAge: -1}
	if p.ClientID == "" {
		return a, unsafeRequest("The application did not say which one it is: client_id is missing.")
	}
	a.Client, err = s.clientByID(ctx, p.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return a, unsafeRequest("The application is not known here: there is no client with this client_id.")
	}
	if err != nil {
		return a, err
	}
	switch registered := a.Client.RedirectURIs; {
	case len(registered) == 0:
		return a, unsafeRequest("The application has no redirect address, so people cannot sign in to it with a browser.")
	case p.RedirectURI == "" && len(registered) == 1 && !hasScope(p.Scope, "openid"):
		a.Redirect = registered[0]
	case p.RedirectURI == "":
		return a, unsafeRequest("The application did not say where to send you: redirect_uri is missing.")
	case !a.Client.hasRedirect(p.RedirectURI):
		return a, unsafeRequest("The application wants you to be sent to an address that it has not registered.")
	default:
		a.Redirect = p.RedirectURI
	}
	a.Fault = s.examine(&a)
	return a, nil
}

func hasScope(list, scope string) bool { return slices.Contains(strings.Fields(list), scope) }

// clientByID finds a client by the id in a request, which may be any text. Errors: store.ErrNotFound.
func (s *Service) clientByID(ctx context.Context, id string) (Client, error) {
	if client, ok := s.builtIn(id); ok {
		return client, nil
	}
	if !isClientID(id) {
		return Client{}, store.ErrNotFound
	}
	row, err := s.db.ClientByID(ctx, id)
	return clientOf(row), err
}

// examine reads the parameters that do not say where the answer goes.
func (s *Service) examine(a *Authorization) *problem.Error {
	a.prompts = strings.Fields(a.Prompt)
	switch {
	case a.Request != "":
		return problem.New(requestNotSupported, "The parameter request is not supported.")
	case a.RequestURI != "":
		return problem.New(requestURINotSupported, "The parameter request_uri is not supported.")
	case a.ResponseType == "":
		return problem.New(problem.InvalidRequest, "response_type is missing. It must be code.")
	case a.ResponseType != "code":
		return problem.New(problem.UnsupportedResponseType, "response_type must be code.")
	case a.ResponseMode != "" && a.ResponseMode != "query":
		return problem.New(problem.InvalidRequest, "response_mode must be query.")
	case a.CodeChallenge == "" && a.CodeChallengeMethod != "":
		return problem.New(problem.InvalidRequest, "code_challenge is missing.")
	case a.CodeChallenge == "" && !a.Client.PKCEOptional:
		return problem.New(problem.InvalidRequest, "code_challenge is missing. PKCE is required (RFC 7636).")
	case a.CodeChallenge != "" && a.CodeChallengeMethod != "S256":
		return problem.New(problem.InvalidRequest, "code_challenge_method must be S256.")
	case a.CodeChallenge != "" && !isChallenge(a.CodeChallenge):
		return problem.New(problem.InvalidRequest, "code_challenge is not the base64url of a SHA-256 hash.")
	case slices.Contains(a.prompts, "none") && len(a.prompts) > 1:
		return problem.New(problem.InvalidRequest, "prompt=none cannot be combined with another value.")
	}
	for _, prompt := range a.prompts {
		if !slices.Contains(Prompts, prompt) {
			return problem.New(problem.InvalidRequest, "prompt has a value that is not known.")
		}
	}
	if a.MaxAge != "" {
		seconds, err := strconv.ParseUint(a.MaxAge, 10, 32)
		if err != nil {
			return problem.New(problem.InvalidRequest, "max_age must be a number of seconds.")
		}
		a.maxAge = time.Duration(seconds) * time.Second
	}
	if a.IDTokenHint != "" {
		hint, err := s.ids.ReadHint(a.IDTokenHint)
		if err != nil || hint.ClientID != a.Client.ID {
			return problem.New(problem.InvalidRequest, "id_token_hint is not an ID token of this server for this client.")
		}
		a.hint = hint
	}
	if _, err := s.resource(a.Resource); err != nil {
		return problem.New(problem.InvalidTarget, "The resource is not one that this server issues tokens for.")
	}
	return s.grantScopes(a)
}

// Prompts are the values of prompt.
var Prompts = []string{"none", "login", "consent", "select_account", "create"}

// grantScopes reduces the requested scopes to those that the client may have. A request without scope gets the default ones.
func (s *Service) grantScopes(a *Authorization) *problem.Error {
	requested := strings.Fields(a.Scope)
	if len(requested) == 0 {
		requested = s.identity.Scopes.Default
	}
	if a.Scopes = identity.Intersect(requested, s.allowedByCode(a.Client)); len(a.Scopes) == 0 {
		return problem.New(problem.InvalidScope, "The client may have none of the requested scopes.")
	}
	return nil
}

// openScopes are the scopes of OpenID Connect, which every client may ask for.
var openScopes = []string{"openid", "profile", "email"}

// allowedByCode returns the scopes of a person that a client may receive with the authorization code grant. A third party gets
// only what it was given.
func (s *Service) allowedByCode(c Client) []string {
	if c.ThirdParty {
		return identity.Intersect(s.identity.Scopes.Declared, slices.Concat(openScopes, c.Scopes))
	}
	return identity.Intersect(s.identity.Scopes.Declared, slices.Concat(openScopes, s.allowed(c)))
}

// Step is what has to happen before a request can be answered.
type Step int

// The steps.
const (
	Answer  Step = iota // nothing: answer it
	SignIn              // the person has to sign in
	Consent             // the person has to agree
)

// Next returns what has to happen next. browser is nil where nobody is signed in. consented says that the person has just
// agreed. An error is a *problem.Error for the client: the request allows no page.
func (s *Service) Next(ctx context.Context, a Authorization, browser *identity.Browser, consented bool) (Step, error) {
	silent := a.Silent()
	if a.mustSignIn(browser, s.now()) {
		if silent {
			return SignIn, problem.New(loginRequired, "Nobody is signed in who could be used without a page.")
		}
		return SignIn, nil
	}
	wanted := s.ScopesFor(a, browser.User)
	if len(wanted) == 0 {
		return Answer, problem.New(problem.InvalidScope, "The person has none of the requested scopes.")
	}
	missing := false
	if a.Client.ThirdParty && !consented {
		granted, err := s.db.ConsentOf(ctx, browser.User.ID, a.Client.ID)
		if store.IgnoreNotFound(err) != nil {
			return Consent, err
		}
		missing = err != nil || len(identity.Intersect(wanted, strings.Fields(granted.Scope))) < len(wanted)
	}
	if !missing && (consented || !slices.Contains(a.prompts, "consent")) {
		return Answer, nil
	}
	if silent {
		return Consent, problem.New(consentRequired, "The person has not agreed yet.")
	}
	return Consent, nil
}

// Silent reports whether the request allows no page (prompt=none).
func (a Authorization) Silent() bool { return slices.Contains(a.prompts, "none") }

// WantsProof reports whether the person has to prove who they are even if they are known (prompt=login, max_age).
func (a Authorization) WantsProof() bool { return slices.Contains(a.prompts, "login") || a.maxAge >= 0 }

// Creates reports whether the person is to make an account (prompt=create, Initiating User Registration 1.0). They may also
// sign in to one that they have.
func (a Authorization) Creates() bool { return slices.Contains(a.prompts, "create") }

// WantsAnother reports whether id_token_hint names another person.
func (a Authorization) WantsAnother(user store.User) bool {
	return a.hint.Subject != "" && a.hint.Subject != user.ID
}

// mustSignIn reports whether the request wants a person who signs in now, or another one.
func (a Authorization) mustSignIn(b *identity.Browser, now time.Time) bool {
	if b == nil || a.WantsAnother(b.User) {
		return true
	}
	signedIn := b.Session.SignedInAt
	if !signedIn.Before(a.Since) { // in answer to this request
		return false
	}
	return slices.Contains(a.prompts, "login") || slices.Contains(a.prompts, "select_account") || a.Creates() ||
		a.maxAge >= 0 && signedIn.Before(now.Add(-a.maxAge))
}

// ScopesFor returns the scopes that a person can give the client.
func (s *Service) ScopesFor(a Authorization, user store.User) []string {
	return identity.Intersect(a.Scopes, s.identity.Scopes.OfUser(user))
}

// Agree stores that a person has agreed. Scopes that were granted before stay granted.
func (s *Service) Agree(ctx context.Context, a Authorization, user store.User) error {
	if !a.Client.ThirdParty {
		return nil
	}
	before, err := s.db.ConsentOf(ctx, user.ID, a.Client.ID)
	if store.IgnoreNotFound(err) != nil {
		return err
	}
	all := append(strings.Fields(before.Scope), s.ScopesFor(a, user)...)
	return s.db.SetConsent(ctx, user.ID, a.Client.ID, strings.Join(identity.Intersect(all, all), " "), s.now())
}

// Denied is the answer to a request that the person has refused.
func Denied() *problem.Error { return problem.New(problem.AccessDenied, "The person did not agree.") }

// Refuse returns the address that tells the client why it gets no code.
func (s *Service) Refuse(a Authorization, fault *problem.Error) string {
	return s.answer(a, url.Values{"error": {string(fault.Code)}, "error_description": {fault.Detail}})
}

// Grant returns the address that brings the client its code. A pushed request leads to one.
func (s *Service) Grant(ctx context.Context, a Authorization, browser *identity.Browser) (string, error) {
	if unused, err := s.usePushed(ctx, a); err != nil || !unused {
		return s.Refuse(a, problem.New(problem.InvalidRequest, "The pushed request was used before.")), err
	}
	code, err := s.sealCode(a, browser)
	if err != nil {
		return "", err
	}
	return s.answer(a, url.Values{"code": {code}}), nil
}

// answer adds state and iss (RFC 9207) to an answer.
func (s *Service) answer(a Authorization, parameters url.Values) string {
	if a.State != "" {
		parameters.Set("state", a.State)
	}
	issuer, _ := s.issuer.Names()
	parameters.Set("iss", issuer)
	return withQuery(a.Redirect, parameters)
}

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
