package apitest

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

// D7, D16: a request whose client or address cannot be trusted gets a page, and never a redirect, whether or not somebody is
// signed in; and its page repeats nothing of the request.
func TestNobodyIsSentToAnUnknownAddress(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		registered := []string{callback, "https://app.example/two?x=1", "http://127.0.0.1/app", "http://[::1]:99/app", "com.example.app:/callback"}
		var args []string
		for _, address := range registered {
			args = append(args, "--redirect-uri", address)
		}
		client := s.makeClient(t, "app", append([]string{"--public"}, args...)...)
		other := s.makeClient(t, "without addresses")
		signedIn := s.newBrowser()
		signedIn.signIn(t, newFlow(client), "ann")
		refused := map[string]flow{
			"no client": newFlow(client, "client_id", ""), "an unknown client": newFlow(client, "client_id", newID()),
			"a text": newFlow(client, "client_id", "first-party"), "the browser": newFlow(client, "client_id", "browser"),
			"no address": newFlow(client, "redirect_uri", ""), "a client without addresses": newFlow(other),
		}
		for _, address := range []string{
			"https://app.example/callback/", "https://app.example/callback?", "https://app.example/callback?x=1", "https://app.example/callback#f",
			"https://app.example/Callback", "https://APP.example/callback", "https://app.example:443/callback", "http://app.example/callback",
			"https://app.example/%63allback", "https://app.example/callback/../callback", "https://app.example//callback", "https://app.example\\@evil.example/callback",
			"https://app.example@evil.example/callback", "https://app.example.evil.example/callback", "https://evil.example/callback", "//app.example/callback",
			"/callback", "javascript:alert(1)", "data:text/html,x", " https://app.example/callback", "https://app.example/callback\n",
			"https://app.example/two", "https://app.example/two?x=1&y=2",
			"http://127.0.0.1:80:80/app", "http://127.0.0.1:1@evil.example/app", "http://127.0.0.1.evil.example/app", "http://127.0.0.1:/app/x", "http://localhost/app",
			"http://127.0.0.2/app", "https://127.0.0.1/app", "http://[::1]:x/app", "http://[::1]@evil.example/app", "http://127.0.0.1:123456/app",
			"com.example.app:/callback/x", "com.example.app2:/callback", "com.example.app://callback",
		} {
			refused["address "+address] = newFlow(client, "redirect_uri", address, "state", "Canary7f3a9c")
		}
		for name, f := range refused {
			for _, b := range []*browser{s.newBrowser(), signedIn} {
				for _, prompt := range []string{"", "none"} {
					if f.query.Del("prompt"); prompt != "" {
						f.query.Set("prompt", prompt)
					}
					a := b.send(t, f.request())
					if a.status/100 != 4 || a.header.Get("Location") != "" || strings.Contains(string(a.body), "Canary7f3a9c") || strings.Contains(string(a.body), "evil.example") {
						t.Errorf("%s: %d %v %s", name, a.status, a.header, a.body)
					}
				}
			}
		}
		for _, address := range append(registered, "http://127.0.0.1:8123/app", "http://127.0.0.1:1/app", "http://[::1]:99/app", "http://[::1]:7/app", "http://[::1]/app") {
			f := newFlow(client, "redirect_uri", address)
			location := signedIn.send(t, f.request()).want(303).header.Get("Location")
			if !strings.HasPrefix(location, address) || strings.Count(location, "?") != 1 || !strings.Contains(location, "code=") {
				t.Errorf("%s: %s", address, location)
			}
		}
	})
}

// D1, D2, D3, D4, D6, D10, D11, D12, D13: a faulty request of a known client is answered there with an error, once the person is
// known; before that, with a page.
func TestFaultyAuthorizationRequests(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t)
		signedIn := s.newBrowser()
		signedIn.signIn(t, newFlow(client), "ann")
		for _, c := range []struct {
			err  string
			more []string
		}{
			{"invalid_request", []string{"response_type", ""}},
			{"unsupported_response_type", []string{"response_type", "token"}},
			{"unsupported_response_type", []string{"response_type", "code id_token"}},
			{"unsupported_response_type", []string{"response_type", "Canary"}},
			{"invalid_request", []string{"code_challenge", ""}},
			{"invalid_request", []string{"code_challenge", "", "code_challenge_method", ""}},
			{"invalid_request", []string{"code_challenge_method", "plain"}},
			{"invalid_request", []string{"code_challenge_method", ""}},
			{"invalid_request", []string{"code_challenge", "short"}},
			{"invalid_request", []string{"response_mode", "fragment"}},
			{"invalid_request", []string{"prompt", "none login"}},
			{"invalid_request", []string{"prompt", "everything"}},
			{"invalid_request", []string{"max_age", "-1"}},
			{"invalid_request", []string{"max_age", "soon"}},
			{"invalid_request", []string{"id_token_hint", "x.y.z"}},
			{"invalid_scope", []string{"scope", "unknown"}},
			{"invalid_request", []string{"claims", "{"}},
		} {
			f := newFlow(client, c.more...)
			got := signedIn.send(t, f.request()).sentTo(callback)
			if got.Get("error") != c.err || got.Get("state") != "a state" || got.Get("iss") != s.url || got.Get("code") != "" || strings.Contains(got.Get("error_description"), "Canary") {
				t.Errorf("%v: %v", c.more, got)
			}
			page := s.newBrowser().send(t, f.request())
			if silent := f.query.Get("prompt") == "none login"; !silent && (page.status != 400 || page.header.Get("Location") != "") {
				t.Errorf("%v: nobody is signed in, and the answer is %d %v", c.more, page.status, page.header)
			}
		}
		// Request objects are optional, and a client learns from the answer that it cannot use them. So nobody sees a page about them:
		// the person signs in, and the client gets the error (OpenID Connect Core §3.1.2.6).
		for name, value := range map[string]string{"request": "eyJhbGciOiJub25lIn0.e30.", "request_uri": "https://app.example/request"} {
			f, b := newFlow(client, name, value), s.newBrowser()
			page := b.send(t, f.request()).want(200).form()
			for _, a := range []*answer{signedIn.send(t, f.request()), b.submit(t, page, "username", "ann", "password", horse)} {
				got := a.sentTo(callback)
				if got.Get("error") != name+"_not_supported" || got.Get("state") != "a state" || got.Get("iss") != s.url || got.Get("code") != "" {
					t.Errorf("%s: %v", name, got)
				}
			}
			f.query.Set("prompt", "none")
			if got := s.newBrowser().send(t, f.request()).sentTo(callback); got.Get("error") != name+"_not_supported" {
				t.Errorf("%s without a page: %v", name, got)
			}
			f.query.Set("redirect_uri", "https://evil.example/")
			s.newBrowser().send(t, f.request()).want(400)
		}
		f := newFlow(client, "unknown", "x", "acr_values", "9", "ui_locales", "tlh", "display", "touch", "prompt", "", "nonce", "")
		f.query.Set("login_hint", "")
		codeOf(t, signedIn.send(t, f.request()))
		for _, twice := range []string{"state", "client_id", "redirect_uri", "scope", "code_challenge"} {
			r := newFlow(client).request()
			r.path += "&" + twice + "=x"
			if a := signedIn.send(t, r); a.status != 400 || a.header.Get("Location") != "" {
				t.Errorf("%s twice: %d", twice, a.status)
			}
		}
		// POST leads to GET, where a browser sends its cookie.
		a := s.newBrowser().send(t, request{method: "POST", path: "/authorize", form: newFlow(client).query, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}).want(303)
		next, err := url.Parse(a.header.Get("Location"))
		if err != nil || next.Path != "/authorize" || next.Query().Get("state") != "a state" {
			t.Errorf("POST leads to %s", next)
		}
	})
}

// D5, D14, D15: no page of another origin can read or frame the authorization endpoint, and its form may lead to the client.
func TestHeadersOfThePages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t)
		b := s.newBrowser()
		for _, method := range []string{"GET", "OPTIONS", "HEAD"} {
			r := newFlow(client).request()
			r.method, r.header = method, map[string]string{"Origin": "https://friend.example", "Access-Control-Request-Method": "GET"}
			for name := range s.do(t, r).header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s has %s", method, name)
				}
			}
		}
		page := b.send(t, newFlow(client).request()).want(200)
		policy := page.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "form-action 'self' https://app.example;", "frame-ancestors 'none'"} {
			if !strings.Contains(policy+";", part) {
				t.Errorf("the policy is %s", policy)
			}
		}
		if page.header.Get("X-Frame-Options") != "DENY" || page.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%v", page.header)
		}
		b.submit(t, page.form(), "username", "ann", "password", horse).want(303)
	}, "SESAME_CORS_ORIGINS=https://friend.example")
}

// D18, D19, D20, D21, D22: a code works once, for its client, its verifier and its address, for 60 seconds. A second valid use
// ends the session that the first has started; an invalid one ends nothing.
func TestCodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, other := s.publicClient(t), s.publicClient(t)
		confidential := s.makeClient(t, "web", "--redirect-uri", callback, "--optional-pkce")
		b := s.newBrowser()
		b.signIn(t, newFlow(client), "ann")
		fresh := func(f flow) string { t.Helper(); return codeOf(t, b.send(t, f.request())) }
		f := newFlow(client)
		code := fresh(f)
		for name, change := range map[string]func(url.Values){
			"another client":      func(v url.Values) { v.Set("client_id", other.ID) },
			"the built-in client": func(v url.Values) { v.Del("client_id") },
			"no verifier":         func(v url.Values) { v.Del("code_verifier") },
			"another verifier":    func(v url.Values) { v.Set("code_verifier", newFlow(client).verifier) },
			"the challenge":       func(v url.Values) { v.Set("code_verifier", f.query.Get("code_challenge")) },
			"another address":     func(v url.Values) { v.Set("redirect_uri", "https://app.example/other") },
			"a changed code":      func(v url.Values) { v.Set("code", code[:len(code)-4]+"AAAA") },
			"a refresh token":     func(v url.Values) { v.Set("code", s.login(t, "ann").RefreshToken) },
		} {
			r := f.grant(code)
			change(r.form)
			if a := s.do(t, r); a.status != 400 || a.code() != "invalid_grant" {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		tokens := decode[api.Token](s.do(t, f.grant(code)).want(200))
		wrong := f.grant(code)
		wrong.form.Set("code_verifier", newFlow(client).verifier)
		s.do(t, wrong).want(400, "invalid_grant")
		s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200)
		s.do(t, f.grant(code)).want(400, "invalid_grant")
		s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(401)
		s.do(t, f.grant(code)).want(400, "invalid_grant")

		code = fresh(f)
		s.clock.advance(59 * time.Second)
		without := f.grant(code)
		without.form.Del("redirect_uri") // PKCE does what it is for
		s.do(t, without).want(200)
		code = fresh(f)
		s.clock.advance(61 * time.Second)
		s.do(t, f.grant(code)).want(400, "invalid_grant")

		plain := newFlow(confidential, "code_challenge", "", "code_challenge_method", "")
		code = fresh(plain)
		s.do(t, plain.grant(code)).want(400, "invalid_grant") // a verifier without a challenge
		r := plain.grant(code)
		r.form.Del("code_verifier")
		r.form.Del("client_secret")
		s.do(t, r).want(401, "invalid_client")
		r = plain.grant(code)
		r.form.Del("code_verifier")
		r.form.Del("redirect_uri")
		s.do(t, r).want(400, "invalid_grant")
		r.form.Set("redirect_uri", callback)
		s.do(t, r).want(200)
	})
}

// D20: of many uses of a code at once, at most one succeeds; and if another came after it, no session is left.
func TestParallelUsesOfACode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, b := s.publicClient(t), s.newBrowser()
		f := newFlow(client)
		code := b.signIn(t, f, "ann")
		var wait sync.WaitGroup
		answers := make(chan *answer, 8)
		for range cap(answers) {
			wait.Go(func() {
				if a, err := s.try(f.grant(code)); err != nil {
					t.Error(err)
				} else {
					answers <- a
				}
			})
		}
		wait.Wait()
		close(answers)
		succeeded := 0
		for a := range answers {
			if a.status == 200 {
				succeeded++
				s.do(t, request{method: "GET", path: "/userinfo", token: decode[api.Token](a).AccessToken}).want(401)
			} else if a.status != 400 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if succeeded > 1 {
			t.Errorf("%d uses succeeded", succeeded)
		}
	})
}

// A session of a browser ends with the password, the account and its own end; and with it what was started from it, and codes
// that were not used yet.
func TestTheEndOfABrowsersSession(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *server, b *browser, access string){
		"sign out": func(t *testing.T, _ *server, b *browser, _ string) {
			b.submit(t, b.send(t, request{method: "GET", path: "/sign-out"}).want(200).form()).want(200)
		},
		"end of all sessions": func(t *testing.T, s *server, _ *browser, _ string) {
			s.do(t, request{method: "DELETE", path: "/users/me/sessions", token: s.login(t, "ann").AccessToken}).want(204)
		},
		"another password": func(t *testing.T, s *server, _ *browser, _ string) {
			s.do(t, request{method: "PUT", path: "/users/me/password", token: s.login(t, "ann").AccessToken, json: map[string]string{"current_password": horse, "new_password": horse + "s"}}).want(204)
		},
		"disabled": func(t *testing.T, s *server, _ *browser, _ string) { s.must(t, "", "user", "disable", "ann") },
		"deleted": func(t *testing.T, s *server, _ *browser, _ string) {
			s.must(t, "", "user", "delete", "ann", "--yes")
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				s.register(t, "ann")
				client, b := s.publicClient(t), s.newBrowser()
				f := newFlow(client)
				tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
				unused, cookie := codeOf(t, b.send(t, f.request())), b.cookie
				end(t, s, b, tokens.AccessToken)
				s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(401)
				s.do(t, f.grant(unused)).want(400, "invalid_grant")
				b.cookie = cookie
				b.send(t, f.request()).want(200).form()
			})
		})
	}
}

// D17, OpenID Connect Core §3.1.2.1: prompt, max_age and id_token_hint.
func TestWhenAPersonHasToSignInAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "bob")
		client, b := s.publicClient(t), s.newBrowser()
		if got := b.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback); got.Get("error") != "login_required" {
			t.Errorf("prompt=none without a session: %v", got)
		}
		f := newFlow(client)
		first := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		before := s.idToken(t, first.IDToken)["auth_time"].(float64)
		s.clock.advance(time.Minute)
		for name, more := range map[string][]string{
			"prompt=login": {"prompt", "login"}, "prompt=select_account": {"prompt", "select_account"}, "max_age=30": {"max_age", "30"}, "max_age=0": {"max_age", "0"},
		} {
			again, cookie := newFlow(client, more...), b.cookie
			tokens := decode[api.Token](s.do(t, again.grant(b.signIn(t, again, "ann"))).want(200))
			if b.cookie == cookie {
				t.Errorf("%s: the cookie is the one from before", name)
			}
			if now := s.idToken(t, tokens.IDToken)["auth_time"].(float64); now-before < 60 {
				t.Errorf("%s: auth_time is %v after %v", name, now, before)
			}
			s.clock.advance(time.Minute)
			silent := newFlow(client, more...)
			if name == "max_age=30" {
				silent.query.Set("prompt", "none")
				if got := b.send(t, silent.request()).sentTo(callback); got.Get("error") != "login_required" {
					t.Errorf("%s: %v", name, got)
				}
			}
		}
		codeOf(t, b.send(t, newFlow(client, "max_age", "3600", "id_token_hint", first.IDToken, "prompt", "none").request()))
		s.clock.advance(20 * time.Minute) // the hint expires
		codeOf(t, b.send(t, newFlow(client, "id_token_hint", first.IDToken, "prompt", "none").request()))
		// Bob signs in where Ann was.
		other := newFlow(client, "prompt", "login")
		b.signIn(t, other, "bob")
		s.do(t, request{method: "GET", path: "/userinfo", token: first.AccessToken}).want(401)
		if got := b.send(t, newFlow(client, "id_token_hint", first.IDToken, "prompt", "none").request()).sentTo(callback); got.Get("error") != "login_required" {
			t.Errorf("a hint of Ann, and Bob is signed in: %v", got)
		}
	})
}

// D33: a third party's client gets nothing before the person has agreed, is asked about again when it wants more, and has
// only what it was given.
func TestConsent(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "bob")
		client, b := s.publicClient(t, "--third-party"), s.newBrowser()
		ask := func(b *browser, more ...string) webPage {
			t.Helper()
			page := b.send(t, newFlow(client, more...).request()).want(200).form()
			if page.action == "/sign-in" {
				page = b.submit(t, page, "username", "ann", "password", horse).want(200).form()
			}
			if page.action != "/consent" {
				t.Fatalf("the page is %s", page.action)
			}
			return page
		}
		var f flow
		page := ask(b, "scope", "openid me:read me:write users:read")
		if text := string(page.body); !strings.Contains(text, "Know who you are") || strings.Contains(text, "Read one") {
			t.Error(text)
		}
		denied := b.submit(t, page, "decision", "deny").sentTo(callback)
		if denied.Get("error") != "access_denied" || denied.Get("state") != "a state" {
			t.Errorf("%v", denied)
		}
		if got := b.send(t, newFlow(client, "prompt", "none").request()).sentTo(callback); got.Get("error") != "consent_required" {
			t.Errorf("%v", got)
		}
		// The form of one browser is of no use in another one.
		bobs := s.newBrowser()
		bobs.submit(t, bobs.send(t, newFlow(client).request()).form(), "username", "bob", "password", horse).want(200)
		if a := bobs.submit(t, ask(b), "decision", "allow"); a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("%d %v", a.status, a.header)
		}
		f = newFlow(client, "scope", "openid")
		page = ask(b, "scope", "openid")
		code := codeOf(t, b.submit(t, page, "decision", "allow"))
		if a := s.do(t, newFlow(client).grant(code)); a.status != 400 { // of another request
			t.Errorf("%d %s", a.status, a.body)
		}
		codeOf(t, b.send(t, f.request()))
		if got := decode[api.Token](s.do(t, f.grant(codeOf(t, b.send(t, f.request())))).want(200)); got.Scope != "openid" {
			t.Errorf("the scope is %q", got.Scope)
		}
		b.submit(t, ask(b, "scope", "openid email"), "decision", "allow").want(303)
		codeOf(t, b.send(t, newFlow(client, "scope", "openid email").request()))
		ask(b, "scope", "openid", "prompt", "consent")
	})
}

// L: guesses on the page are throttled as everywhere; and no form of another website is accepted.
func TestTheSignInForm(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, b := s.publicClient(t), s.newBrowser()
		page := b.send(t, newFlow(client, "login_hint", `"><script>ann`).request()).want(200).form()
		if strings.Contains(string(page.body), "<script>") {
			t.Error("the hint is not escaped")
		}
		for _, header := range []map[string]string{
			{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, {"Sec-Fetch-Site": "", "Origin": "null"},
		} {
			page.fields.Set("username", "ann")
			page.fields.Set("password", horse)
			a := b.send(t, request{method: "POST", path: page.action, form: page.fields, header: header})
			if a.status/100 != 4 || a.header["Set-Cookie"] != nil {
				t.Errorf("%v: %d", header, a.status)
			}
		}
		for range 5 {
			if a := b.submit(t, page, "username", "ann", "password", "wrong"); a.status != 422 || a.header["Set-Cookie"] != nil || !strings.Contains(string(a.body), "The username or the password is wrong.") {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if a := b.submit(t, page, "username", "ann", "password", horse); a.status != 429 || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "too many attempts") {
			t.Errorf("%d %s", a.status, a.body)
		}
		s.clock.advance(2 * time.Second)
		b.submit(t, page, "username", "ann", "password", horse).want(303)
		page.fields.Set("request", "AAAA")
		b.submit(t, page, "username", "ann", "password", horse).want(400)
		page = s.newBrowser().send(t, newFlow(client).request()).want(200).form()
		s.clock.advance(61 * time.Minute)
		b.submit(t, page, "username", "ann", "password", horse).want(400)
	})
}

// D32: a person is asked before they are signed out, unless the client proves the session; and sent to registered addresses alone.
func TestSignOut(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t, "--post-logout-redirect-uri", "https://app.example/bye")
		b, f := s.newBrowser(), newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		out := func(more ...string) request {
			query := url.Values{}
			for i := 0; i < len(more); i += 2 {
				query.Set(more[i], more[i+1])
			}
			return request{method: "GET", path: "/sign-out?" + query.Encode()}
		}
		works := func(want int) {
			t.Helper()
			s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(want)
		}
		for _, more := range [][]string{
			{"post_logout_redirect_uri", "https://evil.example/"},
			{"client_id", client.ID, "post_logout_redirect_uri", "https://app.example/bye/"},
			{"post_logout_redirect_uri", "https://app.example/bye"},
			{"id_token_hint", "x"},
			{"id_token_hint", tokens.IDToken, "client_id", newID()},
			{"id_token_hint", tokens.AccessToken},
		} {
			if a := b.send(t, out(more...)); a.status != 400 || a.header.Get("Location") != "" {
				t.Errorf("%v: %d", more, a.status)
			}
		}
		page := b.send(t, out("client_id", client.ID, "post_logout_redirect_uri", "https://app.example/bye", "state", "x&y")).want(200).form()
		works(200)
		a := b.send(t, request{method: "POST", path: page.action, form: page.fields, header: map[string]string{"Sec-Fetch-Site": "cross-site"}})
		if a.status/100 != 4 {
			t.Errorf("a form of another website: %d", a.status)
		}
		works(200)
		// In another browser the ID token proves nothing.
		stranger := s.newBrowser()
		stranger.signIn(t, newFlow(client), "ann")
		stranger.send(t, out("id_token_hint", tokens.IDToken)).want(200).form()
		works(200)
		if location := b.submit(t, page).want(303).header.Get("Location"); location != "https://app.example/bye?state=x%26y" {
			t.Errorf("the browser is sent to %s", location)
		}
		works(401)
		tokens = decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		a = b.send(t, out("id_token_hint", tokens.IDToken, "post_logout_redirect_uri", "https://app.example/bye"))
		if a.want(303); b.cookie != "" {
			t.Error("the cookie is left")
		}
		works(401)
		b.send(t, out()).want(200)
	})
}

// A cookie is neither a token nor a refresh token, and a token is no cookie. A client that has no addresses, or is of another kind,
// signs nobody in.
func TestWhatACookieIsNot(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, b := s.publicClient(t), s.newBrowser()
		f := newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		_, value, _ := strings.Cut(b.cookie, "=")
		s.do(t, me(value)).want(401, "invalid_token")
		s.do(t, refreshGrant(value)).want(400, "invalid_grant")
		for _, text := range []string{tokens.RefreshToken, tokens.AccessToken, tokens.IDToken, "", "x", value[:len(value)-1], value + "; sesame-session=" + value} {
			stranger := &browser{s: s, cookie: "sesame-session=" + text}
			stranger.send(t, f.request()).want(200).form()
		}
		s.do(t, me(tokens.IDToken)).want(401, "invalid_token")
		for _, grant := range []url.Values{
			{"grant_type": {"client_credentials"}, "client_id": {client.ID}},
			{"grant_type": {"password"}, "username": {"ann"}, "password": {horse}, "client_id": {"browser"}},
			{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}},
		} {
			if a := s.do(t, request{method: "POST", path: "/token", form: grant}); a.status/100 != 4 {
				t.Errorf("%v: %d %s", grant, a.status, a.body)
			}
		}
		r := introspection(tokens.AccessToken)
		r.header = map[string]string{"Authorization": basicHeader(client.ID, "")}
		s.do(t, r).want(401, "invalid_client")
	})
}
