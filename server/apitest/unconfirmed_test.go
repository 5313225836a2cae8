package apitest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

const confirmedOnly = "SESAME_SIGN_IN_UNCONFIRMED=off"

// sentBack fails the test unless a request for a token is refused for an account that is not confirmed.
func (a *answer) sentBack(description string) {
	a.t.Helper()
	if got := decode[api.OAuthError](a.want(400, "invalid_grant")).ErrorDescription; !strings.Contains(got, description) {
		a.t.Errorf("the answer is %q", got)
	}
}

// F2, N3: where only confirmed accounts log in, the correct password of another one gets a mail and an explanation, on the page as with
// the password grant. A wrong password gets what it always gets.
func TestOnlyConfirmedAccountsLogIn(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		ann := s.register(t, "ann")
		app, b := s.publicClient(t), s.newBrowser()
		page := b.send(t, newFlow(app).request()).want(200).form()
		old := s.mailedCode(t, post, ownAddress, 1)
		for _, name := range []string{"ann", "nobody"} {
			s.do(t, passwordGrant(name, "wrong")).sentBack("The username or the password is wrong.")
			if a := b.submit(t, page, "username", name, "password", "wrong"); a.status != 422 || strings.Contains(string(a.body), "confirmed") {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		s.do(t, passwordGrant("ann", horse)).sentBack("not confirmed yet") // within the limits of the first mail
		s.clock.advance(time.Hour)
		page = b.send(t, newFlow(app).request()).want(200).form() // the other one is too old
		s.do(t, withScope(passwordGrant("ann", horse), "users:write")).sentBack("not confirmed yet")
		code := s.mailedCode(t, post, ownAddress, 2)
		a := b.submit(t, page, "username", "ann", "password", horse)
		if a.status != 422 || a.header["Set-Cookie"] != nil || !strings.Contains(string(a.body), "not confirmed yet") {
			t.Errorf("%d %v %s", a.status, a.header, a.body)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`); n != "0" {
			t.Errorf("%s sessions were started", n)
		}
		s.do(t, confirmEmail(old)).want(422, "invalid_code")
		s.do(t, confirmEmail(code)).want(204)
		s.login(t, "ann")
		codeOf(t, b.submit(t, page, "username", "ann", "password", horse))
		until(t, "the correct passwords are recorded", func() bool {
			return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'password_accepted' AND user_id = '`+ann.ID+`'`) == "3"
		})
	}, confirmedOnly)
}

// After a sign-up on the page, it asks the person to confirm the address, in their language; afterwards they can sign in.
func TestSigningUpWhereOnlyConfirmedAccountsLogIn(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		b, german := s.newBrowser(), map[string]string{"Accept-Language": "de"}
		form := url.Values{"email": {ownAddress}, "username": {"ann"}, "password": {horse}}
		a := b.send(t, request{method: "POST", path: "/sign-up", form: form, header: german}).want(422)
		a.shows("Ihr Konto ist angelegt. Die E-Mail-Adresse dieses Kontos ist noch nicht bestätigt.")
		if a.header["Set-Cookie"] != nil {
			t.Error("there is a cookie")
		}
		code := s.mailedCode(t, post, ownAddress, 1)
		s.page(t, press(confirmPage, code, horse)).want(200)
		b.lands(t, b.submit(t, b.send(t, get("/sign-in")).formWith("", ""), "username", "ann", "password", horse), "/account")
	}, confirmedOnly)
}

// Each refused login counts as a request for a mail: nobody fills a mailbox with a password that they know.
func TestRefusedLoginsMailWithinTheLimits(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		s.register(t, "ann")
		for range 10 {
			s.do(t, passwordGrant("ann", horse)).sentBack("not confirmed yet")
		}
		code := s.mailedCode(t, post, ownAddress, 1) // there are no others
		s.do(t, confirmEmail(code)).want(204)
		s.login(t, "ann")
	}, confirmedOnly)
}

// An account without an address is not confirmed, or a registration without one would get around the setting. Operators help.
func TestAnAccountWithoutAnAddressIsNotConfirmed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.create(t, map[string]any{"username": "eve", "password": horse}).want(422, "validation_failed").pointsAt("/email")
		s.must(t, horse, "user", "create", "ann")
		s.do(t, passwordGrant("ann", horse)).sentBack("no e-mail address")
		s.do(t, passwordGrant("ann", "wrong")).sentBack("The username or the password is wrong.")
		s.must(t, horse, "user", "create", "root", "--email", "root@example.com", "--email-verified", "--scope", "users:write")
		root := decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "users:write")).want(200)).AccessToken
		id := s.value(t, `SELECT id FROM users WHERE username = 'ann'`)
		s.do(t, request{method: "PATCH", path: "/users/" + id, token: root, json: map[string]any{"email": ownAddress}}).want(200)
		s.do(t, passwordGrant("ann", horse)).sentBack("not confirmed yet")
		s.must(t, "", "user", "verify", "ann")
		s.login(t, "ann")
		s.do(t, request{method: "POST", path: "/users", token: root, json: map[string]any{"username": "bob", "password": horse}}).want(201) // an address can follow
	}, confirmedOnly)
}

// OpenID Connect Core §5.4: the claims of profile and email are at UserInfo. Of them the ID token has those that applications decide
// by, and all where the access token is for another resource, which UserInfo refuses. A refresh has them as they are then.
func TestClaimsAboutThePersonInIDTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.sql(t, `UPDATE users SET full_name = 'Ann Example', user_metadata = '{}' WHERE username = 'ann'`)
		app, b := s.publicClient(t), s.newBrowser()
		b.signIn(t, newFlow(app), "ann")
		const profile, email = "name preferred_username updated_at user_metadata", "email email_verified"
		for scope, c := range map[string]struct{ inIDToken, atUserInfo string }{
			"openid": {}, "openid profile": {"user_metadata", profile}, "openid email": {"email_verified", email},
			"openid profile email": {"email_verified user_metadata", email + " " + profile},
		} {
			f := newFlow(app, "scope", scope)
			tokens := s.tokens(t, codeOf(t, b.send(t, f.request())), f)
			s.hasClaims(t, scope, tokens, c.inIDToken, c.atUserInfo)
			refresh := refreshGrant(tokens.RefreshToken)
			refresh.form.Set("client_id", app.ID)
			s.hasClaims(t, scope+" after a refresh", decode[api.Token](s.do(t, refresh).want(200)), c.inIDToken, c.atUserInfo)

			f = newFlow(app, "scope", scope, "resource", orders)
			tokens = s.tokens(t, codeOf(t, b.send(t, f.request())), f)
			s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(401)
			if got := about(s.idToken(t, tokens.IDToken)); got != c.atUserInfo {
				t.Errorf("%s for another resource: the ID token has %q", scope, got)
			}
		}
		f := newFlow(app, "scope", "openid email")
		tokens := s.tokens(t, codeOf(t, b.send(t, f.request())), f)
		if claims := s.idToken(t, tokens.IDToken); claims["email_verified"] != false {
			t.Errorf("email_verified is %v", claims["email_verified"])
		}
		s.must(t, "", "user", "verify", "ann")
		refresh := refreshGrant(tokens.RefreshToken)
		refresh.form.Set("client_id", app.ID)
		if claims := s.idToken(t, decode[api.Token](s.do(t, refresh).want(200)).IDToken); claims["email_verified"] != true {
			t.Errorf("email_verified is %v", claims["email_verified"])
		}
		s.must(t, horse, "user", "create", "lee")
		other := s.newBrowser()
		s.hasClaims(t, "without an address", s.tokens(t, other.signIn(t, f, "lee"), f), "", "")
	}, withResources)
}
