package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
)

// N3: a link that a stranger's request has mailed confirms nothing, unless the account is proven as well: by its own token,
// with the scope, or by its password.
func TestAConfirmationNeedsTheAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		eve := s.create(t, map[string]any{"username": "eve", "password": "the wooden horse of eve", "email": ownAddress})
		code := s.mailedCode(t, post, ownAddress, 1)
		ann := s.newcomer(t, "lee").AccessToken
		grant := passwordGrant("eve", "the wooden horse of eve")
		grant.form.Set("scope", "me:read")
		reader := decode[api.Token](s.do(t, grant).want(200)).AccessToken
		for _, token := range []string{"", ann, reader} {
			s.do(t, confirmWith(code, token, "")).want(422, "password_required").pointsAt("/password")
		}
		s.do(t, confirmWith(code, "garbage", "the wooden horse of eve")).want(401, "invalid_token")
		s.page(t, open(confirmPage, code)).want(200).shows("your account <bdi>eve</bdi>").shows(ownAddress)
		s.page(t, press(confirmPage, code, "")).want(422).keepsForm(code).shows("Enter the password")
		s.do(t, confirmWith(code, ann, horse)).want(422, "wrong_password").pointsAt("/password")
		s.do(t, confirmWith(code, reader, horse)).want(422, "wrong_password")
		for range 3 {
			s.page(t, press(confirmPage, code, horse)).want(422).keepsForm(code).shows("not the password").shows("password reset")
		}
		// Whoever has the code guesses no better than anybody, and holds up no login and no change.
		s.do(t, confirmWith(code, "", "the wooden horse of eve")).throttled(1)
		if page := s.page(t, press(confirmPage, code, "the wooden horse of eve")).want(429).keepsForm(code); page.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After is %q", page.header.Get("Retry-After"))
		}
		own := decode[api.Token](s.do(t, passwordGrant("eve", "the wooden horse of eve")).want(200)).AccessToken
		s.do(t, changePassword(own, "the wooden horse of eve", "another horse of eve")).want(204)
		s.do(t, confirmWith(code, own, "")).want(422, "invalid_code") // C2
		if wrong := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'wrong_password' AND actor = '' AND user_id = '`+decode[api.User](eve).ID+`'`); wrong != "5" {
			t.Errorf("%s wrong passwords are recorded", wrong)
		}
		s.clock.advance(time.Minute)
		s.do(t, requestVerification(own)).want(202)
		code = s.mailedCode(t, post, ownAddress, 2)
		s.do(t, confirmWith(code, own, "not it")).want(204) // the token suffices
		s.owns(t, "eve", "another horse of eve")
	})
}

// An account without a password is confirmed by a reset, and the answer says so.
func TestConfirmingWithoutAPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.claims(t, "ann")
		s.sql(t, `UPDATE users SET password_hash = NULL`)
		s.plantCode(t, "x", account.ToConfirm, ann.ID, ownAddress)
		if a := s.do(t, confirmEmail("x")).want(422, "wrong_password"); !strings.Contains(decode[api.Problem](a).Detail, "password reset") {
			t.Errorf("the answer is %s", a.body)
		}
		s.plantCode(t, "y", account.ToReset, "", ownAddress)
		s.do(t, resetPassword("y", horse)).want(204)
		s.owns(t, "ann", horse)
	})
}

// N3: however many accounts a stranger makes with the address, the owner of one that an operator made is named it first, and
// never has to know its username.
func TestManyClaimsHideNobody(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for i := range account.MaxNamed - 1 {
			s.claims(t, fmt.Sprint("eve", i))
		}
		if _, stderr, code := s.sesame(t, horse, "user", "create", "ann", "--email", ownAddress); code != 0 {
			t.Fatal(stderr)
		}
		s.plantCode(t, anyCode, account.ToReset, "", ownAddress)
		page := s.page(t, open(resetPage, anyCode)).want(200)
		if n := strings.Count(string(page.body), `type="radio"`); n != account.MaxNamed || !strings.Contains(strings.SplitN(string(page.body), `type="radio"`, 3)[1], `value="ann"`) {
			t.Errorf("%d can be chosen:\n%s", n, page.body)
		}
		choose := press(resetPage, anyCode, "short")
		s.page(t, choose).want(422).keepsForm(anyCode).shows("Choose one of these accounts")
		choose.form.Set("username", "ann")
		s.page(t, choose).want(422).keepsForm(anyCode).shows(`value="ann" required checked`).shows("at least 8 characters")

		s.claims(t, "eve-again")
		page = s.page(t, open(resetPage, anyCode)).want(200).shows(`type="text" id="typed_username"`).shows(`type="radio" name="username" value="ann">`)
		a := s.do(t, resetPassword(anyCode, "a bigger wooden horse")).want(422, "account_required")
		if strings.Contains(string(a.body), "eve") || strings.Contains(string(page.body), `value="eve`) || !strings.Contains(string(a.body), "must be one of: ann; or the username") {
			t.Errorf("the answer is %s, and the page\n%s", a.body, page.body)
		}
		typed := press(resetPage, anyCode, "short")
		typed.form.Set("username", "ann")
		s.page(t, typed).want(422).keepsForm(anyCode).shows(`value="ann" checked`).shows(`id="typed_username" name="typed_username" autocomplete`)
		typed.form.Set("typed_username", " Eve0 ")
		s.page(t, typed).want(422).keepsForm(anyCode).shows("at least 8 characters")
		typed.form.Set("typed_username", "eve0") // since a radio button cannot be cleared
		s.page(t, typed).want(422).keepsForm(anyCode).shows(`id="typed_username" name="typed_username" value="eve0"`).shows("at least 8 characters")
		typed.form.Set("typed_username", "nobody")
		s.page(t, typed).want(422).keepsForm(anyCode).shows("or enter the username of another one")
		s.sql(t, `UPDATE users SET email_claimed_at = 1 WHERE username = 'ann'`) // with nobody to name
		a = s.do(t, resetPassword(anyCode, "a bigger wooden horse")).want(422, "account_required")
		if page = s.page(t, open(resetPage, anyCode)).want(200); strings.Contains(string(a.body)+string(page.body), `value="ann"`) || !strings.Contains(string(a.body), "must be the username") {
			t.Errorf("the answer is %s, and the page\n%s", a.body, page.body)
		}
		for _, name := range []string{"", "nobody", "a b", "\x00", "\xff", "ann@example.com", strings.Repeat("a", 4000)} {
			choose.form.Set("username", name)
			s.page(t, choose).want(422).keepsForm(anyCode).shows("Enter the username")
		}
		choose.form.Set("username", "ＡNN")
		choose.form.Set("new_password", "a bigger wooden horse")
		s.page(t, choose).want(200)
		s.owns(t, "ann", "a bigger wooden horse")
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE email_key = 'ann@example.com'`); left != "1" {
			t.Errorf("%s accounts have the address", left)
		}
	})
}

// N3, N11: a mail to an address that nobody has confirmed shows no name that a stranger chose, not even in templates that
// would show one.
func TestMailsToAClaimedAddressShowNoName(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		folder := t.TempDir()
		for _, kind := range []string{"confirm_email", "reset_password"} {
			for ending, start := range map[string]string{".txt": "Subject: Hello {{.Username}}\n\n", ".html": ""} {
				text := start + "{{.Link}} {{.Username}} {{.FullName}}"
				if err := os.WriteFile(filepath.Join(folder, kind+ending), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.stop()
		s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, "SESAME_MAIL_TEMPLATES="+folder)
		const name, full = "call-555-0199-now", "Your bank evil.example"
		s.create(t, map[string]any{"username": name, "password": horse, "email": ownAddress, "full_name": full}).want(201)
		confirm := s.mailedCode(t, post, ownAddress, 1)
		s.do(t, requestReset(ownAddress)).want(202)
		s.mailsTo(t, post, ownAddress, 2)
		s.do(t, changeEmail(s.login(t, name).AccessToken, "bob@example.com", horse)).want(202)
		s.mailsTo(t, post, "bob@example.com", 1)
		for _, m := range post.Mails() {
			if text := m.Raw + m.Text + m.HTML; strings.Contains(text, "555-0199") || strings.Contains(text, "bank") || strings.Contains(text, "evil") {
				t.Errorf("the mail is\n%s", text)
			}
		}
		s.do(t, confirmEmail(confirm)).want(422, "invalid_code") // the later address counts
		s.do(t, confirmEmail(s.mailedCode(t, post, "bob@example.com", 1))).want(204)
		s.do(t, requestReset("bob@example.com")).want(202)
		if m := s.mailsTo(t, post, "bob@example.com", 2)[1]; !strings.Contains(m.Text, name) || !strings.Contains(m.HTML, name) {
			t.Errorf("the mail to the confirmed address is\n%s", m.Text)
		}
	})
}
