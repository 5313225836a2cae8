package apitest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/token"
)

// signInHere signs a person in without a client, and returns the page of their account.
func (b *browser) signInHere(t *testing.T, username string) *answer {
	t.Helper()
	page := b.lands(t, b.send(t, get("/account")), "/sign-in").want(200)
	return b.lands(t, b.submit(t, page.formWith("", ""), "username", username, "password", horse), "/account").want(200)
}

// A person changes their name, address and password; the page says what has happened, or what is wrong and where.
func TestAccountPage(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		s.do(t, confirmEmail(s.mailedCode(t, post, "ann@example.com", 1))).want(204)
		s.clock.advance(time.Hour)
		b := s.newBrowser()
		page := b.signInHere(t, "ann").shows("Your address is ann@example.com.")
		page = b.lands(t, b.submit(t, page.formWith("do", "profile"), "full_name", "<b>Ann Example"), "/account").want(200).shows("Your name is saved.")
		page.shows(`value="<b>Ann Example"`)
		a := b.submit(t, page.formWith("do", "profile"), "full_name", strings.Repeat("x", 201)).want(422).shows("The name must have at most 200 characters.")
		b.submit(t, a.formWith("do", "profile"), "full_name", "https://evil.example").want(422).shows(`<p id="full_name-fault" role="alert">`)
		b.submit(t, page.formWith("do", "email"), "email", "a@example.com", "password", wrong).want(422).shows(`<p id="password-fault" role="alert">This is not your password.`)
		b.submit(t, page.formWith("do", "email"), "email", "nobody", "password", horse).want(422).shows("The address must be an e-mail address.")
		b.submit(t, page.formWith("do", "email"), "email", " ", "password", horse).want(422).shows("Enter your e-mail address.")
		b.lands(t, b.submit(t, page.formWith("do", "email"), "email", "annie@example.com", "password", horse), "/account").shows("We have sent a mail to the new address.")
		confirm := b.send(t, open(confirmPage, s.mailedCode(t, post, "annie@example.com", 1))).want(200)
		b.submit(t, confirm.formWith("", ""), "password", horse).want(200).shows("Your address is confirmed")
		page = b.send(t, get("/account")).want(200).shows("Your address is annie@example.com.")
		const next = "a bigger wooden horse"
		other := s.login(t, "ann")
		b.submit(t, page.formWith("do", "password"), "current_password", wrong, "new_password", next).want(422).shows(`<p id="current_password-fault" role="alert">This is not your password.`)
		b.submit(t, page.formWith("do", "password"), "current_password", horse, "new_password", "short").want(422).shows(`<p id="new_password-fault" role="alert">`)
		b.submit(t, page.formWith("do", "password"), "current_password", horse, "new_password", horse).want(422).shows("The password is the current password.")
		b.lands(t, b.submit(t, page.formWith("do", "password"), "current_password", horse, "new_password", next), "/account").want(200).shows("Your password is changed.")
		s.do(t, request{method: "GET", path: "/users/me", token: other.AccessToken}).want(401)
		s.do(t, passwordGrant("ann", next)).want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'password_changed' AND client_id = 'browser' AND actor = user_id`); n != "1" {
			t.Errorf("%s events say who has changed the password", n)
		}
	})
}

// What is not confirmed can be asked for again.
func TestAccountPageOfAnUnconfirmedAddress(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		s.mailsTo(t, post, "ann@example.com", 1)
		s.clock.advance(time.Hour)
		b := s.newBrowser()
		page := b.signInHere(t, "ann").shows("It is not confirmed yet.")
		b.lands(t, b.submit(t, page.formWith("do", "verify")), "/account").shows("We have sent a mail to your address.")
		s.mailsTo(t, post, "ann@example.com", 2)
	})
}

// A person sees their sessions, ends one, and ends all others in one press; the session of this browser, and what was signed in
// to with it, stay.
func TestSessionsPage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		bob := s.register(t, "bob")
		f := newFlow(s.publicClient(t))
		b, other := s.newBrowser(), s.newBrowser()
		b.signInHere(t, "ann")
		own := decode[api.Token](s.do(t, f.grant(codeOf(t, b.send(t, f.request())))).want(200))
		other.signInHere(t, "ann")
		g := newFlow(f.client)
		others := decode[api.Token](s.do(t, g.grant(codeOf(t, other.send(t, g.request())))).want(200))
		first, second := s.login(t, "ann"), s.login(t, "ann")
		alive := func(access string) bool {
			return s.do(t, request{method: "GET", path: "/userinfo", token: access}).status == 200
		}
		page := b.send(t, get("/account/sessions")).want(200).shows("this browser").shows("Signed in on this website").shows("app ")
		sessions := func() string { return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`) }
		if sessions() != "6" {
			t.Fatalf("there are %s sessions", sessions())
		}
		id := s.value(t, `SELECT MAX(id) FROM sessions WHERE client_id = '`+token.FirstParty+`'`)
		b.lands(t, b.submit(t, page.formWith("session", id)), "/account/sessions").want(200).shows("The session is ended.")
		b.lands(t, b.submit(t, page.formWith("session", id)), "/account/sessions").want(200) // again
		if s.do(t, request{method: "GET", path: "/users/me", token: second.AccessToken}).status != 401 || s.do(t, request{method: "GET", path: "/users/me", token: first.AccessToken}).status != 200 {
			t.Error("another session has ended than the one that was chosen")
		}
		// Not the session of another person.
		s.do(t, passwordGrant("bob", horse)).want(200)
		foreign := s.value(t, `SELECT id FROM sessions WHERE user_id = '`+bob.ID+`'`)
		b.send(t, request{method: "POST", path: "/account/sessions", form: url.Values{"session": {foreign}}}).want(303)
		b.lands(t, b.submit(t, page.formWith("do", "others")), "/account/sessions").want(200).shows("Every other session is ended.")
		if left := sessions(); left != "3" { // the browser, its client, and bob's
			t.Errorf("%s sessions are left", left)
		}
		if !alive(own.AccessToken) || alive(others.AccessToken) {
			t.Error("the sessions of this browser must stay, and those of the other one must end")
		}
		other.lands(t, other.send(t, get("/account")), "/sign-in")
	})
}

// A person withdraws what they have allowed: the sessions with the client end, a code that is under way starts none, and the next
// request asks again.
func TestApplicationsPage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		client := s.publicClient(t, "--third-party")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		b.send(t, get("/account/applications")).want(200).shows("You have not allowed any application")
		f, late := newFlow(client), newFlow(client)
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.submit(t, b.send(t, f.request()).want(200).formWith("", ""), "decision", "allow")))).want(200))
		code := codeOf(t, b.send(t, late.request()))
		mine := s.login(t, "ann")
		page := b.send(t, get("/account/applications")).want(200).shows("app ").shows("Know your e-mail address")
		b.lands(t, b.submit(t, page.formWith("client", client.ID)), "/account/applications").want(200).shows("The application has lost its access.").shows("You have not allowed")
		b.lands(t, b.submit(t, page.formWith("client", client.ID)), "/account/applications").want(200) // again
		s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(401)
		refresh := refreshGrant(tokens.RefreshToken)
		refresh.form.Set("client_id", client.ID)
		s.do(t, refresh).want(400)
		s.do(t, late.grant(code)).want(400, "invalid_grant")
		s.do(t, request{method: "GET", path: "/users/me", token: mine.AccessToken}).want(200)
		b.send(t, newFlow(client).request()).want(200).shows("would like to:")
		silent := newFlow(client, "prompt", "none")
		if got := b.send(t, silent.request()).sentTo(callback).Get("error"); got != "consent_required" {
			t.Errorf("without a page the client gets %q", got)
		}
	})
}

// The events of an account, and of no other, on pages that are small.
func TestEventsPage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.register(t, "bob")
		for range 30 {
			s.login(t, "ann")
		}
		b := s.newBrowser()
		b.signInHere(t, "ann")
		page := b.send(t, get("/account/events")).want(200).shows("Signed in")
		if n := strings.Count(string(page.body), "<li>"); n != 25 {
			t.Errorf("the page has %d entries", n)
		}
		older := b.follow(t, page, "Older events").want(200).shows("Account created")
		if n := strings.Count(string(older.body), "<li>"); n != 7 {
			t.Errorf("the second page has %d entries", n)
		}
		sessions := b.send(t, get("/account/sessions")).want(200).shows("There are <bdi>6</bdi> more")
		for _, a := range []*answer{page, older, sessions} {
			if len(a.body) > 30_000 {
				t.Errorf("a page has %d bytes", len(a.body))
			}
		}
		b.send(t, get("/account/events?cursor=x")).want(400)
	})
}

// An account is deleted with its password, however long ago the person signed in.
func TestDeletionPage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		page := b.follow(t, b.signInHere(t, "ann"), "Delete the account").want(200).shows("account <bdi>ann</bdi>")
		s.clock.advance(time.Hour)
		b.submit(t, page.formWith("", ""), "password", wrong).want(422).shows(`<p id="password-fault" role="alert">This is not your password.`)
		b.submit(t, page.formWith("", "")).want(422)
		b.submit(t, page.formWith("", ""), "password", horse).want(200).shows("Your account is deleted")
		if b.cookie != "" || s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`) != "0" {
			t.Error("the account or the cookie is still there")
		}
	})
}

// Wrong passwords on the pages of the account are throttled as those of the operations are, in the same count.
func TestPasswordsOnAccountPagesAreThrottled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.clock.stop()
		b := s.newBrowser()
		page := b.signInHere(t, "ann")
		forms := []webPage{page.formWith("do", "email"), page.formWith("do", "password"), b.send(t, get("/account/delete")).formWith("", "")}
		for i := range 8 {
			a := b.submit(t, forms[i%3], "email", "eve@example.com", "password", wrong, "current_password", wrong, "new_password", "a bigger wooden horse")
			if want := map[bool]int{true: 422, false: 429}[i < 5]; i != 5 && a.status != want {
				t.Errorf("attempt %d is answered %d, not %d", i, a.status, want)
			}
		}
		a := b.submit(t, forms[2], "password", horse).want(429).shows("There were too many attempts.")
		if a.header.Get("Retry-After") == "" {
			t.Error("there is no Retry-After")
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'wrong_password' AND client_id = 'browser'`); n != "5" && n != "6" {
			t.Errorf("%s events", n)
		}
	})
}
