package apitest

import (
	"strings"
	"testing"

	"sesame/gen/api"
)

// A browser that sends no Sec-Fetch-Site, as all of them over plain http, sends the Origin of the form. With the referrer policy
// no-referrer that would be null, which is refused as another website's.
func TestFormsOfThePagesHaveAnOrigin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, b := s.publicClient(t, "--third-party"), s.newBrowser()
		signIn := b.send(t, newFlow(client).request()).want(200).form()
		submit := func(page webPage, fields ...string) *answer {
			t.Helper()
			if policy := page.header.Get("Referrer-Policy"); policy != "same-origin" {
				t.Errorf("the referrer policy of the page with %s is %s", page.action, policy)
			}
			for i := 0; i < len(fields); i += 2 {
				page.fields.Set(fields[i], fields[i+1])
			}
			return b.send(t, request{method: "POST", path: page.action, form: page.fields, header: map[string]string{"Sec-Fetch-Site": "", "Origin": s.url}})
		}
		consent := submit(signIn, "username", "ann", "password", horse).want(200).form()
		submit(consent, "decision", "allow").sentTo(callback)
		submit(b.send(t, request{method: "GET", path: "/sign-out"}).want(200).form()).want(200)
	})
}

// A native app whose request is faulty has a link that leads back to it.
func TestALinkBackToANativeApp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		client := s.makeClient(t, "app", "--public", "--redirect-uri", "com.example.app:/callback")
		f := newFlow(client, "redirect_uri", "com.example.app:/callback", "scope", "unknown")
		s.newBrowser().send(t, f.request()).want(400).shows(`href="com.example.app:/callback?error=invalid_scope&`)
	})
}

// A name that no database can store is an unknown name.
func TestNamesThatNoDatabaseCanStore(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		client := s.publicClient(t)
		for _, name := range []string{"ann\x00", "\x00", "ann\xff", "ann\x00@example.com", "\xff@example.com", strings.Repeat("x", 50_000), strings.Repeat("x", 50_000) + "@example.com"} {
			b := s.newBrowser()
			page := b.send(t, newFlow(client).request()).want(200).form()
			if a := b.submit(t, page, "username", name, "password", horse); a.status != 422 || !strings.Contains(string(a.body), "The username or the password is wrong.") {
				t.Errorf("%.20q: %d", name, a.status)
			}
		}
	})
}

// A client gets no token that may do nothing: a person with none of the requested scopes is an error, with and without a page.
func TestAPersonWithNoneOfTheScopes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for _, more := range [][]string{nil, {"--third-party"}} {
			client, b := s.publicClient(t, append(more, "--scope", "users:read")...), s.newBrowser()
			f := newFlow(client, "scope", "users:read")
			page := b.send(t, f.request()).want(200).form()
			for _, a := range []*answer{b.submit(t, page, "username", "ann", "password", horse), b.send(t, f.request())} {
				if got := a.sentTo(callback); got.Get("error") != "invalid_scope" || got.Get("state") != "a state" {
					t.Errorf("%v", got)
				}
			}
		}
	})
}

// A person who is signed in, but is not the one that the application asks for, is shown why the page comes again.
func TestAnotherPersonThanTheHintNames(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "bob")
		client, b := s.publicClient(t), s.newBrowser()
		f := newFlow(client)
		hint := s.codeTokens(t, f, b.signIn(t, f, "ann")).IDToken
		other := s.newBrowser()
		f = newFlow(client, "id_token_hint", hint)
		page := other.send(t, f.request()).want(200).form()
		page = other.submit(t, page, "username", "bob", "password", horse).want(200).shows("The application asks for another account.").form()
		codeOf(t, other.submit(t, page, "username", "ann", "password", horse))
	})
}

// codeTokens exchanges a code.
func (s *server) codeTokens(t *testing.T, f flow, code string) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, f.grant(code)).want(200))
}
