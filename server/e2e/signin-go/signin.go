package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

type client struct {
	oauth2.Config
	provider *oidc.Provider
}

// pending is what the session of a browser keeps from begin to finish.
type pending struct{ state, nonce, verifier string }

type person struct {
	Username string `json:"preferred_username"`
	idToken  string
	tokens   oauth2.TokenSource // refreshes the access token before it expires
}

func newClient(ctx context.Context, issuer, id, secret, app string) (*client, error) {
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	return &client{provider: provider, Config: oauth2.Config{
		ClientID: id, ClientSecret: secret, Endpoint: provider.Endpoint(),
		RedirectURL: app + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}}, nil
}

// begin returns the address that the browser is sent to.
func (c *client) begin() (pending, string) {
	p := pending{rand.Text(), rand.Text(), oauth2.GenerateVerifier()}
	return p, c.AuthCodeURL(p.state, oidc.Nonce(p.nonce), oauth2.S256ChallengeOption(p.verifier))
}

// finish reads the parameters with which the browser came back.
func (c *client) finish(ctx context.Context, p pending, answer url.Values) (who person, err error) {
	if p.state == "" || answer.Get("state") != p.state {
		return who, errors.New("this browser has not begun to sign in")
	}
	tokens, err := c.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(p.verifier))
	if err != nil {
		return who, err
	}
	who.idToken, _ = tokens.Extra("id_token").(string)
	who.tokens = c.TokenSource(context.WithoutCancel(ctx), tokens)
	verified, err := c.provider.Verifier(&oidc.Config{ClientID: c.ClientID}).Verify(ctx, who.idToken)
	if err != nil {
		return who, err
	}
	info, err := c.provider.UserInfo(ctx, who.tokens)
	if err != nil {
		return who, err
	}
	if verified.Nonce != p.nonce || info.Subject != verified.Subject {
		return who, errors.New("the ID token is of another sign-in")
	}
	return who, info.Claims(&who)
}

// signOut returns the address that the browser is sent to.
func (c *client) signOut(who person, app string) (string, error) {
	var metadata struct {
		EndSession string `json:"end_session_endpoint"`
	}
	err := c.provider.Claims(&metadata)
	query := url.Values{"id_token_hint": {who.idToken}, "post_logout_redirect_uri": {app + "/bye"}}
	return metadata.EndSession + "?" + query.Encode(), err
}
