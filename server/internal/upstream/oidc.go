package upstream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"sesame/server/internal/names"
)

// discoveryTTL is how long a discovery document and the keys that it leads to are used. The keys are read again before that when a
// token names an unknown one. A key that the provider has withdrawn is accepted no longer than this.
const discoveryTTL = time.Hour

// clockSkew is how much the clock of a provider may be behind.
const clockSkew = time.Minute

// discovery is the discovery document of an issuer, and its keys.
type discovery struct {
	provider *oidc.Provider
	metadata metadata
	at       time.Time
}

// metadata is what go-oidc leaves to us.
type metadata struct {
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	KeysURI               string   `json:"jwks_uri"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	AnswersWithIssuer     bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3
}

// authStyle is how the client authenticates at the token endpoint.
func (m metadata) authStyle(p Provider) oauth2.AuthStyle {
	switch {
	case p.secret.Empty(), slices.Contains(m.TokenAuthMethods, "client_secret_post") && !slices.Contains(m.TokenAuthMethods, "client_secret_basic"):
		return oauth2.AuthStyleInParams
	case slices.Contains(m.TokenAuthMethods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleAutoDetect
}

// discover returns the discovery document of an issuer.
func (s *Service) discover(ctx context.Context, issuer string) (*discovery, error) {
	now := s.now()
	s.mu.Lock()
	d := s.discovered[issuer]
	s.mu.Unlock()
	if d != nil && now.Sub(d.at).Abs() < discoveryTTL {
		return d, nil
	}
	d = &discovery{at: now}
	var err error
	if d.provider, err = oidc.NewProvider(oidc.ClientContext(ctx, s.client), issuer); err == nil {
		err = d.provider.Claims(&d.metadata)
	}
	if err != nil {
		return nil, failed(err)
	}
	endpoints := []string{d.metadata.AuthorizationEndpoint, d.metadata.TokenEndpoint, d.metadata.KeysURI}
	if userInfo := d.provider.UserInfoEndpoint(); userInfo != "" {
		endpoints = append(endpoints, userInfo)
	}
	for _, endpoint := range endpoints {
		endpoint, _, _ = strings.Cut(endpoint, "?") // which an endpoint may have (RFC 6749 §3.1)
		if reason := s.checkURL(endpoint); reason != "" {
			return nil, failed(errors.New("an address in the discovery document " + reason))
		}
	}
	s.mu.Lock()
	s.discovered[issuer] = d
	s.mu.Unlock()
	return d, nil
}

// openID is a provider of OpenID Connect.
type openID struct {
	*Service
	Provider
}

func (o openID) config(d *discovery) *oauth2.Config {
	endpoint := d.provider.Endpoint()
	endpoint.AuthStyle = d.metadata.authStyle(o.Provider)
	return &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.secret.Reveal(), Endpoint: endpoint, RedirectURL: o.RedirectURI(o.Name), Scopes: o.Scopes,
	}
}

func (o openID) address(ctx context.Context, f flow) (string, error) {
	d, err := o.discover(ctx, o.Issuer)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if f.Again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	return o.config(d).AuthCodeURL(f.State, options...), nil
}

func (o openID) answersWithIssuer(ctx context.Context) (bool, error) {
	d, err := o.discover(ctx, o.Issuer)
	if err != nil {
		return false, err
	}
	return d.metadata.AnswersWithIssuer, nil
}

func (o openID) person(ctx context.Context, f flow, code string) (person Person, err error) {
	d, err := o.discover(ctx, o.Issuer)
	if err != nil {
		return person, err
	}
	ctx = oidc.ClientContext(ctx, o.client)
	tokens, err := o.config(d).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return person, failed(err)
	}
	id, err := o.verify(ctx, d, f, tokens)
	if err != nil {
		return person, failed(err)
	}
	var claims map[string]any
	if err = id.Claims(&claims); err != nil {
		return person, failed(err)
	}
	if claims["email"] == nil && d.provider.UserInfoEndpoint() != "" { // OpenID Connect Core §5.4 wants it there
		info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		if err != nil {
			return person, failed(err)
		}
		if info.Subject != id.Subject { // §5.3.2
			return person, failed(errors.New("userinfo is about another subject"))
		}
		if err = info.Claims(&claims); err != nil {
			return person, failed(err)
		}
	}
	return personOf(id.Subject, claims)
}

// verify verifies an ID token (OpenID Connect Core §3.1.3.7).
func (o openID) verify(ctx context.Context, d *discovery, f flow, tokens *oauth2.Token) (*oidc.IDToken, error) {
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("the token endpoint answered without an ID token")
	}
	id, err := d.provider.Verifier(&oidc.Config{ClientID: o.ClientID, Now: o.now}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	var claims struct {
		Authorized string   `json:"azp"`
		SignedInAt *float64 `json:"auth_time"`
	}
	if err = id.Claims(&claims); err != nil {
		return nil, err
	}
	switch {
	case !same(id.Nonce, f.Nonce):
		return nil, errors.New("the ID token has another nonce")
	case claims.Authorized != o.ClientID && (claims.Authorized != "" || len(id.Audience) > 1):
		return nil, errors.New("the ID token was issued to another client")
	case f.Again && claims.SignedInAt != nil && *claims.SignedInAt < float64(f.begun().Add(-clockSkew).Unix()): // the browser could drop prompt=login
		return nil, errors.New("the provider has not asked again who the person is")
	case id.AccessTokenHash != "":
		err = id.VerifyAccessToken(tokens.AccessToken)
	}
	return id, err
}

// maxSubject is the limit of OpenID Connect Core §2, and maxText that of any other text, in bytes.
const (
	maxSubject  = 255
	maxText     = 254
	maxFullName = 200 // characters; that of the contract
)

// personOf makes a person of claims. Each is what the provider sent, so nothing of it is taken for what it is not: an address is
// verified only if the provider says so with the boolean true.
func personOf(subject string, claims map[string]any) (p Person, err error) {
	if subject == "" || len(subject) > maxSubject || strings.ContainsFunc(subject, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return p, failed(errors.New("the subject is empty, too long or not printable ASCII"))
	}
	p.Subject, p.Email = subject, textOf(claims["email"])
	p.EmailVerified = p.Email != "" && claims["email_verified"] == true
	if p.Name = textOf(claims["name"]); names.CheckFullName(p.Name) != nil || utf8.RuneCountInString(p.Name) > maxFullName {
		p.Name = ""
	}
	for _, label := range []string{p.Email, textOf(claims["preferred_username"]), p.Name, subject} {
		if label != "" {
			p.Label = label
			return p, nil
		}
	}
	return p, nil
}

// textOf returns a claim that is a short text of printable characters, or "".
func textOf(claim any) string {
	text, _ := claim.(string)
	if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !names.Printable(r) }) {
		return ""
	}
	return text
}
