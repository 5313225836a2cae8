package apitest

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/token"
)

// docsFlow is the authorization request of the documentation pages.
func (s *server) docsFlow(more ...string) flow {
	redirect := s.url + "/docs/oauth2-redirect.html"
	f := newFlow(serviceClient{ID: token.Docs}, append([]string{"redirect_uri", redirect, "scope", "me:read me:write"}, more...)...)
	f.redirect = redirect
	return f
}

// The documentation pages sign people in with a browser, and no operator has to make a client for them.
func TestTheDocumentationNeedsNoClient(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		b, f := s.newBrowser(), s.docsFlow()
		s.do(t, request{method: "GET", path: strings.TrimPrefix(f.redirect, s.url)}).want(200)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		if access := s.access(t, tokens.AccessToken); access.ClientID != token.Docs || access.Subject != ann.ID || tokens.Scope != "me:read me:write" {
			t.Errorf("the token is %+v, with the scopes %s", access, tokens.Scope)
		}
		s.do(t, request{method: "GET", path: "/users/me", token: tokens.AccessToken}).want(200)

		// The session belongs to the pages.
		refresh := refreshGrant(tokens.RefreshToken)
		s.do(t, refresh).want(400, "invalid_grant")
		refresh.form.Set("client_id", token.Docs)
		tokens = decode[api.Token](s.do(t, refresh).want(200))
		end := revocation(tokens.RefreshToken)
		s.do(t, end).want(400, "invalid_grant")
		end.form.Set("client_id", token.Docs)
		s.do(t, end).want(200)
		s.do(t, request{method: "GET", path: "/users/me", token: tokens.AccessToken}).want(401, "invalid_token")
	})
}

// Codes for the documentation go to its own page. An app on the person's machine could listen at another port.
func TestTheDocumentationHasOneRedirectAddress(t *testing.T) {
	s := start(t, sqliteURL(t))
	s.register(t, "ann")
	base, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	own := s.url + "/docs/oauth2-redirect.html"
	for _, address := range []string{
		"http://" + base.Hostname() + ":1/docs/oauth2-redirect.html", "http://" + base.Hostname() + "/docs/oauth2-redirect.html",
		strings.Replace(own, "127.0.0.1", "localhost", 1), own + "?x=y", own + "#", s.url + "/docs/", strings.ToUpper(own), "https://app.example/callback",
	} {
		a := s.newBrowser().send(t, s.docsFlow("redirect_uri", address).request()).want(400)
		if a.header.Get("Location") != "" || strings.Contains(string(a.body), "<a href=\""+address) {
			t.Errorf("%s: the person can get to it: %s", address, a.body)
		}
	}
}

// Anybody can name the built-in clients, so they can do nothing for themselves, and no client or account can have their ids.
func TestBuiltInClientsProveNothing(t *testing.T) {
	s := start(t, sqliteURL(t))
	s.register(t, "ann")
	docs := serviceClient{ID: token.Docs}
	login := request{method: "POST", path: "/token", form: url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {horse}, "client_id": {token.Docs}}}
	s.do(t, login).want(400, "unauthorized_client")
	s.do(t, docs.sends(clientGrant(""))).want(401, "invalid_client")
	s.do(t, docs.sends(introspection("x"))).want(401)
	s.do(t, serviceClient{ID: token.Docs, Secret: "a secret"}.posts(clientGrant(""))).want(401, "invalid_client")
	// People sign in with the password at the other one, and not with a browser.
	s.newBrowser().send(t, s.docsFlow("client_id", token.FirstParty).request()).want(400)

	flow, b := s.docsFlow(), s.newBrowser()
	s.do(t, newFlow(docs, "redirect_uri", flow.redirect).grant(b.signIn(t, flow, "ann"))).want(400, "invalid_grant") // another verifier

	// D34: every other client has a UUID, and so has every account.
	for _, id := range []string{token.FirstParty, token.Docs, token.Admin} {
		if !token.IsBuiltIn(id) || slices.Contains([]int{36, 32}, len(id)) {
			t.Errorf("%s could be a UUID, or is not built in", id)
		}
	}
	if c := s.makeClient(t, token.Docs); token.IsBuiltIn(c.ID) {
		t.Errorf("a client got the id %s", c.ID)
	}
}

// Without the pages, nobody can sign in to them.
func TestWithoutDocumentationThereIsNoClientForIt(t *testing.T) {
	s := start(t, sqliteURL(t), "SESAME_DOCS=off")
	f := s.docsFlow()
	s.do(t, request{method: "GET", path: strings.TrimPrefix(f.redirect, s.url)}).want(404)
	s.newBrowser().send(t, f.request()).want(400)
	s.do(t, f.grant("a code")).want(401, "invalid_client")
}
