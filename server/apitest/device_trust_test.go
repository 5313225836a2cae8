package apitest

import (
	"net/url"
	"strings"
	"testing"

	"sesame/gen/api"
)

// The decision is bound to the browser that has seen the page, and to a form of this website; the first one counts.
func TestTheDecisionAboutADevice(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for _, name := range []string{"ann", "eve"} {
			s.register(t, name)
		}
		ann, eve, tv := s.signedIn(t, "ann"), s.signedIn(t, "eve"), s.device(t, "--public")
		codes := s.television(t, tv)
		page := ann.enters(t, codes.UserCode).want(200).form()
		page.fields.Set("decision", "allow")
		form := request{method: "POST", path: page.action, form: page.fields}
		eve.send(t, form).want(400)
		s.newBrowser().send(t, form).want(303)
		for _, header := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "", "Origin": "https://evil.example"}} {
			other := form
			other.header = header
			ann.send(t, other).want(400).shows("sent by another website")
			other.path, other.form = "/device", url.Values{"user_code": {codes.UserCode}}
			ann.send(t, other).want(400).shows("sent by another website")
		}
		ann.send(t, request{method: "POST", path: "/consent", form: page.fields}).want(400)
		ann.send(t, get("/device/decide?request="+url.QueryEscape(page.fields.Get("request"))+"&decision=allow"))
		s.do(t, tv.polls(codes)).want(400, "authorization_pending")

		second := eve.enters(t, codes.UserCode).want(200).form()
		ann.submit(t, page).want(200)
		eve.submit(t, second, "decision", "allow").want(422)
		ann.submit(t, page, "decision", "deny").want(422)
		var polls []request
		for range 8 {
			polls = append(polls, tv.polls(codes))
		}
		if got := inParallel(t, []*server{s}, polls); got[200] != 1 || got[400] != 7 {
			t.Errorf("of 8 polls: %v", got)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) || ' of ' || MAX(username) FROM sessions JOIN users ON users.id = user_id WHERE client_id = '`+tv.ID+`'`); n != "1 of ann" {
			t.Errorf("the sessions are %s", n)
		}
	})
}

// What a person has allowed ends with their session, their account and their consent, until the device has its tokens.
func TestADecisionThatIsTakenBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tv := s.device(t, "--public", "--third-party")
		for name, undo := range map[string]func(b *browser, user api.User){
			"signout":  func(b *browser, _ api.User) { b.submit(t, b.send(t, get("/sign-out")).want(200).form()).want(200) },
			"disabled": func(_ *browser, user api.User) { s.must(t, "", "user", "disable", user.Username) },
			"deleted":  func(_ *browser, user api.User) { s.must(t, "", "user", "delete", user.Username, "--yes") },
			"withdraw": func(b *browser, _ api.User) {
				b.submit(t, b.send(t, get("/account/applications")).want(200).formWith("client", tv.ID))
			},
		} {
			user := s.register(t, name)
			b, codes := s.signedIn(t, name), s.television(t, tv, "scope", "openid")
			b.allow(t, codes.UserCode)
			undo(b, user)
			s.do(t, tv.polls(codes)).want(400, "access_denied")
		}
	})
}

// Only a client with the grant has devices, and only the client that asked gets the tokens.
func TestWhichClientsHaveDevices(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b, tv, other, without := s.signedIn(t, "ann"), s.device(t), s.device(t, "--public"), s.publicClient(t)
		s.do(t, without.asksAsDevice()).want(400, "unauthorized_client")
		s.do(t, serviceClient{ID: "first-party"}.asksAsDevice()).want(400, "unauthorized_client")
		s.do(t, serviceClient{ID: newID()}.asksAsDevice()).want(401, "invalid_client")
		s.do(t, serviceClient{ID: tv.ID}.asksAsDevice()).want(401, "invalid_client")
		s.do(t, serviceClient{ID: tv.ID, Secret: "wrong"}.asksAsDevice()).want(401, "invalid_client")
		s.do(t, tv.asksAsDevice("scope", "users:write")).want(400, "invalid_scope")
		s.do(t, tv.asksAsDevice("unknown", "x")).want(200)

		codes := s.television(t, tv)
		b.allow(t, codes.UserCode)
		s.do(t, other.polls(codes)).want(400, "invalid_grant")
		s.do(t, without.polls(codes)).want(400, "unauthorized_client")
		s.do(t, serviceClient{ID: tv.ID}.polls(codes)).want(401, "invalid_client")
		tokens := decode[api.Token](s.do(t, tv.polls(codes)).want(200))
		if tokens.Scope != defaultScopes() || tokens.IDToken != "" {
			t.Errorf("%+v", tokens)
		}
		none := tv.polls(codes)
		none.form.Del("device_code")
		s.do(t, none).want(400, "invalid_request")

		// A scope that the client has lost meanwhile is not given to it, and what it has is shown.
		able := s.device(t, "--scope", "users:read", "--scope", "clients:read")
		s.must(t, "", "user", "grant", "ann", "users:read", "clients:read")
		for _, when := range []string{"before", "after"} {
			s.must(t, "", "client", "update", able.ID, "--scope", "users:read", "--scope", "clients:read")
			codes = s.television(t, able, "scope", "users:read clients:read")
			if when == "after" {
				b.allow(t, codes.UserCode)
			}
			s.must(t, "", "client", "update", able.ID, "--scope", "users:read")
			if when == "before" {
				page := b.enters(t, codes.UserCode).want(200)
				if strings.Contains(string(page.body), "Read every client") {
					t.Error("the page names a scope that the client has lost")
				}
				b.submit(t, page.form(), "decision", "allow").want(200)
			}
			if tokens := decode[api.Token](s.do(t, able.polls(codes)).want(200)); tokens.Scope != "users:read" {
				t.Errorf("%s the decision the client has lost a scope, and the token has %q", when, tokens.Scope)
			}
		}

		waiting := s.television(t, tv)
		page := b.enters(t, waiting.UserCode).want(200).form()
		s.must(t, "", "client", "update", tv.ID, "--no-device")
		s.do(t, tv.polls(waiting)).want(400, "unauthorized_client")
		b.submit(t, page, "decision", "allow").want(422)
		b.enters(t, waiting.UserCode).want(422)
		s.do(t, request{method: "GET", path: "/users/me", token: tokens.AccessToken}).want(401)
	})
}

// Signing in leads on to the page for devices, and to no address that a stranger has chosen.
func TestWhereTheSignInForADeviceLeads(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for errand, want := range map[string]string{
			"device.": "/device", "device.BCDF-GHJK": "/device?user_code=BCDF-GHJK", "device.bcdfghjk": "/device?user_code=BCDF-GHJK",
			"device.https://evil.example": "/device", "device.//evil.example": "/device", "device.?x=1": "/device", "device.\r\nX: y": "/device",
		} {
			for _, path := range []string{"/sign-in", "/sign-up", "/forgot-password"} {
				if page := s.newBrowser().send(t, get(path+"?request="+url.QueryEscape(errand))).want(200); strings.Contains(string(page.body), "evil") {
					t.Errorf("%s repeats %q", path, errand)
				}
			}
			b := s.newBrowser()
			page := b.send(t, get("/sign-in?request="+url.QueryEscape(errand))).want(200).form()
			if to := b.submit(t, page, "username", "ann", "password", horse).want(303).header.Get("Location"); to != s.url+want {
				t.Errorf("%q leads to %s", errand, to)
			}
		}
		for _, errand := range []string{"device", "https://evil.example", "/account"} {
			s.newBrowser().send(t, get("/sign-in?request="+url.QueryEscape(errand))).want(400)
		}
	})
}
