package apitest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
)

// about returns the names of those claims that are about the person.
func about(claims map[string]any) string {
	names := slices.Sorted(maps.Keys(claims))
	return strings.Join(slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains([]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, name)
	}), " ")
}

// hasClaims fails the test unless the ID token and UserInfo have these claims about the person, and no others.
func (s *server) hasClaims(t *testing.T, what string, tokens api.Token, inIDToken, atUserInfo string) {
	t.Helper()
	if got := about(s.idToken(t, tokens.IDToken)); got != inIDToken {
		t.Errorf("%s: the ID token has %q, not %q", what, got, inIDToken)
	}
	info := decode[map[string]any](s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200))
	if got := about(info); got != atUserInfo {
		t.Errorf("%s: UserInfo has %q, not %q", what, got, atUserInfo)
	}
}

// OpenID Connect Core §5.5: a client asks for claims one by one, for the ID token or for UserInfo, and gets no others. A refresh
// keeps them. Unknown claims are ignored.
func TestClaimsThatAClientAsksForOneByOne(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.sql(t, `UPDATE users SET full_name = 'Ann Example', user_metadata = '{}'`)
		app, b := s.publicClient(t), s.newBrowser()
		b.signIn(t, newFlow(app), "ann")
		for _, c := range []struct{ scope, claims, inIDToken, atUserInfo string }{
			{"openid", ``, "", ""},
			{"openid", `{"userinfo":{"name":{"essential":true}}}`, "", "name"},
			{"openid", `{"id_token":{"email":null,"email_verified":{"value":false}}}`, "email email_verified", ""},
			{"openid", `{"id_token":{"updated_at":null},"userinfo":{"user_metadata":null,"preferred_username":{}}}`, "updated_at", "preferred_username user_metadata"},
			{"openid email", `{"userinfo":{"name":null}}`, "email_verified", "email email_verified name"},
			{"openid", `{"userinfo":{"picture":null,"name#de":null,"sub":null,"scopes":null},"id_token":{"auth_time":{"essential":true},"password_hash":null},"more":3}`, "", ""},
			{"openid", `{"userinfo":null,"id_token":{}}`, "", ""},
		} {
			f := newFlow(app, "scope", c.scope, "claims", c.claims)
			tokens := s.tokens(t, codeOf(t, b.send(t, f.request())), f)
			s.hasClaims(t, c.claims, tokens, c.inIDToken, c.atUserInfo)
			if tokens.Scope != c.scope {
				t.Errorf("%s: the scope is %q", c.claims, tokens.Scope)
			}
			refresh := refreshGrant(tokens.RefreshToken)
			refresh.form.Set("client_id", app.ID)
			s.hasClaims(t, "after a refresh: "+c.claims, decode[api.Token](s.do(t, refresh).want(200)), c.inIDToken, c.atUserInfo)
			again := decode[api.Token](s.do(t, refresh).want(200)) // a retry within the grace period reads another row
			s.hasClaims(t, "after a retry: "+c.claims, again, c.inIDToken, c.atUserInfo)
		}
		f := newFlow(app, "scope", "openid")
		pushed := f.pushed(t, s, "claims", `{"userinfo":{"email":null}}`) // ignored: it is not what was pushed
		s.hasClaims(t, "beside a pushed request", s.tokens(t, codeOf(t, b.send(t, pushed)), f), "", "")
		f = newFlow(app, "scope", "openid", "claims", `{"userinfo":{"email":null}}`)
		s.hasClaims(t, "pushed", s.tokens(t, codeOf(t, b.send(t, f.pushed(t, s))), f), "", "email")

		for _, wrong := range []string{`{`, `[]`, `"name"`, `{"userinfo":{"name":true}}`, `{"userinfo":["name"]}`, `{} {}`, strings.Repeat(`{"a":`, 300)} {
			if fault := b.send(t, newFlow(app, "claims", wrong).request()).sentTo(callback).Get("error"); fault != "invalid_request" {
				t.Errorf("%s: %q", wrong, fault)
			}
		}
		// Without openid it is not a request of OpenID Connect, and the parameter is unknown.
		codeOf(t, b.send(t, newFlow(app, "scope", "me:read", "claims", `{`).request()))
	})
}

// OpenID Connect Core §5.5.1: a value of sub is the person who must be signed in, and one of an essential acr is how.
func TestClaimsThatAClientInsistsOn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann, bob := s.register(t, "ann"), s.register(t, "bob")
		app, b := s.publicClient(t), s.newBrowser()
		f := newFlow(app)
		hint := s.tokens(t, b.signIn(t, f, "ann"), f).IDToken
		claims := func(member, claim, value string) string { return fmt.Sprintf(`{%q:{%q:%s}}`, member, claim, value) }
		for _, member := range []string{"userinfo", "id_token"} {
			codeOf(t, b.send(t, newFlow(app, "claims", claims(member, "sub", `{"value":"`+ann.ID+`"}`)).request()))
			other := newFlow(app, "claims", claims(member, "sub", `{"value":"`+bob.ID+`"}`))
			page := b.send(t, other.request()).want(200).form()
			if again := b.submit(t, page, "username", "ann", "password", horse).want(200).form(); again.action != "/sign-in" {
				t.Errorf("%s: ann is let in as bob: %s", member, again.action)
			}
			other.query.Set("prompt", "none")
			if fault := b.send(t, other.request()).sentTo(callback).Get("error"); fault != "login_required" {
				t.Errorf("%s: %q", member, fault)
			}
			for _, wrong := range []string{`{"value":3}`, `{"value":"` + bob.ID + `"}`} {
				f := newFlow(app, "claims", claims(member, "sub", wrong), "id_token_hint", hint)
				if fault := b.send(t, f.request()).sentTo(callback).Get("error"); fault != "invalid_request" {
					t.Errorf("%s: %q", wrong, fault)
				}
			}
		}
		for value, want := range map[string]string{
			`{"essential":true,"values":["1","2"]}`: "", `{"essential":true,"value":"1"}`: "", `{"essential":true}`: "", `{"values":["9"]}`: "", `null`: "",
			`{"essential":true,"values":["9"]}`: "unmet_authentication_requirements", `{"essential":true,"value":"9"}`: "unmet_authentication_requirements",
		} {
			if fault := b.send(t, newFlow(app, "claims", claims("id_token", "acr", value)).request()).sentTo(callback).Get("error"); fault != want {
				t.Errorf("acr as %s: %q", value, fault)
			}
		}
	})
}

// A third party gets a claim only if the person has agreed to its scope, and loses it with the consent.
func TestConsentToClaims(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, b := s.publicClient(t, "--third-party"), s.newBrowser()
		ask := func(claims string) flow { return newFlow(client, "scope", "openid", "claims", claims) }
		plain, email := ask(""), ask(`{"userinfo":{"email":null}}`)
		page := b.submit(t, b.send(t, plain.request()).want(200).form(), "username", "ann", "password", horse).want(200).form()
		codeOf(t, b.submit(t, page, "decision", "allow"))

		page = b.send(t, email.request()).want(200).form()
		if page.action != "/consent" || !strings.Contains(string(page.body), "e-mail") {
			t.Fatalf("the person is not asked about the address: %s", page.body)
		}
		if fault := b.submit(t, page, "decision", "deny").sentTo(callback).Get("error"); fault != "access_denied" {
			t.Errorf("%q", fault)
		}
		silent := ask(`{"userinfo":{"email":null}}`)
		silent.query.Set("prompt", "none")
		if fault := b.send(t, silent.request()).sentTo(callback).Get("error"); fault != "consent_required" {
			t.Errorf("%q", fault)
		}
		page = b.send(t, email.request()).want(200).form()
		s.hasClaims(t, "with consent", s.tokens(t, codeOf(t, b.submit(t, page, "decision", "allow")), email), "", "email")

		// Between the code and the token the person withdraws what the claim needs.
		code := codeOf(t, b.send(t, email.request()))
		s.sql(t, `UPDATE consents SET scope = 'openid'`)
		s.do(t, email.grant(code)).want(400, "invalid_grant")
		codeOf(t, b.send(t, plain.request()))
	})
}
