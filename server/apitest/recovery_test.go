package apitest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
)

// confirmEmail confirms an address for an account that register made.
func confirmEmail(code string) request { return confirmWith(code, "", horse) }

// confirmWith confirms an address, with a token and a password that may be "".
func confirmWith(code, token, password string) request {
	body := map[string]any{"code": code}
	if password != "" {
		body["password"] = password
	}
	return request{method: "POST", path: "/email-verifications/confirm", token: token, json: body}
}

func requestReset(email string) request {
	return request{method: "POST", path: "/password-resets", json: map[string]any{"email": email}}
}

func resetPassword(code, next string) request {
	return request{method: "POST", path: "/password-resets/confirm", json: map[string]any{"code": code, "new_password": next}}
}

// resetOf is resetPassword for one of several accounts.
func resetOf(username, code, next string) request {
	r := resetPassword(code, next)
	r.json.(map[string]any)["username"] = username
	return r
}

func changeEmail(token, email, password string) request {
	return request{method: "PUT", path: "/users/me/email", token: token, json: map[string]any{"email": email, "password": password}}
}

func requestVerification(token string) request {
	return request{method: "POST", path: "/users/me/email/verification", token: token}
}

// plantCode makes a code as if it had been mailed: for an account, or to reset a password for any that has the address.
func (s *server) plantCode(t *testing.T, code string, purpose account.Purpose, userID, email string) {
	t.Helper()
	sum := sha256.Sum256([]byte(code))
	s.sql(t, fmt.Sprintf(`INSERT INTO one_time_codes (hash, purpose, user_id, email, email_key, expires_at) VALUES ('%s', '%s', %s, '%s', '%s', %d)`,
		hex.EncodeToString(sum[:]), purpose, map[account.Purpose]string{account.ToConfirm: "'" + userID + "'", account.ToInvite: "'" + userID + "'", account.ToReset: "NULL"}[purpose], email, email, s.clock.now().Add(time.Hour).UnixMicro()))
}

// mailsTo waits until a number of mails have come to an address, and returns them in the order in which they were written. No mail is
// under way then: once the clock moves, it would be sent again.
func (s *server) mailsTo(t *testing.T, post *smtptest.Server, address string, n int) (mails []smtptest.Mail) {
	t.Helper()
	id := func(m smtptest.Mail) string { return m.Header.Get("Message-ID") }
	until(t, fmt.Sprintf("%d mails have come to %s", n, address), func() bool {
		mails = slices.DeleteFunc(post.Mails(), func(m smtptest.Mail) bool { return m.To != address })
		// Several are sent at once. Their ids are UUIDv7, which sort by time. A mail may come twice, with the same id: a test
		// that advances the clock while the queue is read ends the lease of what is being sent.
		slices.SortFunc(mails, func(a, b smtptest.Mail) int { return strings.Compare(id(a), id(b)) })
		mails = slices.CompactFunc(mails, func(a, b smtptest.Mail) bool { return id(a) == id(b) })
		return len(mails) >= n
	})
	s.untilNoneWaits(t)
	if len(mails) > n {
		t.Fatalf("%d mails have come to %s, not %d", len(mails), address, n)
	}
	return mails
}

var mailedLink = regexp.MustCompile(`\S+[?&]code=\S+`)

// linkIn gives the link of a mail, and its code.
func linkIn(t *testing.T, m smtptest.Mail) (link, code string) {
	t.Helper()
	link = mailedLink.FindString(m.Text)
	u, err := url.Parse(link)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("there is no link in %q: %v", m.Text, err)
	}
	if !strings.Contains(m.HTML, u.Query().Get("code")) {
		t.Errorf("the HTML has another link: %s", m.HTML)
	}
	return link, u.Query().Get("code")
}

// mailedCode waits for the nth mail to an address and gives its code.
func (s *server) mailedCode(t *testing.T, post *smtptest.Server, address string, n int) string {
	t.Helper()
	_, code := linkIn(t, s.mailsTo(t, post, address, n)[n-1])
	return code
}

func (s *server) me(t *testing.T, token string) api.User {
	t.Helper()
	r := get("/users/me")
	r.token = token
	return decode[api.User](s.do(t, r).want(200))
}

// C1: a code is good once, for what it was mailed for, and the database does not hold it.
func TestAConfirmedAddressLogsIn(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		ann := s.newcomer(t, "ann").AccessToken
		s.do(t, passwordGrant("ann@example.com", horse)).want(400, "invalid_grant")
		code := s.mailedCode(t, post, "ann@example.com", 1)
		if len(code) < 22 { // 128 bits in base64
			t.Errorf("the code is %q", code)
		}
		if stored := s.value(t, `SELECT hash || purpose || email FROM one_time_codes`); strings.Contains(stored, code) {
			t.Errorf("the database holds the code: %s", stored)
		}
		s.do(t, resetPassword(code, "a bigger wooden horse")).want(422, "invalid_code").pointsAt("/code")
		s.do(t, confirmEmail(code[1:])).want(422, "invalid_code").pointsAt("/code")
		s.do(t, confirmEmail(code)).want(204)
		if me := s.me(t, ann); !me.EmailVerified || me.Email.MustGet() != "ann@example.com" {
			t.Errorf("%+v", me)
		}
		s.do(t, passwordGrant("ANN@example.com", horse)).want(200)
		s.do(t, confirmEmail(code)).want(422, "invalid_code")
		s.do(t, requestVerification(ann)).want(409, "nothing_to_confirm")
		wantRecipients(t, post, "ann@example.com")
		if strings.Contains(s.wholeLog(), code) {
			t.Error("the log shows the code")
		}
	})
}

// C1: of many who use one code at once, one succeeds.
func TestParallelUsesOfACodeGiveOneSuccess(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann").ID
		for _, each := range []struct {
			name account.Purpose
			use  func(i int) request
		}{
			{account.ToConfirm, func(int) request { return confirmEmail("x") }},
			{account.ToReset, func(i int) request { return resetPassword("x", fmt.Sprint("password of ", i)) }},
		} {
			name, use := each.name, each.use
			s.sql(t, `DELETE FROM one_time_codes`)
			s.plantCode(t, "x", name, ann, "ann@example.com")
			var wait sync.WaitGroup
			statuses := make([]int, 20)
			for i := range statuses {
				wait.Go(func() {
					if a, err := s.try(use(i)); err != nil {
						t.Error(err)
					} else {
						statuses[i] = a.status
					}
				})
			}
			wait.Wait()
			slices.Sort(statuses)
			if statuses[0] != 204 || statuses[1] != 422 || statuses[19] != 422 {
				t.Errorf("%s: %v", name, statuses)
			}
		}
	})
}

// A code has its time.
func TestCodesExpire(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		confirm := s.mailedCode(t, post, "ann@example.com", 1)
		s.clock.advance(23 * time.Hour)
		s.do(t, requestReset("ann@example.com")).want(202)
		reset := s.mailedCode(t, post, "ann@example.com", 2)
		s.clock.advance(time.Hour)
		s.do(t, confirmEmail(confirm)).want(422, "invalid_code")
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(422, "invalid_code")
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// An address changes when the new one is confirmed, and not before; the old one is notified.
func TestAnAddressIsChanged(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		ann := s.newcomer(t, "ann").AccessToken
		s.do(t, confirmEmail(s.mailedCode(t, post, "ann@example.com", 1))).want(204)
		s.do(t, changeEmail(ann, "lee@example.org", "not it")).want(422, "wrong_password").pointsAt("/password")
		s.do(t, changeEmail(ann, "no address", horse)).want(422, "validation_failed").pointsAt("/email")
		s.do(t, changeEmail(ann, "mistyped@example.org", horse)).want(202)
		first := s.mailedCode(t, post, "mistyped@example.org", 1)
		s.do(t, changeEmail(ann, "Lee@example.org", horse)).want(202)
		code := s.mailedCode(t, post, "Lee@example.org", 1)
		if me := s.me(t, ann); me.Email.MustGet() != "ann@example.com" || !me.EmailVerified {
			t.Errorf("before it is confirmed: %+v", me)
		}
		s.do(t, passwordGrant("lee@example.org", horse)).want(400)
		s.do(t, confirmEmail(first)).want(422, "invalid_code") // the later change counts
		s.do(t, confirmEmail(code)).want(204)
		if me := s.me(t, ann); me.Email.MustGet() != "Lee@example.org" || !me.EmailVerified {
			t.Errorf("%+v", me)
		}
		s.do(t, passwordGrant("ann@example.com", horse)).want(400)
		s.do(t, passwordGrant("lee@example.org", horse)).want(200)
		told := s.mailsTo(t, post, "ann@example.com", 2)[1]
		if told.Subject != "Your e-mail address was changed" || !strings.Contains(told.Text, "Lee@example.org") {
			t.Errorf("the old address was told %s\n%s", told.Subject, told.Text)
		}
		s.clock.advance(time.Minute)
		s.register(t, "other") // an address of one who has confirmed none
		s.untilNoneWaits(t)
		wantRecipients(t, post, "ann@example.com", "ann@example.com", "mistyped@example.org", "Lee@example.org", "other@example.com")
	})
}

// Guesses at the password are slowed down here as well.
func TestGuessesWhenChangingTheAddress(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.newcomer(t, "ann").AccessToken
		for range 5 {
			s.do(t, changeEmail(ann, "lee@example.org", "not it")).want(422, "wrong_password")
		}
		s.do(t, changeEmail(ann, "lee@example.org", horse)).want(429, "too_many_requests")
		s.do(t, changePassword(ann, horse, "a bigger wooden horse")).want(429, "too_many_requests")
		s.clock.advance(time.Minute)
		s.do(t, changeEmail(ann, "lee@example.org", horse)).want(202)
		s.do(t, changeEmail(ann, "lee@example.org", "not it")).want(422, "wrong_password") // the count is cleared
	})
}

// C4: a reset ends every session, starts none, and notifies the owner.
func TestAPasswordIsReset(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		first, second := s.newcomer(t, "ann"), s.login(t, "ann")
		s.mailsTo(t, post, "ann@example.com", 1)
		s.clock.advance(time.Minute)
		s.do(t, requestReset("Ann@example.com")).want(202)
		code := s.mailedCode(t, post, "ann@example.com", 2)
		s.me(t, first.AccessToken) // a request alone changes nothing
		s.do(t, resetPassword(code, "password")).want(422, "validation_failed").pointsAt("/new_password")
		s.do(t, resetPassword(code, "short")).want(422, "validation_failed").pointsAt("/new_password")
		s.do(t, resetPassword(code, "ann-ann-2026")).want(422, "validation_failed").pointsAt("/new_password")
		const next = "a bigger wooden horse"
		if done := s.do(t, resetPassword(code, next)).want(204); len(done.body) > 0 || done.header.Get("Set-Cookie") != "" {
			t.Errorf("it answers %s", done.body)
		}
		for _, token := range []api.Token{first, second} {
			r := get("/users/me")
			r.token = token.AccessToken
			s.do(t, r).want(401, "invalid_token")
			s.do(t, refreshGrant(token.RefreshToken)).want(400, "invalid_grant")
		}
		s.do(t, resetPassword(code, next)).want(422, "invalid_code")
		s.do(t, passwordGrant("ann", horse)).want(400, "invalid_grant")
		now := decode[api.Token](s.do(t, passwordGrant("ann@example.com", next)).want(200)) // who has the code reads the mails
		if !s.me(t, now.AccessToken).EmailVerified {
			t.Error("the address is not confirmed")
		}
		told := s.mailsTo(t, post, "ann@example.com", 3)[2]
		if told.Subject != "Your password was reset" || !strings.Contains(told.Text, "127.0.0.1") || strings.Contains(told.Text+told.HTML, "horse") {
			t.Errorf("the owner was told %s\n%s", told.Subject, told.Text)
		}
	})
}

// C2: whatever changes a password or an address kills every code that is outstanding.
func TestAChangeKillsEveryCode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		for i, change := range []struct {
			name string
			do   func(ann api.User, token string)
		}{
			{"the password is changed", func(_ api.User, token string) {
				s.do(t, changePassword(token, horse, "a bigger wooden horse")).want(204)
			}},
			{"the password is set at the command line", func(ann api.User, _ string) {
				s.sesame(t, "a bigger wooden horse", "user", "set-password", ann.Username)
			}},
			{"the password is reset", func(ann api.User, _ string) {
				s.plantCode(t, "another", account.ToReset, ann.ID, ann.Email.MustGet())
				s.do(t, resetPassword("another", "a bigger wooden horse")).want(204)
			}},
			{"the address is confirmed", func(ann api.User, _ string) {
				s.plantCode(t, "another", account.ToConfirm, ann.ID, ann.Email.MustGet())
				s.do(t, confirmEmail("another")).want(204)
			}},
			{"the address is changed", func(ann api.User, _ string) {
				s.plantCode(t, "another", account.ToConfirm, ann.ID, "another"+ann.Email.MustGet())
				s.do(t, confirmEmail("another")).want(204)
			}},
			{"an administrator changes the address", func(ann api.User, _ string) {
				s.do(t, amend(root, ann, map[string]any{"email": "other" + ann.Email.MustGet()})).want(200)
			}},
			{"an administrator clears the address", func(ann api.User, _ string) {
				s.do(t, amend(root, ann, map[string]any{"email": nil})).want(200)
			}},
			{"the account is disabled for a while", func(ann api.User, _ string) {
				s.do(t, amend(root, ann, map[string]any{"disabled": true})).want(200)
				s.do(t, amend(root, ann, map[string]any{"disabled": false})).want(200)
			}},
		} {
			ann := s.register(t, fmt.Sprint("ann", i))
			token := s.login(t, ann.Username).AccessToken
			confirm, reset := fmt.Sprint("confirm", i), fmt.Sprint("reset", i)
			s.plantCode(t, confirm, account.ToConfirm, ann.ID, "new"+ann.Email.MustGet())
			s.plantCode(t, reset, account.ToReset, ann.ID, ann.Email.MustGet())
			change.do(ann, token)
			for _, r := range []request{confirmEmail(confirm), resetPassword(reset, "the biggest wooden horse")} {
				if got := s.do(t, r); got.status != 422 || got.code() != "invalid_code" {
					t.Errorf("after %s, %s answers %d", change.name, r.path, got.status)
				}
			}
		}
	})
}

// C3: links are built from the public URL, or the pages that the operator has named, whatever a request says
// of the server's name.
func TestMailedLinksComeFromTheSettings(t *testing.T) {
	forged := map[string]string{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example", "Host": "evil.example"}
	for name, pages := range map[string]struct{ confirm, reset string }{
		"our own pages":      {"", ""},
		"the operator's own": {"https://app.example/confirm?lang=en", "https://app.example/#/reset"},
	} {
		t.Run(name, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				wants := []string{s.url + "/confirm-email?code=", s.url + "/reset-password?code="}
				if pages.confirm != "" {
					s.stop()
					s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, "SESAME_VERIFY_URL="+pages.confirm, "SESAME_RESET_URL="+pages.reset)
					wants = []string{"https://app.example/confirm?", "https://app.example/?code="}
				}
				r := request{method: "POST", path: "/users", json: map[string]any{"username": "ann", "password": horse, "email": "ann@example.com"}, header: forged}
				s.do(t, r).want(201)
				confirm, _ := linkIn(t, s.mailsTo(t, post, "ann@example.com", 1)[0])
				s.clock.advance(time.Minute)
				r = requestReset("ann@example.com")
				r.header = forged
				s.do(t, r).want(202)
				reset, _ := linkIn(t, s.mailsTo(t, post, "ann@example.com", 2)[1])
				for i, link := range []string{confirm, reset} {
					if !strings.HasPrefix(link, wants[i]) {
						t.Errorf("the link is %s, not %s…", link, wants[i])
					}
				}
				for _, m := range post.Mails() {
					if strings.Contains(m.Raw, "evil") {
						t.Errorf("the mail repeats what the request made up:\n%s", m.Raw)
					}
				}
			})
		})
	}
}
