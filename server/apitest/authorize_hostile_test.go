package apitest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
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

// The session of a browser ends with those that were started from it, by whichever way it ends, and while a code is being
// exchanged, too: the exchange comes first, and its session ends, or it fails.
func TestABrowsersSessionEndsWhileACodeIsExchanged(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c, ann := newSeeder(t, s), s.register(t, "ann")
		client := s.publicClient(t)
		for name, end := range map[string]func(b *browser, browserID, access string) request{
			"sign out": func(b *browser, _, _ string) request {
				page := b.send(t, request{method: "GET", path: "/sign-out"}).want(200).form()
				return request{method: "POST", path: page.action, form: page.fields, header: map[string]string{"Cookie": b.cookie}}
			},
			"end of the session": func(_ *browser, id, access string) request {
				return request{method: "DELETE", path: "/users/me/sessions/" + id, token: access}
			},
			"end of all sessions": func(_ *browser, _, access string) request {
				return request{method: "DELETE", path: "/users/me/sessions", token: access}
			},
		} {
			access := s.login(t, "ann").AccessToken
			b, f := s.newBrowser(), newFlow(client)
			tokens := s.codeTokens(t, f, b.signIn(t, f, "ann"))
			browserID := s.value(t, `SELECT browser_id FROM sessions WHERE id = '`+s.idToken(t, tokens.IDToken)["sid"].(string)+`'`)
			r, now := end(b, browserID, access), s.clock.now()
			ended := make(chan error, 1)
			err := c.db.Tx(t.Context(), func(q *store.Queries) error {
				if _, _, err := q.LockUserOfSession(t.Context(), ann.ID, browserID, now); err != nil {
					return err
				}
				go func() {
					_, err := s.try(r)
					ended <- err
				}()
				for postgres := !strings.HasPrefix(s.dbURL, "sqlite:"); postgres && len(ended) == 0; { // SQLite has one writer
					if s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) != "0" {
						break
					}
				}
				return q.CreateSession(t.Context(), store.Session{ID: newID(), UserID: ann.ID, ClientID: client.ID, BrowserID: browserID, ExpiresAt: now, EndsAt: now})
			})
			if err = errors.Join(err, <-ended); err != nil {
				t.Fatal(err)
			}
			if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions WHERE browser_id = '`+browserID+`' OR id = '`+browserID+`'`); left != "0" {
				t.Errorf("%s: %s sessions are left", name, left)
			}
			s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(401)
			b.send(t, f.request()).want(200).form()
		}
	})
}

// A client that has been changed since its code was made gets nothing for it; nor does one whose person has withdrawn what they
// have granted.
func TestACodeEndsWhenItsClientChanges(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.must(t, "", "user", "grant", "ann", "users:read")
		manager := s.clientManager(t, "manager", "users:read")
		b := s.newBrowser()
		for name, change := range map[string]map[string]any{
			"a scope":       {"scopes": []string{}},
			"an address":    {"redirect_uris": []string{"https://app.example/other"}},
			"a third party": {"third_party": true},
			"nothing":       {"name": "renamed"},
		} {
			client := s.makeClient(t, name, "--public", "--redirect-uri", callback, "--scope", "users:read")
			f := newFlow(client, "scope", "openid users:read")
			if b.cookie == "" {
				b.signIn(t, f, "ann")
			}
			grant := f.grant(codeOf(t, b.send(t, f.request())))
			grant.form.Del("redirect_uri")
			s.do(t, request{method: "PATCH", path: "/clients/" + client.ID, token: manager, json: change}).want(200)
			if a := s.do(t, grant); (a.status == 200) != (name == "nothing") {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		third := s.publicClient(t, "--third-party")
		f := newFlow(third, "scope", "openid email")
		code := codeOf(t, b.submit(t, b.send(t, f.request()).want(200).form(), "decision", "allow"))
		s.sql(t, `DELETE FROM consents`)
		s.do(t, f.grant(code)).want(400, "invalid_grant")
	})
}

// A page that asks for a code again and again ends no session but its own.
func TestAClientFillsNobodysSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, other, b := s.publicClient(t), s.publicClient(t), s.newBrowser()
		phone := s.login(t, "ann")
		f := newFlow(other)
		elsewhere := s.codeTokens(t, f, b.signIn(t, f, "ann"))
		var last api.Token
		for range 110 {
			s.clock.advance(time.Millisecond)
			f := newFlow(client, "prompt", "none")
			last = s.codeTokens(t, f, codeOf(t, b.send(t, f.request())))
		}
		s.do(t, me(phone.AccessToken)).want(200)
		for _, tokens := range []api.Token{elsewhere, last} {
			s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200)
		}
		codeOf(t, b.send(t, newFlow(client, "prompt", "none").request()))
	})
}

// A refresh gives no scope that the client has lost, even if its session was left.
func TestARefreshGivesNoScopeThatTheClientHasLost(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.must(t, "", "user", "grant", "ann", "users:read")
		client, b := s.publicClient(t, "--scope", "users:read"), s.newBrowser()
		f := newFlow(client, "scope", "openid users:read")
		tokens := s.codeTokens(t, f, b.signIn(t, f, "ann"))
		s.sql(t, `UPDATE clients SET scopes = '' WHERE id = '`+client.ID+`'`)
		r := refreshGrant(tokens.RefreshToken)
		r.form.Set("client_id", client.ID)
		if got := decode[api.Token](s.do(t, r).want(200)).Scope; got != "openid" {
			t.Errorf("the scope is %q", got)
		}
	})
}

// D8: which addresses a client can register. Of an https address the host must be one that a policy can name.
func TestAddressesThatAClientCanRegister(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		manager := s.clientManager(t, "manager")
		create := func(field, address string) *answer {
			t.Helper()
			return s.do(t, request{method: "POST", path: "/clients", token: manager, json: map[string]any{"name": newID(), field: []string{address}}})
		}
		for _, address := range []string{
			"https://app.example", "https://app.example/", "https://app.example:8443/cb?x=1&y=%20", "https://192.0.2.1/cb", "https://[2001:db8::1]:8443/cb", "https://xn--bcher-kva.example/cb",
			"http://localhost/cb", "http://localhost:3000/cb", "http://127.0.0.1/cb", "http://127.0.0.1:8080", "http://[::1]/cb", "com.example.app:/cb", "com.example.app://cb/x",
		} {
			for _, field := range []string{"redirect_uris", "post_logout_redirect_uris"} {
				create(field, address).want(201)
			}
		}
		for _, address := range []string{
			"", "x", "/cb", "//app.example/cb", "https:", "https://", "https:///cb", "https:/cb", "https:cb", "https://:443/cb", "https://app.example/cb#", "https://app.example/cb#f",
			"https://ann@app.example/cb", "https://ann:x@app.example/cb", "https://@app.example/cb", "https://app.example /cb", "https://app.example/c b", "https://app.example/cb\n", "https://app.example\\cb",
			"https://bücher.example/cb", "https://app.example/ü", "https://%61pp.example/cb", "https://*.example/cb", "https://app.example;script-src/cb", "https://app.example,default-src/cb", "https://app.example'/cb",
			"https://app_example$/cb", "https://app.example:x/cb", "https://[::1/cb", "https://[x]/cb", "https://app.example/%zz",
			"http://app.example/cb", "http://localhost.example/cb", "http://127.0.0.1.example/cb", "http://192.0.2.1/cb", "http://0.0.0.0/cb", "http://[::1%25lo]/cb", "http:///cb",
			"javascript:alert(1)", "javascript://app.example/%0aalert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "about:blank", "blob:https://app.example/x", "app:/cb", "urn:ietf:wg:oauth:2.0:oob",
			"HTTPS://app.example/cb", "COM.example.app:/cb", "https://app.example/" + strings.Repeat("x", 2000),
		} {
			for _, field := range []string{"redirect_uris", "post_logout_redirect_uris"} {
				if a := create(field, address); a.status != 422 || !strings.Contains(string(a.body), `"/`+field+`/0"`) {
					t.Errorf("%s %q: %d %s", field, address, a.status, a.body)
				}
			}
		}
	})
}
