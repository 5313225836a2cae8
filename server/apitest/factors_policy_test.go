package apitest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

const day = 24 * time.Hour

// F1, F2: after the grace, somebody who must have a second factor gets no session without one: the password grant is refused and
// names the page, and the sign-in on the pages leads to the set-up, before there is a session.
func TestASecondFactorIsRequired(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.do(t, passwordGrant("ann", horse)).want(200)
		s.clock.advance(2*day + time.Second)
		refused := s.do(t, passwordGrant("ann", horse)).want(400, "mfa_enrollment_required")
		if description := decode[api.OAuthError](refused).ErrorDescription; !strings.Contains(description, s.url+"/sign-in") {
			t.Errorf("the description is %s", description)
		}
		s.do(t, passwordGrant("ann", wrong)).want(400, "invalid_grant")
		s.do(t, passwordGrantWith("ann", horse, "123456")).want(400, "mfa_enrollment_required")
		b, other, f := s.newBrowser(), s.newBrowser(), newFlow(s.publicClient(t), "scope", "openid")
		page := b.submit(t, b.send(t, f.request()).want(200).form(), "username", "ann", "password", horse).want(200).shows("This account needs a second factor.")
		app := page.app(s)
		if sessions := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions WHERE client_id = 'browser'`); sessions != "0" || b.cookie != "" {
			t.Fatalf("%s sessions after the password", sessions)
		}
		other.submit(t, page.form(), "code", app.code(), "name", "Phone").want(422).shows("took too long")
		page = b.submit(t, page.form(), "code", app.wrongCode(), "name", "Phone").want(422).shows("Enter the one that the app shows now")
		codes := b.submit(t, page.form(), "code", app.code(), "name", "Phone").want(200).shows("Your recovery codes")
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.follow(t, codes, "I have kept the codes")))).want(200))
		if claims := s.idToken(t, tokens.IDToken); claims["acr"] != "2" || fmt.Sprint(claims["amr"]) != "[pwd otp mfa]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
		app.loginWith(t, "ann")
		s.do(t, passwordGrantWith("ann", horse, codes.recoveryCodes()[0])).want(200)
	}, "SESAME_REQUIRE_SECOND_FACTOR=everybody", "SESAME_SECOND_FACTOR_GRACE=48h")
}

// Of two sign-ins that set up a factor at once, the second one needs the factor of the first.
func TestTwoSignInsThatSetUpAFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.clock.advance(8 * day)
		signIn := func() (*browser, *answer) {
			b := s.newBrowser()
			page := b.lands(t, b.send(t, get("/account")), "/sign-in").want(200)
			return b, b.submit(t, page.formWith("", ""), "username", "ann", "password", horse).want(200)
		}
		owner, first := signIn()
		thief, second := signIn()
		owner.submit(t, first.form(), "code", first.app(s).code(), "name", "Phone").want(200).shows("Your recovery codes")
		third := thief.submit(t, second.form(), "code", second.app(s).code(), "name", "Phone").want(200).shows("Second factor")
		if thief.cookie != "" || s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM factors`) != "1" {
			t.Error("the second sign-in has a session, or a factor")
		}
		s.clock.advance(time.Minute)
		thief.submit(t, third.form(), "code", second.app(s).code()).want(422)
		thief.lands(t, thief.submit(t, third.form(), "code", first.app(s).code()), "/account").want(200)
	}, "SESAME_REQUIRE_SECOND_FACTOR=everybody")
}

// Within the grace the pages offer the set-up, and a person may go on without it.
func TestTheGraceOfTheSecondFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t)
		f, b := newFlow(client, "scope", "openid"), s.newBrowser()
		page := b.submit(t, b.send(t, f.request()).want(200).form(), "username", "ann", "password", horse).want(200).shows("Not now")
		decode[api.Token](s.do(t, f.grant(codeOf(t, b.follow(t, page, "Not now")))).want(200))
		for name, elsewhere := range map[string]*browser{"another session": s.newBrowser(), "no session": s.newBrowser()} { // the link works in its own
			if name == "another session" {
				elsewhere.submit(t, elsewhere.send(t, get("/sign-in")).want(200).formWith("", ""), "username", "ann", "password", horse).want(200)
			}
			if a := elsewhere.follow(t, page, "Not now"); a.status == 200 || strings.Contains(a.header.Get("Location"), "code=") {
				t.Errorf("%s: %d %s", name, a.status, a.header.Get("Location"))
			}
		}
		b.send(t, get("/account/security")).want(200).shows("you need a second factor to sign in")
		app := page.app(s)
		page = b.submit(t, page.form(), "code", app.wrongCode(), "name", "Phone").want(422).shows("Not now")
		codes := b.submit(t, page.form(), "code", app.code(), "name", "Phone").want(200).shows("Your recovery codes")
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.follow(t, codes, "I have kept the codes")))).want(200))
		if claims := s.accessClaims(t, tokens); claims["acr"] != "2" {
			t.Errorf("acr %v", claims["acr"])
		}
		// The session of a browser ends with the grace: an application would otherwise get sessions from it.
		s.register(t, "bob")
		lazy := s.newBrowser()
		lazy.submit(t, lazy.send(t, f.request()).want(200).form(), "username", "bob", "password", horse).want(200)
		decode[api.Token](s.do(t, newFlow(client).grantAfter(t, lazy)).want(200))
		s.clock.advance(6*day + 23*time.Hour)
		lazy.send(t, get("/account")).want(200)
		s.clock.advance(time.Hour)
		lazy.lands(t, lazy.send(t, get("/account")), "/sign-in").want(200)
		lazy.send(t, newFlow(client).request()).want(200).shows("Password")
	}, "SESAME_REQUIRE_SECOND_FACTOR=everybody")
}

// grantAfter is the token request after an authorization request of a person who is signed in.
func (f flow) grantAfter(t *testing.T, b *browser) request {
	t.Helper()
	return f.grant(codeOf(t, b.send(t, f.request())))
}

// F1: administrators alone must have a second factor. After the grace a session without one has no scope of administrators, neither
// here nor in the tokens that other services verify; the grace of a new administrator begins with the grant.
func TestAdministratorsNeedASecondFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		_, root := s.administrator(t, "root")
		tokens := decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "me:read me:write users:read users:write")).want(200))
		s.do(t, request{method: "GET", path: "/users", token: root}).want(200)
		s.clock.advance(7*day - time.Minute)
		tokens = decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		s.do(t, request{method: "GET", path: "/users", token: tokens.AccessToken}).want(200)
		s.clock.advance(2 * time.Minute)
		s.do(t, request{method: "GET", path: "/users", token: tokens.AccessToken}).want(403, "insufficient_scope")
		s.do(t, request{method: "GET", path: "/users/me", token: tokens.AccessToken}).want(200)
		tokens = decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		if claims := s.accessClaims(t, tokens); claims["scope"] != "me:read me:write" {
			t.Errorf("the scopes are %v", claims["scope"])
		}
		s.do(t, passwordGrant("root", horse)).want(400, "mfa_enrollment_required")
		s.do(t, passwordGrant("ann", horse)).want(200)
		app := s.plantTOTP(t, "root")
		strong := withScope(passwordGrantWith("root", horse, app.code()), "me:read users:read users:write")
		root = decode[api.Token](s.do(t, strong).want(200)).AccessToken
		ann := s.value(t, `SELECT id FROM users WHERE username = 'ann'`)
		s.change(t, root, ann, map[string]any{"scopes": []string{"users:read"}}).want(200)
		s.do(t, passwordGrant("ann", horse)).want(200)
		s.clock.advance(7 * day)
		s.do(t, passwordGrant("ann", horse)).want(400, "mfa_enrollment_required")
	}, "SESAME_REQUIRE_SECOND_FACTOR=administrators", "SESAME_REFRESH_IDLE_TTL=700h")
}

// The grace of accounts that are older than the setting begins at the first start with it, also on another replica, and after a
// restart; without the setting nobody needs a second factor.
func TestTheGraceBeginsWithTheSetting(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			testGraceOfSetting(t, databaseURL(t))
		})
	}
}

func testGraceOfSetting(t *testing.T, url string) {
	t.Helper()
	required := []string{"SESAME_REQUIRE_SECOND_FACTOR=everybody"}
	s := start(t, url)
	s.register(t, "ann")
	s.sql(t, `UPDATE users SET created_at = 1`)
	s.stop()
	s = start(t, url, required...)
	s.do(t, passwordGrant("ann", horse)).want(200)
	s.stop()
	s.sql(t, fmt.Sprintf(`UPDATE factor_policies SET since = since - %d`, (8*day).Microseconds()))
	s = start(t, url, required...)
	s.do(t, passwordGrant("ann", horse)).want(400, "mfa_enrollment_required")
	s.stop()
	s = start(t, url)
	s.do(t, passwordGrant("ann", horse)).want(200)
	s.stop()
	s = start(t, url, required...)
	s.do(t, passwordGrant("ann", horse)).want(200)
}

// F2: a mailed link, and a provider, lead to the set-up as a password does.
func TestEveryWayToSignInLeadsToTheSetUp(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "bob")
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		finish := func(b *browser, page *answer) {
			t.Helper()
			page.want(200).shows("This account needs a second factor.")
			if b.cookie != "" {
				t.Error("there is a session before the second factor")
			}
			app := page.app(s)
			b.submit(t, page.form(), "code", app.code(), "name", "Phone").want(200).shows("Your recovery codes")
			b.send(t, get("/account")).want(200)
		}
		atProvider := s.newBrowser()
		finish(atProvider, atProvider.lands(t, atProvider.signsIn(t, i), "/second-factor"))
		byLink := s.newBrowser()
		byLink.asksForLink(t, newFlow(s.publicClient(t)), "bob@example.com").want(200)
		_, code := linkIn(t, s.mailsTo(t, post, "bob@example.com", 1)[0])
		finish(byLink, byLink.submit(t, byLink.openLink(t, code).want(200).form()))
	}, "SESAME_REQUIRE_SECOND_FACTOR=everybody", "SESAME_SECOND_FACTOR_GRACE=0", magicLinks, privateProviders)
}
