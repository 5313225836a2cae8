package apitest

import (
	"encoding/base32"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

var (
	shownSecret = regexp.MustCompile(`<code>([A-Z2-7 ]{32,})</code>`)
	shownCode   = regexp.MustCompile(`<code>([A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})</code>`)
)

// app is the authenticator app of a person who scans the page of a set-up.
func (a *answer) app(s *server) totp {
	a.t.Helper()
	found := shownSecret.FindSubmatch(a.body)
	if found == nil {
		a.t.Fatalf("%d: the page shows no secret: %s%s", a.status, a.header.Get("Location"), a.body)
	}
	shared, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(string(found[1]), " ", ""))
	if err != nil {
		a.t.Fatal(err)
	}
	return totp{s, shared}
}

// recoveryCodes are those that a page shows.
func (a *answer) recoveryCodes() (codes []string) {
	for _, found := range shownCode.FindAllSubmatch(a.body, -1) {
		codes = append(codes, string(found[1]))
	}
	return codes
}

// A person sets up an authenticator app on the pages, gets recovery codes once, renames and removes it.
func TestPagesOfFactors(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		account := b.signInHere(t, "ann")
		other := s.login(t, "ann")
		page := b.follow(t, account, "Second factors").want(200).shows("You sign in with your password alone.")
		setup := b.follow(t, page, "Set up an authenticator app").want(200)
		if policy := setup.header.Get("Content-Security-Policy"); strings.Contains(policy, "script") || !strings.Contains(string(setup.body), `<svg xmlns="http://www.w3.org/2000/svg"`) {
			t.Errorf("the policy is %s, the page %s", policy, setup.body)
		}
		app, secret := setup.app(s), shownSecret.FindString(string(setup.body))
		refused := b.submit(t, setup.formWith("", ""), "code", app.wrongCode(), "name", "<b>Phone").want(422).shows("Enter the one that the app shows now")
		if again := shownSecret.FindString(string(refused.body)); again != secret {
			t.Error("a wrong code shows another secret")
		}
		refused.shows("<b>Phone")
		b.submit(t, refused.formWith("", ""), "code", app.code(), "name", "http://evil").want(422).shows("The name must not contain")
		codes := b.submit(t, refused.formWith("", ""), "code", app.code(), "name", "<b>Phone", "others", "yes").want(200).shows("Your recovery codes")
		if n := len(codes.recoveryCodes()); n != 10 {
			t.Errorf("the page shows %d recovery codes", n)
		}
		s.do(t, refreshGrant(other.RefreshToken)).want(400)
		list := b.follow(t, codes, "I have kept the codes").want(200).shows("Recovery codes left: <bdi>10</bdi>.").shows("<b>Phone")
		id := s.value(t, `SELECT id FROM factors`)
		factor := b.lands(t, b.submit(t, list.formWith("factor", id)), "/account/factor").want(200)
		b.submit(t, factor.formWith("do", "rename"), "name", " ").want(422).shows("The name must not be empty.")
		list = b.lands(t, b.submit(t, factor.formWith("do", "rename"), "name", "Phone"), "/account/security").want(200).shows("The name is saved.")
		next := b.submit(t, webPage{answer: list, action: "/account/recovery-codes", fields: nil}.empty()).want(200).recoveryCodes()
		if len(next) != 10 || next[0] == codes.recoveryCodes()[0] {
			t.Errorf("the new codes are %v", next)
		}
		b.lands(t, b.submit(t, factor.formWith("do", "remove")), "/account/security").want(200).shows("The second factor is removed.").shows("You sign in with your password alone.")
		b.lands(t, b.send(t, get("/account/factor?factor="+id)), "/account/security").want(200)
		events := string(b.send(t, get("/account/events")).want(200).body)
		for _, event := range []string{"Second factor added", "Second factor removed", "New recovery codes", "Signed out everywhere"} {
			if !strings.Contains(events, event) {
				t.Errorf("the page of events lacks %q", event)
			}
		}
	})
}

// empty is a page whose form has no fields.
func (p webPage) empty() webPage {
	p.fields = map[string][]string{}
	return p
}

// F4, F10: after ten minutes the pages ask a person to sign in again, with the second factor, and lead back. A page that only shows
// does not ask.
func TestPagesAskForAFreshLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		setup := b.send(t, get("/account/authenticator")).want(200)
		app := setup.app(s)
		stolen := b.cookie
		b.submit(t, setup.formWith("", ""), "code", app.code(), "name", "Phone").want(200)
		thief := s.newBrowser()
		thief.cookie = stolen // the session has gained a second factor, and the old cookie has not
		thief.lands(t, thief.send(t, get("/account/security")), "/sign-in").want(200)
		old := b.cookie
		s.clock.advance(11 * time.Minute)
		b.send(t, get("/account/security")).want(200)
		for _, path := range []string{"/account/authenticator", "/account/factor?factor=" + s.value(t, `SELECT id FROM factors`)} {
			again := b.lands(t, b.send(t, get(path)), "/sign-in").want(200).shows("Sign in again, before you change how you sign in.").shows(`value="ann"`)
			page := b.submit(t, again.formWith("", ""), "username", "ann", "password", horse).want(200).shows("Second factor")
			s.clock.advance(31 * time.Second)
			want, _, _ := strings.Cut(path, "?")
			if want == "/account/factor" {
				want = "/account/security"
			}
			b.lands(t, b.submit(t, page.formWith("", ""), "code", app.code()), want).want(200)
			s.clock.advance(11 * time.Minute)
		}
		if b.cookie == old {
			t.Error("the session of the browser is the old one")
		}
		for _, path := range []string{"/account/recovery-codes", "/account/factor", "/account/authenticator"} {
			b.lands(t, b.send(t, request{method: "POST", path: path, form: map[string][]string{"do": {"remove"}, "factor": {s.value(t, `SELECT id FROM factors`)}}}), "/sign-in").want(200)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM factors`); n != "1" {
			t.Errorf("there are %s factors", n)
		}
	})
}

// A sign-in with a recovery code says how many are left, and goes on.
func TestPagesTakeARecoveryCode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, added := s.enroll(t, s.newcomer(t, "ann").AccessToken)
		b, f := s.newBrowser(), newFlow(s.publicClient(t), "scope", "openid")
		page := b.submit(t, b.send(t, f.request()).want(200).form(), "username", "ann", "password", horse).want(200)
		used := b.submit(t, page.form(), "code", added.RecoveryCodes[0]).want(200).shows("Recovery codes left: <bdi>9</bdi>.")
		decode[api.Token](s.do(t, f.grant(codeOf(t, b.follow(t, used, "Continue")))).want(200))
	})
}
