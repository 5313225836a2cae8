package apitest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sesame/gen/client"
)

// golang.org/x/oauth2 logs in as it comes, whether it names a client or not.
func TestOAuth2LogsInAndRefreshes(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_REFRESH_GRACE=0s")
	s.register(t, "ann")
	for _, clientID := range []string{"", "first-party"} {
		for style, name := range map[oauth2.AuthStyle]string{
			oauth2.AuthStyleAutoDetect: "by itself", oauth2.AuthStyleInHeader: "header", oauth2.AuthStyleInParams: "form",
		} {
			config := &oauth2.Config{
				ClientID: clientID, Scopes: []string{"me:read"},
				Endpoint: oauth2.Endpoint{TokenURL: s.url + "/token", AuthStyle: style},
			}
			t.Run(name+" "+clientID, func(t *testing.T) { s.useOAuth2(t, config) })
		}
	}
}

func (s *server) useOAuth2(t *testing.T, config *oauth2.Config) {
	t.Helper()
	wantRefusal := func(err error, code string) {
		t.Helper()
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != code || refused.ErrorDescription == "" {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	_, err := config.PasswordCredentialsToken(t.Context(), "ann", "not the password")
	wantRefusal(err, "invalid_grant")
	token, err := config.PasswordCredentialsToken(t.Context(), "ann", horse)
	if err != nil {
		t.Fatal(err)
	}
	if token.Extra("scope") != "me:read" || !token.Valid() || token.Expiry.After(time.Now().Add(10*time.Minute)) {
		t.Errorf("got %+v", token)
	}
	old := token.RefreshToken
	source := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: old})
	response, err := oauth2.NewClient(t.Context(), source).Get(s.url + "/users/me")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
	if fresh, err := source.Token(); err != nil || fresh.RefreshToken == old {
		t.Errorf("the refresh token is the old one: %v", err)
	}
	_, err = config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: old}).Token()
	wantRefusal(err, "invalid_grant")
}

// golang.org/x/oauth2 gets a service client's token as it comes.
func TestOAuth2GetsAClientsToken(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	c := s.makeClient(t, "billing", "--scope", "users:write")
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret, TokenURL: s.url + "/token", AuthStyle: style}
		token, err := config.Token(t.Context())
		if err != nil || token.RefreshToken != "" || token.Extra("scope") != "users:write" {
			t.Errorf("%v: got %+v", err, token)
		}
	}
}

// The generated client takes its token from an oauth2.TokenSource, which refreshes it.
func TestTheGeneratedClientWithATokenSource(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: w})
	c, err := client.NewClientWithResponses(s.url, client.WithHTTPClient(oauth2.NewClient(ctx, session)))
	if err != nil {
		t.Fatal(err)
	}
	update := func(change client.UserUpdate) *client.UpdateMeResponse {
		t.Helper()
		answer, err := c.UpdateMeWithResponse(ctx, change)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if got := update(client.UserUpdate{FullName: nullable.NewNullableWithValue("Ann")}); got.JSON200.FullName.MustGet() != "Ann" {
		t.Errorf("got %s", got.Body)
	}
	if got := update(client.UserUpdate{}); got.JSON200.FullName.MustGet() != "Ann" { // absent keeps
		t.Errorf("got %s", got.Body)
	}
	if got := update(client.UserUpdate{FullName: nullable.NewNullNullable[string]()}); !got.JSON200.FullName.IsNull() {
		t.Errorf("got %s", got.Body)
	}
	got := update(client.UserUpdate{FullName: nullable.NewNullableWithValue(strings.Repeat("x", 201))})
	if p := got.ApplicationProblemJSON422; p == nil || p.Code != client.ErrorCodeValidationFailed || p.Errors[0].Pointer != "/full_name" {
		t.Errorf("got %s", got.Body)
	}
}
