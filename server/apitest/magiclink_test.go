package apitest

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

const magicLinks = "SESAME_MAGIC_LINKS=on"

// confirmed creates an account whose address is confirmed, without a mail.
func (s *server) confirmed(t *testing.T, username string) {
	t.Helper()
	s.must(t, horse+"\n", "user", "create", username, "--email", username+"@example.com", "--email-verified")
}

// asksForLink presses the button for a link on the sign-in page of a flow.
func (b *browser) asksForLink(t *testing.T, f flow, address string) *answer {
	t.Helper()
	return b.submit(t, b.send(t, f.request()).want(200).shows("Send me a link").form(), "username", address, "do", "link")
}

// openLink opens a link as it is in the mail, which another website may show.
func (b *browser) openLink(t *testing.T, code string) *answer {
	t.Helper()
	return b.send(t, request{method: "GET", path: "/sign-in-link?code=" + url.QueryEscape(code), header: map[string]string{"Sec-Fetch-Site": "cross-site"}})
}

// A person signs in with a link, in the browser that has asked for it, and comes to the client. Opening the link uses nothing, its
// button does, once. It is one factor.
func TestMagicLink(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		b, other, f := s.newBrowser(), s.newBrowser(), newFlow(s.publicClient(t))
		b.asksForLink(t, f, " Ann@example.com ").want(200).shows("within ten minutes")
		link, code := linkIn(t, s.mailsTo(t, post, "ann@example.com", 1)[0])
		if !strings.HasPrefix(link, s.url+"/sign-in-link?code=") {
			t.Errorf("the link is %s", link)
		}
		mark, _, _ := strings.Cut(b.others["sesame-session-link"], ".")
		if stored := s.value(t, `SELECT hash || browser || email FROM one_time_codes`); mark == "" || strings.Contains(stored, code) || strings.Contains(stored, mark) {
			t.Errorf("the database has %s; the cookie is %q", stored, mark)
		}
		// Mail scanners and other browsers use nothing up, whatever they do.
		other.openLink(t, code).want(422).shows("only in the browser in which you asked for it")
		other.send(t, request{method: "POST", path: "/sign-in-link", form: url.Values{"code": {code}}}).want(422).shows("Open this link in the other browser")
		other.others["sesame-session-link"] = "another"
		other.send(t, request{method: "POST", path: "/sign-in-link", form: url.Values{"code": {code}}}).want(422).shows("Open this link in the other browser")
		b.send(t, request{method: "HEAD", path: "/sign-in-link?code=" + code}).want(200)
		b.openLink(t, code[1:]).want(422).shows("no longer valid")
		b.openLink(t, code).want(200).shows("your account <bdi>ann</bdi>")
		page := b.openLink(t, code).want(200).form()
		b.send(t, request{method: "POST", path: page.action, form: page.fields, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}).want(400)
		if n := s.count(t, "sessions"); n != "0" {
			t.Fatalf("%s sessions before the button", n)
		}
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.submit(t, page)))).want(200))
		if claims := s.idToken(t, tokens.IDToken); claims["acr"] != "1" || fmt.Sprint(claims["amr"]) != "[email]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
		if _, left := b.others["sesame-session-link"]; left || b.cookie == "" {
			t.Errorf("the browser has %v and %v", b.others, b.cookie)
		}
		b.submit(t, page).want(422)
		b.others["sesame-session-link"] = mark
		b.openLink(t, code).want(422).shows("no longer valid")
		b.submit(t, page).want(422).shows("no longer valid")
		b.send(t, get("/account")).want(200).shows("ann@example.com")
	}, magicLinks)
}

// F2, F3: a link never replaces the second factor. It is used up when the page asks for the factor.
func TestAMagicLinkNeedsTheSecondFactor(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		app := s.plantTOTP(t, "ann")
		b, f := s.newBrowser(), newFlow(s.publicClient(t), "acr_values", "2")
		b.asksForLink(t, f, "ann@example.com").want(200)
		code := s.mailedCode(t, post, "ann@example.com", 1)
		kept := b.others["sesame-session-link"]
		page := b.openLink(t, code).want(200).form()
		waiting := b.submit(t, page).want(200).shows("authenticator app")
		if n := s.count(t, "sessions") + s.count(t, "one_time_codes"); n != "00" {
			t.Errorf("%s sessions and codes", n)
		}
		b.others["sesame-session-link"] = kept
		b.submit(t, page).want(422).shows("no longer valid")
		s.newBrowser().submit(t, waiting.form(), "code", app.code()).want(422)
		b.submit(t, waiting.form(), "code", app.wrongCode()).want(422).shows("The code is wrong")
		tokens := decode[api.Token](s.do(t, f.grant(codeOf(t, b.submit(t, waiting.form(), "code", app.code())))).want(200))
		if claims := s.idToken(t, tokens.IDToken); claims["acr"] != "2" || fmt.Sprint(claims["amr"]) != "[email otp mfa]" {
			t.Errorf("acr %v, amr %v", claims["acr"], claims["amr"])
		}
	}, magicLinks)
}

var sealedRequest = regexp.MustCompile(`request=[\w-]+`)

// The answer, the cookie and the rows are alike for every address; only a confirmed address of an enabled account gets a mail.
func TestMagicLinksRevealNothing(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		s.confirmed(t, "off")
		s.must(t, "", "user", "disable", "off")
		s.must(t, horse+"\n", "user", "create", "claims", "--email", "claims@example.com")
		f := newFlow(s.publicClient(t))
		answers := map[string]string{}
		for _, name := range []string{"ann", "off", "claims", "nobody"} {
			codes, throttles := s.count(t, "one_time_codes"), s.count(t, "throttles")
			b, address := s.newBrowser(), name+"@example.com"
			a := b.asksForLink(t, f, address).want(200)
			kept, _, _ := strings.Cut(b.others["sesame-session-link"], ".")
			made := s.count(t, "one_time_codes") + " after " + codes + ", " + s.count(t, "throttles") + " after " + throttles
			answers[name] = sealedRequest.ReplaceAllString(strings.ReplaceAll(string(a.body), address, "ADDRESS"), "") + fmt.Sprint(len(kept))
			if codes == s.count(t, "one_time_codes") {
				t.Errorf("%s: no code is stored, as for a known address: %s", name, made)
			}
			if answers[name] != answers["ann"] {
				t.Errorf("%s: the answer differs:\n%s", name, answers[name])
			}
		}
		s.untilNoneWaits(t)
		if mails := post.Mails(); len(mails) != 1 || mails[0].To != "ann@example.com" {
			t.Errorf("the mails are %+v", mails)
		}
		// What is no address is said so, in the same way for names of accounts.
		for _, text := range []string{"", "ann", "ann@", "a b@example.com"} {
			s.newBrowser().asksForLink(t, f, text).want(422).shows("Enter the e-mail address of your account.")
		}
	}, magicLinks)
}

// A link ends with its time, and with a change of the account that it was made for.
func TestMagicLinksEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *server){
		"time":     func(_ *testing.T, s *server) { s.clock.advance(10*time.Minute + time.Second) },
		"password": func(t *testing.T, s *server) { s.must(t, "another wooden horse\n", "user", "set-password", "ann") },
		"address": func(t *testing.T, s *server) {
			_, root := s.administrator(t, "root")
			id := s.value(t, `SELECT id FROM users WHERE username = 'ann'`)
			s.do(t, request{method: "PATCH", path: "/users/" + id, token: root, json: map[string]any{"email": "other@example.com"}}).want(200)
		},
		"disabled": func(t *testing.T, s *server) { s.must(t, "", "user", "disable", "ann") },
		"deleted":  func(t *testing.T, s *server) { s.must(t, "", "user", "delete", "ann", "--yes") },
		"unconfirmed": func(t *testing.T, s *server) {
			s.sql(t, `UPDATE users SET email_verified = FALSE WHERE username = 'ann'`)
		},
		// The request and the change met: the code was stored after the change had ended the others.
		"an earlier moment": func(t *testing.T, s *server) {
			s.sql(t, fmt.Sprintf(`UPDATE users SET codes_from = %d WHERE username = 'ann'`, s.clock.now().Add(time.Second).UnixMicro()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				s.confirmed(t, "ann")
				b, f := s.newBrowser(), newFlow(s.publicClient(t))
				b.asksForLink(t, f, "ann@example.com").want(200)
				code := s.mailedCode(t, post, "ann@example.com", 1)
				page := b.openLink(t, code).want(200).form()
				end(t, s)
				before := s.count(t, "sessions")
				b.submit(t, page).want(422).shows("no longer valid")
				if after := s.count(t, "sessions"); after != before || b.cookie != "" {
					t.Errorf("%s sessions, and the cookie %s", after, b.cookie)
				}
			}, magicLinks)
		})
	}
}

// Without the setting there is neither a button nor a page, and the form of the button is an ordinary sign-in.
func TestMagicLinksAreOffByDefault(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		b, f := s.newBrowser(), newFlow(s.publicClient(t))
		page := b.send(t, f.request()).want(200)
		if strings.Contains(string(page.body), "Send me a link") {
			t.Error("the page has the button")
		}
		b.submit(t, page.form(), "username", "ann@example.com", "do", "link").want(422).shows("is wrong")
		b.openLink(t, anyCode).want(404)
		if n := s.count(t, "one_time_codes") + s.count(t, "mails"); n != "00" || len(post.Mails()) > 0 {
			t.Errorf("%s codes and mails", n)
		}
	})
}

// Of many uses at once one succeeds, with and without a second factor.
func TestParallelUsesOfAMagicLink(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		s.confirmed(t, "bob")
		s.plantTOTP(t, "bob")
		for _, name := range []string{"ann", "bob"} {
			b, f := s.newBrowser(), newFlow(s.publicClient(t))
			b.asksForLink(t, f, name+"@example.com").want(200)
			page := b.openLink(t, s.mailedCode(t, post, name+"@example.com", 1)).want(200).form()
			var signedIn atomic.Int32
			var uses sync.WaitGroup
			for range 4 {
				uses.Go(func() {
					each := s.newBrowser()
					each.others["sesame-session-link"] = b.others["sesame-session-link"]
					if each.submit(t, page); each.cookie != "" || each.others["sesame-session-step"] != "" {
						signedIn.Add(1)
					}
				})
			}
			uses.Wait()
			if signedIn.Load() != 1 {
				t.Errorf("%s: %d uses succeeded", name, signedIn.Load())
			}
		}
	}, magicLinks)
}

// Wrong passwords of strangers do not keep the owner of a link out. Mails are limited: one a minute, until a link is used.
func TestMagicLinksAndLimits(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		for range 6 {
			s.do(t, passwordGrant("ann", wrong))
		}
		s.do(t, passwordGrant("ann", horse)).want(429)
		b, f := s.newBrowser(), newFlow(s.publicClient(t))
		b.asksForLink(t, f, "ann@example.com").want(200)
		mark := b.others["sesame-session-link"]
		b.asksForLink(t, f, "ann@example.com").want(200)
		code := s.mailedCode(t, post, "ann@example.com", 1)
		if before, _, _ := strings.Cut(mark, "."); !strings.HasPrefix(b.others["sesame-session-link"], before) {
			t.Error("a second request has made the link of the first one useless")
		}
		codeOf(t, b.submit(t, b.openLink(t, code).want(200).form()))
		s.do(t, passwordGrant("ann", horse)).want(200) // the person was there
		again := s.newBrowser()
		again.asksForLink(t, f, "ann@example.com").want(200)
		s.mailedCode(t, post, "ann@example.com", 2)
	}, magicLinks)
}

// Nobody else can use a link that a stranger has asked for, so the stranger must not use up the mails of its owner, who asks from a network that
// they have signed in from. The requests of each side are limited.
func TestAStrangerUsesUpNoMagicLinks(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		f := newFlow(s.publicClient(t))
		asks := func(ip string) *browser {
			t.Helper()
			b := s.newBrowser()
			b.from = ip
			b.asksForLink(t, f, "ann@example.com").want(200)
			s.untilNoneWaits(t)
			return b
		}
		mails := 0
		expect := func(n int, b *browser, why string) {
			t.Helper()
			if got := len(s.mailsTo(t, post, "ann@example.com", mails+n)) - mails; got != n {
				t.Fatalf("%s: %d mails, want %d", why, got, n)
			}
			mails += n
			if b != nil {
				codeOf(t, b.submit(t, b.openLink(t, s.mailedCode(t, post, "ann@example.com", mails)).want(200).form()))
			}
		}
		expect(1, asks("192.0.2.1"), "the owner's first sign-in")
		for range 8 {
			asks("203.0.113.9")
			s.clock.advance(time.Minute + time.Second)
		}
		expect(5, nil, "a stranger")
		expect(1, asks("192.0.2.1"), "the owner, from a known network")
		asks("203.0.113.9")
		asks("198.51.100.1")
		expect(0, nil, "strangers after the owner has used a link")
	}, magicLinks, trustLoopback)
}

// Where everybody must have a second factor, a link leads to its set-up and not to a session.
func TestAMagicLinkUnderThePolicy(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.confirmed(t, "ann")
		b, f := s.newBrowser(), newFlow(s.publicClient(t))
		b.asksForLink(t, f, "ann@example.com").want(200)
		page := b.openLink(t, s.mailedCode(t, post, "ann@example.com", 1)).want(200).form()
		b.submit(t, page).want(200).shows("This account needs a second factor.")
		if n := s.count(t, "sessions") + s.count(t, "one_time_codes"); n != "00" || b.cookie != "" {
			t.Errorf("%s sessions and codes, and the cookie %q", n, b.cookie)
		}
	}, magicLinks, "SESAME_REQUIRE_SECOND_FACTOR=everybody", "SESAME_SECOND_FACTOR_GRACE=0s")
}
