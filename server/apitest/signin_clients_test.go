package apitest

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// A client that revokes its tokens before it signs out, as mod_auth_openidc does, signs out of the browser that it signed in with,
// and of no other.
func TestSigningOutAfterRevoking(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t, "--post-logout-redirect-uri", callback)
		b, f := s.newBrowser(), newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		s.clock.advance(time.Second)
		other := s.newBrowser()
		other.signIn(t, newFlow(client), "ann")
		s.do(t, request{method: "POST", path: "/token/revoke", form: url.Values{"token": {tokens.RefreshToken}, "client_id": {client.ID}}}).want(200)

		signOut := request{method: "GET", path: "/sign-out?" + url.Values{
			"id_token_hint": {tokens.IDToken}, "post_logout_redirect_uri": {callback}, "state": {"a state"},
		}.Encode()}
		if asked := other.send(t, signOut).want(200).form(); asked.action != "/sign-out/confirm" {
			t.Errorf("another browser of the person gets the form %s", asked.action)
		}
		if state := b.send(t, signOut).sentTo(callback).Get("state"); state != "a state" {
			t.Errorf("state is %q", state)
		}
		if fault := b.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback).Get("error"); fault != "login_required" {
			t.Errorf("the browser is still signed in: %q", fault)
		}
		if fault := other.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback).Get("error"); fault != "" {
			t.Errorf("the other browser is signed out: %s", fault)
		}
	})
}

// The items of the Basic plan of the OpenID Foundation's conformance suite that other tests do not go through: the claims of
// each scope, userinfo by both methods, optional parameters, a redirect address with a query, and auth_time.
func TestTheBasicProfileOfOpenIDConnect(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.makeClient(t, "web", "--redirect-uri", callback, "--redirect-uri", callback+"?tenant=a%20b")
		b := s.newBrowser()
		f := newFlow(client)
		first := s.tokens(t, b.signIn(t, f, "ann"), f).IDToken
		before := s.idToken(t, first)

		// Each scope has its claims, by both methods.
		for scope, want := range map[string][]string{
			"openid":               {"sub"},
			"openid email":         {"sub", "email", "email_verified"},
			"openid profile":       {"sub", "preferred_username", "updated_at"},
			"openid phone address": {"sub"},
		} {
			f := newFlow(client, "scope", scope)
			tokens := s.tokens(t, codeOf(t, b.send(t, f.request())), f)
			for _, method := range []string{"GET", "POST"} {
				info := decode[map[string]any](s.do(t, request{method: method, path: "/userinfo", token: tokens.AccessToken}).want(200))
				if got := slices.Sorted(maps.Keys(info)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
					t.Errorf("%s with %s: %v", method, scope, got)
				}
			}
		}
		me := s.login(t, "ann")
		s.do(t, request{method: "GET", path: "/userinfo", token: me.AccessToken}).want(403)
		s.do(t, request{method: "GET", path: "/userinfo"}).want(401)

		// Optional parameters never break a request.
		for _, more := range [][]string{
			{"nonce", ""},
			{"state", ""},
			{"display", "page"},
			{"ui_locales", "se"},
			{"claims_locales", "se"},
			{"acr_values", "1 2"},
			{"login_hint", "bob"},
			{"claims", `{"userinfo":{"name":{"essential":true}}}`},
			{"extra", "foobar"},
			{"prompt", "none"},
		} {
			codeOf(t, b.send(t, newFlow(client, more...).request()))
		}
		if page := s.newBrowser().send(t, newFlow(client, "login_hint", "bob").request()).want(200); !strings.Contains(string(page.body), `value="bob"`) {
			t.Errorf("login_hint is not filled in: %s", page.body)
		}

		// The query of a registered address stays, and another one is refused.
		f = newFlow(client, "redirect_uri", callback+"?tenant=a%20b")
		location := b.send(t, f.request()).want(303).header.Get("Location")
		if rest, ok := strings.CutPrefix(location, callback+"?tenant=a%20b&"); !ok || !strings.Contains(rest, "code=") {
			t.Errorf("the browser is sent to %s", location)
		}
		b.send(t, newFlow(client, "redirect_uri", callback+"?tenant=b").request()).want(400)

		// auth_time stays while the person is signed in, and moves when they sign in again.
		s.clock.advance(10 * time.Second)
		for _, c := range []struct {
			more []string
			asks bool
		}{{[]string{"max_age", "10000"}, false}, {[]string{"id_token_hint", first, "prompt", "none"}, false}, {[]string{"max_age", "1"}, true}, {[]string{"prompt", "login"}, true}} {
			f := newFlow(client, c.more...)
			a := b.send(t, f.request())
			if c.asks {
				a = b.submit(t, a.want(200).form(), "username", "ann", "password", horse)
			}
			claims := s.idToken(t, s.tokens(t, codeOf(t, a), f).IDToken)
			if moved := claims["auth_time"] != before["auth_time"]; moved != c.asks || claims["sub"] != before["sub"] {
				t.Errorf("%v: auth_time moves: %v", c.more, moved)
			}
		}
	})
}

// tokens exchanges a code of a flow.
func (s *server) tokens(t *testing.T, code string, f flow) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, f.grant(code)).want(200))
}
