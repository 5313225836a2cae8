package oauth

import (
	"context"
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
	"sesame/server/internal/token/atjwt"
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
	ACRValues           string `json:"acr_values,omitempty"`
	LoginHint           string `json:"login_hint,omitempty"`
	IDTokenHint         string `json:"id_token_hint,omitempty"`
	ResponseMode        string `json:"response_mode,omitempty"`
	UILocales           string `json:"ui_locales,omitempty"`
	Request             string `json:"request,omitempty"`
	RequestURI          string `json:"request_uri,omitempty"`
	Resource            string `json:"resource,omitempty"` // RFC 8707 §2.1
	Claims              string `json:"claims,omitempty"`
	Pushed              string `json:"pushed,omitempty"` // the id of a pushed request, which no client sends
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
	claims   []string      // those that the client asks for one by one, with their places
	acr      *claimRequest // how the person must have signed in; nil for any way
}

// The errors of the authorization endpoint (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
const (
	loginRequired          problem.Code = "login_required"
	consentRequired        problem.Code = "consent_required"
	unmetRequirements      problem.Code = "unmet_authentication_requirements" // Unmet Authentication Requirements 1.0
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
	if token.IsDocumentURI(p.ClientID) {
		a.Client, err = s.documentClient(ctx, p.ClientID)
	} else if a.Client, err = s.clientByID(ctx, p.ClientID); err == nil && a.Client.PublicID() != p.ClientID {
		err = store.ErrNotFound
	}
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

// clientByID finds a client by the id in a request, which may be any text, or in a row. It reads no metadata document. Errors: store.ErrNotFound.
func (s *Service) clientByID(ctx context.Context, id string) (Client, error) {
	if client, ok := s.builtIn(id); ok {
		return client, nil
	}
	if id = token.ClientKey(id); !isClientID(id) {
		return Client{}, store.ErrNotFound
	}
	row, err := s.db.ClientByID(ctx, id)
	return s.clientOf(row), err
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
		if err != nil || hint.ClientID != a.Client.PublicID() {
			return problem.New(problem.InvalidRequest, "id_token_hint is not an ID token of this server for this client.")
		}
		a.hint = hint
	}
	if fault := a.readClaims(); fault != nil {
		return fault
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
	if !a.isStrong(browser) {
		switch {
		case browser.User.Factors == "", levelOf(browser) == atjwt.TwoFactors: // no other sign-in is stronger
			return SignIn, problem.New(unmetRequirements, "The person cannot sign in in the way that the client needs.")
		case silent:
			return SignIn, problem.New(loginRequired, "The person has to sign in with the second factor.")
		}
		return SignIn, nil
	}
	if len(s.ScopesFor(a, browser.User)) == 0 {
		return Answer, problem.New(problem.InvalidScope, "The person has none of the requested scopes.")
	}
	wanted := s.ConsentFor(a, browser.User)
	missing := false
	if a.Client.ThirdParty && !consented {
		granted, err := s.db.ConsentOf(ctx, browser.User.ID, a.Client.ID)
		if store.IgnoreNotFound(err) != nil {
			return Consent, err
		}
		missing = err != nil || len(identity.Intersect(wanted, s.agreedTo(a, granted))) < len(wanted)
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

// IsUnsupported reports whether the request uses an optional part of OpenID Connect that this server does not have. It is not
// wrong: from the answer the client learns to make another request.
func (a Authorization) IsUnsupported() bool {
	return a.Fault != nil && (a.Fault.Code == requestNotSupported || a.Fault.Code == requestURINotSupported)
}

// Creates reports whether the person is to make an account (prompt=create, Initiating User Registration 1.0). They may also
// sign in to one that they have.
func (a Authorization) Creates() bool { return slices.Contains(a.prompts, "create") }

// WantsAnother reports whether id_token_hint names another person.
func (a Authorization) WantsAnother(user store.User) bool {
	return a.hint.Subject != "" && a.hint.Subject != user.ID
}

// Levels are the values of acr_values that this server knows.
var Levels = atjwt.Levels

func levelOf(b *identity.Browser) string { return atjwt.LevelOf(identity.MethodsOf(b.Session)) }

// isStrong reports whether a person has signed in at one of the levels in acr_values, and at one that the parameter claims needs
// (OpenID Connect Core §5.5.1.1). A request whose acr_values has no known level takes any.
func (a Authorization) isStrong(b *identity.Browser) bool {
	known, acr := identity.Intersect(strings.Fields(a.ACRValues), Levels), levelOf(b)
	return a.acr.allows(acr) && (len(known) == 0 || slices.ContainsFunc(known, func(level string) bool { return atjwt.IsAtLeast(acr, level) }))
}

// NeedsFactor reports whether a person has to sign in again because the request asks for a second factor.
func (a Authorization) NeedsFactor(b *identity.Browser) bool { return b != nil && !a.isStrong(b) }

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

// ConsentFor returns the scopes that a person has to agree to: those that the client gets, and those of the claims that it asks
// for one by one.
func (s *Service) ConsentFor(a Authorization, user store.User) []string {
	return consentTo(s.ScopesFor(a, user), a.claims)
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
	if err := s.keepDocument(ctx, a.Client); err != nil {
		return "", err
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
