package apitest

import (
	"html"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

var (
	formElement = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	inputTag    = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	attribute   = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
)

// formWith returns the form of a page that has a hidden field or a button with a value; "" for the first form.
func (a *answer) formWith(name, value string) webPage {
	a.t.Helper()
	for _, found := range formElement.FindAllSubmatch(a.body, -1) {
		p := webPage{answer: a, action: path.Join("/", html.UnescapeString(string(found[1]))), fields: url.Values{}}
		matches := name == ""
		for _, tag := range inputTag.FindAll(found[2], -1) {
			attributes := map[string]string{}
			for _, pair := range attribute.FindAllSubmatch(tag, -1) {
				attributes[string(pair[1])] = html.UnescapeString(string(pair[2]))
			}
			matches = matches || attributes["name"] == name && attributes["value"] == value
			if attributes["type"] == "hidden" {
				p.fields.Set(attributes["name"], attributes["value"])
			}
		}
		if matches {
			return p
		}
	}
	a.t.Fatalf("%d: the page has no form with %s=%s: %s%s", a.status, name, value, a.header.Get("Location"), a.body)
	return webPage{}
}

// follow opens the address of a link with a text.
func (b *browser) follow(t *testing.T, a *answer, text string) *answer {
	t.Helper()
	found := regexp.MustCompile(`<a href="([^"]*)">` + regexp.QuoteMeta(text) + `</a>`).FindSubmatch(a.body)
	if found == nil {
		t.Fatalf("the page has no link %q\n%s", text, a.body)
	}
	address := html.UnescapeString(string(found[1]))
	for strings.HasPrefix(address, "../") {
		address = address[len("../"):]
	}
	return b.send(t, request{method: "GET", path: "/" + address})
}

// lands fails the test unless the browser is sent to a page of the server, and opens it.
func (b *browser) lands(t *testing.T, a *answer, page string) *answer {
	t.Helper()
	at, ok := strings.CutPrefix(a.want(303).header.Get("Location"), b.s.url)
	if where, _, _ := strings.Cut(at, "?"); !ok || where != page {
		t.Fatalf("the browser is sent to %s, not to %s", a.header.Get("Location"), page)
	}
	return b.send(t, request{method: "GET", path: at})
}

// A person makes an account on the way to a client, with an address and a password, and comes to the client.
func TestSignUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		client := s.publicClient(t)
		third := s.publicClient(t, "--third-party")
		for username, f := range map[string]flow{
			"ann": newFlow(client), "bea": newFlow(client, "prompt", "create"), "cleo": newFlow(third, "prompt", "create"),
		} {
			b := s.newBrowser()
			page := b.send(t, f.request()).want(200)
			if f.query.Get("prompt") == "" {
				page = b.follow(t, page, "Create an account").want(200)
			}
			page.shows("At least 8 characters").shows("To go on to")
			a := b.submit(t, page.formWith("", ""), "email", username+"@example.com", "password", horse)
			if f.client.ID == third.ID {
				a = b.submit(t, a.want(200).shows("You are signed in as <bdi>"+username).formWith("", ""), "decision", "allow")
			}
			tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200))
			info := decode[api.UserInfo](s.do(t, request{method: "GET", path: "/userinfo", token: tokens.AccessToken}).want(200))
			if *info.PreferredUsername != username || *info.Email != username+"@example.com" || *info.EmailVerified {
				t.Errorf("%s has become %+v", username, info)
			}
		}
	})
}

// A person who is asked to make an account can sign in to one in place of that, and is not asked again.
func TestSignUpOrSignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b, f := s.newBrowser(), newFlow(s.publicClient(t), "prompt", "create")
		b.signIn(t, newFlow(f.client), "ann")
		page := b.send(t, f.request()).want(200).shows("Create the account")
		page = b.follow(t, page, "Sign in to an account that you have").want(200)
		codeOf(t, b.submit(t, page.formWith("", ""), "username", "ann", "password", horse))
		silent := newFlow(f.client, "prompt", "none create")
		if got := b.send(t, silent.request()).sentTo(callback).Get("error"); got != "invalid_request" {
			t.Errorf("prompt=none create is answered %q", got)
		}
	})
}

// The username is made from the address where it can be one, and is readable; no two accounts have the same.
func TestUsernamesThatAreMade(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for address, want := range map[string]string{
			"Bea.Smith@example.com": `bea\.smith`, "cleo+shop@example.com": `cleo`, "ann@example.com": `ann-[a-z2-7]{6}`,
			"admin@example.com": `user(-[a-z2-7]{6})?`, "a/b@example.com": `user(-[a-z2-7]{6})?`, strings.Repeat("x", 60) + "@example.com": `user(-[a-z2-7]{6})?`,
		} {
			b := s.newBrowser()
			page := b.lands(t, b.submit(t, b.send(t, get("/sign-up")).want(200).formWith("", ""), "email", address, "password", horse), "/account")
			if !regexp.MustCompile(`You are signed in as <bdi>` + want + `</bdi>`).Match(page.want(200).body) {
				t.Errorf("the username for %s is not like %s\n%s", address, want, page.body)
			}
		}
		// A chosen one is kept.
		b := s.newBrowser()
		b.lands(t, b.submit(t, b.send(t, get("/sign-up")).formWith("", ""), "email", "d@example.com", "username", "Dora", "password", horse), "/account").shows("as <bdi>Dora</bdi>")
	})
}

// Every fault is shown at its field, which keeps what was entered; a password is never repeated.
func TestSignUpFaults(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		page := b.send(t, get("/sign-up")).want(200)
		for _, refused := range []struct{ email, username, password, field, text string }{
			{"", "", horse, "email", "Enter your e-mail address."},
			{"nobody", "", horse, "email", "The address must be an e-mail address."},
			{"\xff@example.com", "", horse, "email", "The address must be an e-mail address."},
			{"bea@example.com", "", "short", "password", "The password must have at least 8 characters."},
			{"bea.smith@example.com", "", "bea-smith-1", "password", "consists of the username"},
			{"bea@example.com", "ann", horse, "username", "The username is taken."},
			{"bea@example.com", "admin", horse, "username", "The username is reserved"},
			{"bea@example.com", "a@b", horse, "username", "The username must be letters"},
		} {
			a := b.submit(t, page.formWith("", ""), "email", refused.email, "username", refused.username, "password", refused.password)
			if a.status != 422 && a.status != 409 {
				t.Errorf("%+v is answered %d", refused, a.status)
			}
			a.shows(`<p id="` + refused.field + `-fault" role="alert">`).shows(refused.text).shows("<title>Error: ")
			if !regexp.MustCompile(`id="` + refused.field + `"[^>]*aria-invalid="true" aria-describedby="` + refused.field + `-fault`).Match(a.body) {
				t.Errorf("the fault is not tied to %s\n%s", refused.field, a.body)
			}
			if strings.Contains(string(a.body), refused.password) || b.cookie != "" {
				t.Errorf("%+v: the page repeats the password, or the browser has a cookie", refused)
			}
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "1" {
			t.Errorf("there are %s accounts", n)
		}
	})
}

// L3: a person who signs up learns nothing of whether others have the address: the answers and the rows are the same.
func TestSignUpDoesNotTellWhoHasAnAddress(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		seen := map[string]bool{}
		for _, address := range []string{"ann@example.com", "nobody@example.com"} {
			b := s.newBrowser()
			s.clock.advance(2 * time.Hour)
			before := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes`)
			page := b.send(t, get("/sign-up")).want(200).formWith("", "")
			username := "x" + address[:3]
			page = b.lands(t, b.submit(t, page, "email", address, "username", username, "password", horse), "/account").want(200).formWith("", "")
			text := strings.NewReplacer(address, "ADDRESS", username, "NAME").Replace(string(page.body))
			seen[text] = true
			if after := s.value(t, `SELECT CAST(COUNT(*) - 1 AS TEXT) FROM one_time_codes`); after != before {
				t.Errorf("%s leaves %s codes behind, and %s before", address, after, before)
			}
		}
		if len(seen) != 1 {
			t.Errorf("the pages differ: %v", seen)
		}
	})
}

// Closed registration is said plainly, and the sign-in page offers none.
func TestSignUpWhileRegistrationIsClosed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		b, f := s.newBrowser(), newFlow(s.publicClient(t), "prompt", "create")
		page := b.send(t, f.request()).want(200).shows("Registration is closed.")
		if a := b.follow(t, page, "Sign in to an account that you have").want(200); strings.Contains(string(a.body), "Create an account") {
			t.Errorf("the page offers an account\n%s", a.body)
		}
		b.send(t, get("/sign-up")).want(200).shows("Registration is closed.")
		form := url.Values{"email": {"ann@example.com"}, "password": {horse}}
		b.send(t, request{method: "POST", path: "/sign-up", form: form}).want(403).shows("Registration is closed.")
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "0" {
			t.Errorf("there are %s accounts", n)
		}
	}, "SESAME_REGISTRATION=closed")
}

// The page shares the limit of a network with POST /users.
func TestSignUpIsLimited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		page := s.newBrowser().send(t, get("/sign-up")).formWith("", "")
		b := s.newBrowser()
		b.lands(t, b.submit(t, page, "email", "bea@example.com", "password", horse), "/account")
		a := s.newBrowser().submit(t, page, "email", "cleo@example.com", "password", horse).want(429).shows("There were too many attempts. Try again in 60 minutes.")
		if a.header.Get("Retry-After") != "3600" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
	}, "SESAME_REGISTRATION_LIMIT=2")
}

// A forgotten password: the page sends the mail that POST /password-resets sends, and the page behind its link leads back to the
// sign-in page.
func TestForgottenPassword(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		s.mailsTo(t, post, "ann@example.com", 1)
		s.clock.advance(time.Minute)
		b, f := s.newBrowser(), newFlow(s.publicClient(t))
		page := b.follow(t, b.send(t, f.request()).want(200), "Forgotten your password?").want(200)
		sent := b.submit(t, page.formWith("", ""), "email", "ann@example.com").want(200).shows("<bdi>ann@example.com</bdi>")
		const next = "a bigger wooden horse"
		done := b.submit(t, b.send(t, open(resetPage, s.mailedCode(t, post, "ann@example.com", 2))).want(200).formWith("", ""), "new_password", next).want(200)
		b.follow(t, done, "Go to the sign-in page").want(200).shows("Username or e-mail address")
		page = b.follow(t, sent, "Go to the sign-in page").want(200)
		codeOf(t, b.submit(t, page.formWith("", ""), "username", "ann@example.com", "password", next))
	})
}

// L3: the page answers the same for every address, and sends a mail only to one that an account has.
func TestForgottenPasswordDoesNotTellWhoHasAnAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		s.register(t, "bob")
		s.must(t, "", "user", "disable", "bob")
		s.clock.advance(time.Minute)
		page := s.newBrowser().send(t, get("/forgot-password")).want(200).formWith("", "")
		seen := map[string]bool{}
		for _, address := range []string{"ann@example.com", "bob@example.com", "nobody@example.com", "ann@example.com"} {
			a := s.newBrowser().submit(t, page, "email", address).want(200)
			seen[strings.ReplaceAll(string(a.body), address, "ADDRESS")] = true
		}
		if len(seen) != 1 {
			t.Errorf("the answers differ: %v", seen)
		}
		s.untilNoneWaits(t)
		wantRecipients(t, post, "ann@example.com", "bob@example.com", "ann@example.com")
		for _, address := range []string{"", "nobody", "\x00@example.com"} {
			s.newBrowser().submit(t, page, "email", address).want(422).shows(`<p id="email-fault" role="alert">`)
		}
	})
}
