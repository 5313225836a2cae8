package apitest

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/guard"
)

// factor completes a sign-in whose password page has been submitted.
func (b *browser) factor(t *testing.T, a *answer, app totp) *answer {
	t.Helper()
	return b.submit(t, a.want(200).shows("authenticator app").form(), "code", app.code())
}

// levelOf exchanges the code that the browser brings to the client, and returns the acr of the access token and of the ID token.
func (s *server) levelOf(t *testing.T, f flow, a *answer) (access, id any) {
	t.Helper()
	tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200))
	return s.accessClaims(t, tokens)["acr"], s.idToken(t, tokens.IDToken)["acr"]
}

// refusedWith returns the error that the browser brings to the client.
func (a *answer) refusedWith(code string) {
	a.t.Helper()
	if got := a.sentTo(callback); got.Get("error") != code || got.Get("code") != "" || got.Get("state") != "a state" || got.Get("iss") == "" {
		a.t.Errorf("the client gets %v, want %s", got, code)
	}
}

// A client that asks for two factors gets a person with two, or an error; a client that would also take one gets what is there
// (RFC 9470 §5, OpenID Connect Core §3.1.2.1, Unmet Authentication Requirements 1.0).
func TestACRValues(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t)
		asks := func(values string, more ...string) flow {
			return newFlow(client, append([]string{"acr_values", values}, more...)...)
		}

		// Without a factor. The browser is signed in once, with a password.
		b := s.newBrowser()
		page := b.send(t, asks("2").request()).want(200).form()
		b.submit(t, page, "username", "ann", "password", horse).refusedWith("unmet_authentication_requirements")
		for _, prompt := range []string{"", "none", "consent"} {
			b.send(t, asks("2", "prompt", prompt).request()).refusedWith("unmet_authentication_requirements")
			b.send(t, asks("urn:unknown 2 urn:mace:silver", "prompt", prompt).request()).refusedWith("unmet_authentication_requirements")
		}
		s.newBrowser().send(t, asks("2", "prompt", "none").request()).refusedWith("login_required")
		for _, voluntary := range []string{"", "1", "2 1", "1 2", "urn:mace:silver", "22", "2,1"} {
			f := asks(voluntary)
			if access, id := s.levelOf(t, f, b.send(t, f.request())); access != "1" || id != "1" {
				t.Errorf("acr_values %q: %v %v", voluntary, access, id)
			}
		}

		// The account gets a factor; the session of the browser still has one factor.
		app := s.plantTOTP(t, "ann")
		b.send(t, asks("2", "prompt", "none").request()).refusedWith("login_required")
		f := asks("2 1")
		if access, _ := s.levelOf(t, f, b.send(t, f.request())); access != "1" {
			t.Errorf("one factor is enough, but the level is %v", access)
		}
		s.clock.advance(time.Minute)
		f = asks("2")
		again := b.send(t, f.request()).want(200).shows("second factor")
		waiting := b.submit(t, again.form(), "username", "ann", "password", horse)
		if access, id := s.levelOf(t, f, b.factor(t, waiting, app)); access != "2" || id != "2" {
			t.Errorf("after the second factor: %v %v", access, id)
		}
		// Now without a page, and for every client.
		for _, f := range []flow{asks("2"), asks("2", "prompt", "none"), newFlow(s.publicClient(t), "acr_values", "2"), asks("1")} {
			if access, id := s.levelOf(t, f, b.send(t, f.request())); access != "2" || id != "2" {
				t.Errorf("with a strong session: %v %v", access, id)
			}
		}
		// By POST, and as a pushed request.
		f = asks("2")
		pushed := f.pushed(t, s)
		s.newBrowser().send(t, pushed).want(200)
		if access, _ := s.levelOf(t, f, b.send(t, f.pushed(t, s))); access != "2" {
			t.Errorf("pushed: %v", access)
		}
	})
}

// Another person than the one who was asked for does not satisfy the request, and a third party gets no code before consent.
func TestACRValuesWithConsentAndOtherPeople(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "bob")
		app := s.plantTOTP(t, "ann")
		f := newFlow(s.publicClient(t, "--third-party"), "acr_values", "2", "scope", "openid")
		b := s.newBrowser()
		page := b.send(t, f.request()).want(200).form()
		consent := b.factor(t, b.submit(t, page, "username", "ann", "password", horse), app).want(200)
		if access, _ := s.levelOf(t, f, b.submit(t, consent.form(), "decision", "allow")); access != "2" {
			t.Errorf("after consent: %v", access)
		}
		// bob signs in where two factors are asked for: the session of ann does not help.
		page = b.send(t, newFlow(f.client, "acr_values", "2", "prompt", "login").request()).want(200).form()
		b.submit(t, page, "username", "bob", "password", horse).refusedWith("unmet_authentication_requirements")
	})
}

// The step-up of RFC 9470 from end to end: a service demands it in its document, the client takes the parameters of the challenge
// to /authorize, and the new token is enough, for its time.
func TestStepUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app := s.plantTOTP(t, "ann")
		s.sql(t, `UPDATE users SET factors = '' WHERE username = 'ann'`) // not required yet: she signs in with the password alone
		guide, err := os.ReadFile("../../docs/guides/step-up.md")
		if err != nil {
			t.Fatal(err)
		}
		operation := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(guide)[1]
		document := "openapi: 3.0.3\ninfo: { title: bank, version: '1' }\npaths:\n" + string(operation) +
			"components: { securitySchemes: { Login: { type: oauth2, flows: { password: { tokenUrl: /token, scopes: { 'me:write': write } } } } } }\n"
		g, err := guard.New(t.Context(), guard.Options{
			OpenAPI: []byte(document), Issuer: s.url, Audience: s.url, Log: slog.New(slog.DiscardHandler), Now: s.clock.now,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		mux := http.NewServeMux()
		var who *guard.Caller
		mux.HandleFunc("POST /transfers", func(w http.ResponseWriter, r *http.Request) {
			who = guard.CallerFrom(r.Context())
			w.WriteHeader(http.StatusNoContent)
		})
		bank := g.Handler(mux)
		transfer := func(tokens api.Token) *httptest.ResponseRecorder {
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/transfers", nil)
			r.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
			bank.ServeHTTP(w, r)
			return w
		}
		client, b := s.publicClient(t), s.newBrowser()
		f := newFlow(client, "scope", "openid me:write")
		tokens := decode[api.Token](s.do(t, f.grant(b.signIn(t, f, "ann"))).want(200))
		s.sql(t, `UPDATE users SET factors = 'totp' WHERE username = 'ann'`)
		s.clock.advance(time.Minute)

		refused := transfer(tokens)
		challenge := refused.Header().Get("WWW-Authenticate")
		asked := regexp.MustCompile(`^Bearer .*error="insufficient_user_authentication".*acr_values="([^"]*)", max_age="(\d+)"$`).FindStringSubmatch(challenge)
		if refused.Code != 401 || asked == nil || !strings.Contains(refused.Body.String(), `"code":"insufficient_user_authentication"`) {
			t.Fatalf("%d %s %s", refused.Code, challenge, refused.Body)
		}
		f = newFlow(client, "scope", "openid me:write", "acr_values", asked[1], "max_age", asked[2])
		page := b.send(t, f.request()).want(200).form()
		stronger := decode[api.Token](s.do(t, f.grant(codeOf(t, b.factor(t, b.submit(t, page, "username", "ann", "password", horse), app)))).want(200))
		if w := transfer(stronger); w.Code != 204 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if at := s.clock.now(); who.ACR != "2" || fmt.Sprint(who.AMR) != "[pwd otp mfa]" || at.Sub(who.AuthTime) > 2*time.Second {
			t.Errorf("the service sees %+v", who)
		}
		if w := transfer(tokens); w.Code != 401 {
			t.Errorf("the old token: %d", w.Code)
		}

		// A refresh renews the token, and not the sign-in.
		s.clock.advance(301 * time.Second)
		refreshed := decode[api.Token](s.do(t, request{method: "POST", path: "/token", form: map[string][]string{
			"grant_type": {"refresh_token"}, "refresh_token": {stronger.RefreshToken}, "client_id": {client.ID},
		}}).want(200))
		if w := transfer(refreshed); w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `max_age="300"`) {
			t.Errorf("after five minutes: %d %s", w.Code, w.Header().Get("WWW-Authenticate"))
		}
		// max_age asks for the sign-in again, though the level is there.
		b.send(t, f.request()).want(200).shows("Sign in")
	})
}

// Introspection says how and when the person has signed in (RFC 9470 §6.2); of a client's own token and of a refresh token it says
// nothing of the kind.
func TestIntrospectionTellsTheSignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		service := s.makeClient(t, "service", "--scope", "users:read")
		weak := s.login(t, "ann")
		app := s.plantTOTP(t, "ann")
		asked := s.clock.now()
		strong := decode[api.Token](s.do(t, passwordGrantWith("ann", horse, app.code())).want(200))
		answered := s.clock.now()
		own := decode[api.Token](s.do(t, service.sends(request{method: "POST", path: "/token", form: map[string][]string{"grant_type": {"client_credentials"}}})).want(200))
		s.clock.advance(time.Minute)
		for name, c := range map[string]struct {
			token, acr, amr string
			signedIn        bool
		}{
			"one factor": {weak.AccessToken, "1", "[pwd]", true}, "two factors": {strong.AccessToken, "2", "[pwd otp mfa]", true},
			"a client": {own.AccessToken, "", "[]", false},
		} {
			found := service.looksUp(t, s, c.token)
			acr := ""
			if found.Acr != nil {
				acr = *found.Acr
			}
			if !found.Active || acr != c.acr || fmt.Sprint(found.Amr) != c.amr || (found.AuthTime != nil) != c.signedIn {
				t.Errorf("%s: %+v", name, found)
			}
			if c.signedIn && name == "two factors" && (*found.AuthTime < asked.Unix() || *found.AuthTime > answered.Unix()) {
				t.Errorf("auth_time is %d, want one from %d to %d", *found.AuthTime, asked.Unix(), answered.Unix())
			}
		}
	})
}

// The sessions of a person say how each was started, over the API and on the page.
func TestSessionsTellTheSignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.login(t, "ann")
		app := s.plantTOTP(t, "ann")
		b := s.newBrowser()
		page := b.lands(t, b.send(t, get("/account")), "/sign-in").want(200)
		b.lands(t, b.factor(t, b.submit(t, page.formWith("", ""), "username", "ann", "password", horse), app), "/account").want(200)
		s.clock.advance(time.Minute)
		tokens := decode[api.Token](s.do(t, passwordGrantWith("ann", horse, app.code())).want(200))
		got := ""
		for _, session := range decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: tokens.AccessToken}).want(200)).Items {
			got += fmt.Sprint(session.Acr, session.Amr, " ")
		}
		if got != "2[pwd otp mfa] 2[pwd otp mfa] 1[pwd] " {
			t.Errorf("the sessions are %s", got)
		}
		list := b.send(t, get("/account/sessions")).want(200)
		if n := strings.Count(string(list.body), "with a second factor"); n != 2 {
			t.Errorf("the page names %d sessions with a second factor\n%s", n, list.body)
		}
	})
}
