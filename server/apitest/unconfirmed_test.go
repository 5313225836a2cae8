package apitest

import (
	"fmt"
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

// OpenID Connect Core §5.4: the claims of profile and email are in the ID token as at /userinfo, since an access token for another
// resource cannot read that; without the scopes they are in neither. A refresh has them as they are then.
func TestClaimsAboutThePersonInIDTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		app, b := s.publicClient(t), s.newBrowser()
		b.signIn(t, newFlow(app), "ann")
		all := []string{"preferred_username", "name", "updated_at", "email", "email_verified"}
		for scope, has := range map[string]map[string]any{
			"openid": {}, "openid profile": {"preferred_username": "ann"}, "openid email": {"email": ownAddress, "email_verified": false},
			"openid profile email": {"preferred_username": "ann", "email": ownAddress, "email_verified": false},
		} {
			f := newFlow(app, "scope", scope)
			tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.send(t, f.request())))).want(200))
			refresh := refreshGrant(tokens.RefreshToken)
			refresh.form.Set("client_id", app.ID)
			for _, text := range []string{tokens.IDToken, decode[api.Token](s.do(t, refresh).want(200)).IDToken} {
				claims := s.idToken(t, text)
				for _, name := range all {
					if name == "updated_at" {
						if _, ok := claims[name]; ok != strings.Contains(scope, "profile") {
							t.Errorf("%s: %v", scope, claims)
						}
					} else if claims[name] != has[name] {
						t.Errorf("%s: %s is %v, not %v", scope, name, claims[name], has[name])
					}
				}
			}
		}
		f := newFlow(app, "scope", "openid email")
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.send(t, f.request())))).want(200))
		s.must(t, "", "user", "verify", "ann")
		refresh := refreshGrant(tokens.RefreshToken)
		refresh.form.Set("client_id", app.ID)
		if claims := s.idToken(t, decode[api.Token](s.do(t, refresh).want(200)).IDToken); claims["email_verified"] != true {
			t.Errorf("email_verified is %v", claims["email_verified"])
		}
		s.sql(t, `UPDATE users SET user_metadata = '{"plan":"paid"}' WHERE username = 'ann'`)
		for scope, want := range map[string]string{"openid": "<nil>", "openid profile": "map[plan:paid]"} {
			f := newFlow(app, "scope", scope)
			tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.send(t, f.request())))).want(200))
			if got := fmt.Sprint(s.idToken(t, tokens.IDToken)["user_metadata"]); got != want {
				t.Errorf("%s: user_metadata is %s", scope, got)
			}
		}
		s.must(t, horse, "user", "create", "lee")
		other := s.newBrowser()
		tokens = decode[api.Token](s.do(t, f.grant(other.signIn(t, f, "lee"))).want(200))
		if claims := s.idToken(t, tokens.IDToken); claims["email"] != nil || claims["email_verified"] != nil {
			t.Errorf("without an address: %v", claims)
		}
	})
}
