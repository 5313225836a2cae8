package apitest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// D23, D25, D26, D27, D28: a client of the code grant authenticates in one way; the answer is not stored; its refresh token rotates
// and is of no use to another client.
func TestTheCodeGrantOnTheWire(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		public, web, b := s.publicClient(t), s.makeClient(t, "web", "--redirect-uri", callback), s.newBrowser()
		f := newFlow(web, "scope", "openid users:read profile")
		code := b.signIn(t, f, "ann")
		for name, change := range map[string]func(r *request){
			"no secret":              func(r *request) { r.form.Del("client_secret") },
			"a wrong secret":         func(r *request) { r.form.Set("client_secret", "wrong") },
			"two ways":               func(r *request) { r.header = map[string]string{"Authorization": basicHeader(web.ID, web.Secret)} },
			"two clients":            func(r *request) { *r = public.sends(*r) },
			"the secret in the URL":  func(r *request) { r.form.Del("client_secret"); r.path += "?client_secret=" + web.Secret },
			"a public client's name": func(r *request) { r.form.Set("client_id", public.ID) },
			"the code twice":         func(r *request) { r.form["code"] = []string{code, code} },
			"the code in the URL":    func(r *request) { r.form.Del("code"); r.path += "?code=" + code },
		} {
			r := f.grant(code)
			if change(&r); s.do(t, r).status/100 != 4 {
				t.Errorf("%s is accepted", name)
			}
		}
		r := f.grant(code)
		r.form.Del("client_id")
		r.form.Del("client_secret")
		a := s.do(t, web.sends(r)).want(200)
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
			t.Errorf("%v", a.header)
		}
		if got := decode[api.Token](a).Scope; got != "openid profile" {
			t.Errorf("the scope is %q", got)
		}
		f = newFlow(public)
		tokens := s.codeTokens(t, f, codeOf(t, b.send(t, f.request())))
		refresh := func(id, token string) request {
			r := refreshGrant(token)
			r.form.Set("client_id", id)
			return r
		}
		s.do(t, refresh(s.publicClient(t).ID, tokens.RefreshToken)).want(400, "invalid_grant")
		next := decode[api.Token](s.do(t, refresh(public.ID, tokens.RefreshToken)).want(200))
		if next.RefreshToken == tokens.RefreshToken {
			t.Error("the refresh token of a public client does not rotate")
		}
		s.clock.advance(2 * time.Minute)
		s.do(t, refresh(public.ID, tokens.RefreshToken)).want(400, "invalid_grant")
		s.do(t, refresh(public.ID, next.RefreshToken)).want(400, "invalid_grant")
		if info := s.do(t, request{method: "GET", path: "/userinfo", token: next.AccessToken}).want(401); info.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", info.header)
		}
	})
}

// D29, D34: the sub of a person is theirs under every name, and no client's id; a client's own token has no person.
func TestTheSubOfAPerson(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		client, b := s.makeClient(t, "web", "--redirect-uri", callback, "--scope", "users:read"), s.newBrowser()
		first := newFlow(client)
		before := s.codeTokens(t, first, b.signIn(t, first, "ann"))
		s.do(t, request{method: "PATCH", path: "/users/me", token: s.login(t, "ann").AccessToken, json: map[string]string{"full_name": "Anna"}}).want(200)
		f := newFlow(client, "nonce", "")
		after := s.codeTokens(t, f, codeOf(t, b.send(t, f.request())))
		claims := s.idToken(t, after.IDToken)
		if claims["sub"] != ann.ID || s.idToken(t, before.IDToken)["sub"] != ann.ID || claims["sub"] == client.ID || claims["nonce"] != nil || claims["at_hash"] != atHash(after.AccessToken) {
			t.Errorf("%v", claims)
		}
		if info := decode[api.UserInfo](s.do(t, request{method: "GET", path: "/userinfo", token: after.AccessToken}).want(200)); info.Sub != ann.ID || *info.Name != "Anna" {
			t.Errorf("%+v", info)
		}
		s.do(t, client.sends(clientGrant("openid"))).want(400, "invalid_scope")
		own := decode[api.Token](s.do(t, client.sends(clientGrant(""))).want(200))
		if a := s.do(t, request{method: "GET", path: "/userinfo", token: own.AccessToken}); a.status != 403 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// A sealed text is of one kind and one holder: no form takes a code, no code is a form, and none is another server's.
func TestSealedTextsAreOfOneKind(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client, third, b := s.publicClient(t), s.publicClient(t, "--third-party"), s.newBrowser()
		f := newFlow(client)
		signIn := b.send(t, f.request()).want(200).form()
		code := codeOf(t, b.submit(t, signIn, "username", "ann", "password", horse))
		consent := b.send(t, newFlow(third).request()).want(200).form()
		request1, request2 := signIn.fields.Get("request"), consent.fields.Get("request")
		for _, c := range []struct{ action, text string }{{"/sign-in", code}, {"/sign-in", request2}, {"/consent", code}, {"/consent", request1}} {
			page := webPage{action: c.action, fields: url.Values{"request": {c.text}}}
			if a := b.submit(t, page, "username", "ann", "password", horse, "decision", "allow"); a.status != 400 || a.header.Get("Location") != "" {
				t.Errorf("%s takes another text: %d", c.action, a.status)
			}
		}
		for _, text := range []string{request1, request2} {
			s.do(t, f.grant(text)).want(400, "invalid_grant")
		}
		s.do(t, f.grant(code)).want(200)
		// Another master key has other ones; of two cookies, one is not ours.
		stranger := start(t, sqliteURL(t))
		stranger.register(t, "ann")
		page := webPage{action: "/sign-in", fields: url.Values{"request": {request1}}}
		stranger.newBrowser().submit(t, page, "username", "ann", "password", horse).want(400)
		two := &browser{s: s, cookie: b.cookie + "; " + strings.SplitN(b.cookie, "=", 2)[0] + "=x"}
		two.send(t, f.request()).want(200).form()
	})
}

// Behind a proxy that changes Host, at a URL with a path: the forms lead to the pages, and to the client.
func TestSigningInBehindAProxy(t *testing.T) {
	const public = "https://login.example/auth"
	s := start(t, sqliteURL(t), "SESAME_PUBLIC_URL="+public)
	s.register(t, "ann")
	client, b := s.publicClient(t), s.newBrowser()
	f := newFlow(client)
	for _, base := range []string{"", "/auth"} {
		b.cookie = ""
		a := b.send(t, request{method: "POST", path: base + "/authorize", form: f.query}).want(303)
		next, ours := strings.CutPrefix(a.header.Get("Location"), public+"/authorize?")
		if !ours {
			t.Fatalf("POST leads to %s", a.header.Get("Location"))
		}
		page := b.send(t, request{method: "GET", path: base + "/authorize?" + next}).want(200).form()
		page.fields.Set("username", "ann")
		page.fields.Set("password", horse)
		for origin, status := range map[string]int{"https://login.example": 303, "https://evil.example": 400, "http://login.example": 400} {
			b.cookie = ""
			r := request{method: "POST", path: base + page.action, form: page.fields, header: map[string]string{"Sec-Fetch-Site": "", "Origin": origin}}
			if a := b.send(t, r); a.status != status || (a.status == 303) != strings.HasPrefix(b.cookie, "__Host-sesame=") {
				t.Errorf("%s from %s: %d %s", r.path, origin, a.status, a.body)
			}
		}
	}
}

// Guesses at the page and at the token endpoint have one counter, and each is recorded.
func TestGuessesAtThePageCountAtTheTokenEndpoint(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		page := b.send(t, newFlow(s.publicClient(t)).request()).want(200).form()
		for _, name := range []string{"ann", "nobody"} {
			for range 3 {
				b.submit(t, page, "username", name, "password", "wrong").want(422)
			}
			for range 2 {
				s.do(t, passwordGrant(name, "wrong")).want(400, "invalid_grant")
			}
			b.submit(t, page, "username", name, "password", horse).want(429)
			s.do(t, passwordGrant(name, horse)).want(429)
		}
		if failed := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'login_failed' AND username = 'ann'`); failed != "5" {
			t.Errorf("%s failures are recorded", failed)
		}
	})
}
