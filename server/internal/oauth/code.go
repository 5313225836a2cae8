package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// codeTTL is how long an authorization code is valid (RFC 6749 §4.1.2: at most ten minutes).
const codeTTL = 60 * time.Second

// code is an authorization code: what was granted, sealed. Nothing is stored until it is used, so authorization requests
// fill no table. The store remembers the used ones, until they expire.
type code struct {
	ID         string   `json:"id"`
	ClientID   string   `json:"client"`
	Settings   string   `json:"settings"`           // of the client
	Redirect   string   `json:"redirect,omitempty"` // the hash of the redirect_uri of the request; "" where it had none
	Challenge  string   `json:"challenge,omitempty"`
	UserID     string   `json:"user"`
	BrowserID  string   `json:"browser"`
	Scopes     []string `json:"scopes"`
	Resource   string   `json:"resource,omitempty"` // the audience of the tokens; "" for that of the server
	Claims     []string `json:"claims,omitempty"`   // that the client asks for one by one
	Nonce      string   `json:"nonce,omitempty"`
	SignedInAt int64    `json:"auth"` // Unix microseconds
	ExpiresAt  int64    `json:"exp"`
}

const codeName = "code"

func (s *Service) sealCode(a Authorization, browser *identity.Browser) (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("make a code: %w", err)
	}
	resource, err := s.resource(a.Resource)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(code{
		ID: id.String(), ClientID: a.Client.ID, Settings: settingsOf(a.Client), Redirect: hashOf(a.RedirectURI), Challenge: a.CodeChallenge,
		UserID: browser.User.ID, BrowserID: browser.Session.ID, Scopes: s.ScopesFor(a, browser.User), Claims: a.claims, Nonce: a.Nonce, Resource: resource,
		SignedInAt: browser.Session.SignedInAt.UnixMicro(), ExpiresAt: s.now().Add(codeTTL).UnixMicro(),
	})
	return s.codes.SealURL(plain, codeName), err
}

// CodeGrantForm is the form of the authorization code grant (RFC 6749 §4.1.3).
type CodeGrantForm struct {
	Code        secret.Text
	RedirectURI string
	Verifier    secret.Text
	Resource    string // if it is there, that of the authorization request (RFC 8707 §2.2)
}

// errCode is the one answer for every code that cannot be used.
func errCode(cause string) error {
	return problem.Wrap(problem.InvalidGrant, "The code is invalid, expired or used, or the request does not match it.", errors.New(cause))
}

// CodeGrant exchanges an authorization code for tokens (RFC 6749 §4.1.3). A code works once. A second use, by its own client and
// with the right verifier, ends the session that the first one has started; any other use ends nothing. Errors: InvalidGrant,
// InvalidTarget.
func (s *Service) CodeGrant(ctx context.Context, client Client, form CodeGrantForm) (Tokens, error) {
	var c code
	plain, err := s.codes.OpenURL(form.Code.Reveal(), codeName)
	if err == nil {
		err = json.Unmarshal(plain, &c)
	}
	if err != nil {
		return Tokens{}, errCode("this server did not make it")
	}
	expires := time.UnixMicro(c.ExpiresAt).UTC()
	switch {
	case c.ClientID != client.ID:
		return Tokens{}, errCode("it was issued to another client")
	case !store.Pending(expires, s.now(), codeTTL):
		return Tokens{}, errCode("it is expired")
	case !c.redirectsTo(form.RedirectURI, client):
		return Tokens{}, errCode("redirect_uri is not that of the request")
	case !verifies(c.Challenge, form.Verifier.Reveal()):
		return Tokens{}, errCode("code_verifier does not match code_challenge")
	case c.Settings != settingsOf(client):
		return Tokens{}, errCode("the client has changed")
	}
	if err = s.checkResource(form.Resource, c.Resource); err != nil {
		return Tokens{}, err
	}
	session, user, refresh, err := s.identity.StartSession(ctx, identity.Start{
		UserID: c.UserID, BrowserID: c.BrowserID, ClientID: c.ClientID, CodeID: c.ID, Scopes: c.Scopes, Resource: c.Resource,
		SignedInAt: time.UnixMicro(c.SignedInAt).UTC(), CodeEndsAt: expires.Add(time.Minute), TTL: client.SessionTTL,
		Claims: strings.Join(c.Claims, " "), Consent: neededConsent(client, c.Scopes, c.Claims),
	})
	switch {
	case errors.Is(err, identity.ErrCodeUsed):
		return Tokens{}, errCode("it was used before: the session that it started has ended")
	case errors.Is(err, store.ErrNotFound):
		return Tokens{}, errCode("the session of the browser has ended, or the person has withdrawn the consent")
	case err != nil:
		return Tokens{}, err
	}
	if err = s.checkUnchanged(ctx, client, session); err != nil {
		return Tokens{}, err
	}
	tokens, err := s.issueForSession(client, codeGrant, session, strings.Fields(session.Scope), refresh)
	if err != nil {
		return Tokens{}, err
	}
	return s.withIDToken(client, tokens, session, user, c.Nonce)
}

// settingsOf returns a hash of the settings of a client that decide what it may get and where.
func settingsOf(c Client) string {
	text, err := json.Marshal([]any{c.Scopes, c.ThirdParty, c.PKCEOptional, c.RedirectURIs, c.DeviceGrant})
	if err != nil { // strings and booleans
		panic(err)
	}
	return hashOf(string(text))
}

// checkUnchanged ends a new session whose client was changed while it started: the change has perhaps not seen the session.
// Errors: InvalidGrant.
func (s *Service) checkUnchanged(ctx context.Context, client Client, session store.Session) error {
	now, err := s.clientByID(ctx, client.ID)
	if store.IgnoreNotFound(err) != nil || err == nil && settingsOf(now) == settingsOf(client) {
		return err
	}
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	if err = s.db.EndSession(ctx, session.ID); store.IgnoreNotFound(err) != nil {
		return err
	}
	return errCode("the client has changed at this moment")
}

// redirectsTo compares the redirect_uri of a token request. It may be left out with PKCE (OAuth 2.1 §4.1.3), which does what it is for.
func (c code) redirectsTo(address string, client Client) bool {
	switch {
	case address == "":
		return c.Redirect == "" || c.Challenge != ""
	case c.Redirect == "":
		return slices.Contains(client.RedirectURIs, address)
	}
	return hashOf(address) == c.Redirect
}

func hashOf(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// withIDToken adds an ID token to the tokens of a session, if they have the scope openid.
func (s *Service) withIDToken(client Client, t Tokens, session store.Session, user store.User, nonce string) (Tokens, error) {
	if !hasScope(t.Scope, "openid") {
		return t, nil
	}
	now := s.now()
	text, err := s.ids.Sign(token.ID{
		Subject: user.ID, ClientID: client.PublicID(), SessionID: session.ID, Nonce: nonce, AccessToken: t.AccessToken.Reveal(),
		Methods: identity.MethodsOf(session), AuthTime: session.SignedInAt, IssuedAt: now, ExpiresAt: now.Add(s.accessTTL(client)),
		Person: inIDTokenOf(session, user, strings.Fields(t.Scope)),
	})
	t.IDToken = secret.New(text)
	return t, err
}

var (
	challengeText = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	verifierText  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
)

func isChallenge(text string) bool { return challengeText.MatchString(text) }

// verifies reports whether a verifier matches a challenge (RFC 7636 §4.6). Without a challenge there must be no verifier
// (RFC 9700 §2.1.1).
func verifies(challenge, verifier string) bool {
	if challenge == "" || verifier == "" {
		return challenge == verifier
	}
	sum := sha256.Sum256([]byte(verifier))
	return verifierText.MatchString(verifier) &&
		subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
