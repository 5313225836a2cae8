package apitest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

// H7: what administrators decide about a new account, nobody decides about their own.
func TestARegistrationDecidesNothingOfAdministrators(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		reader := s.clientToken(t, "users:read")
		for field, value := range map[string]any{"scopes": []string{"users:read"}, "disabled": true, "email_verified": true} {
			body := map[string]any{"username": "eve", "password": horse, "email": "eve@example.com", field: value}
			s.create(t, body).want(422, "validation_failed").pointsAt("/" + field)
			s.do(t, request{method: "POST", path: "/users", json: body, token: reader}).want(422, "validation_failed").pointsAt("/" + field)
		}
		// A tool that sends every field registers nevertheless.
		s.create(t, map[string]any{"username": "ann", "password": horse, "scopes": []string{}, "disabled": false, "email_verified": false}).want(201)
	})
}

// An administrator creates accounts as they are to be: with scopes, disabled, or with an address that the administrator vouches for.
func TestAnAdministratorCreatesAccounts(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		create := func(token, name string, fields map[string]any) *answer {
			t.Helper()
			body := map[string]any{"username": name, "password": horse, "email": name + "@example.com"}
			for field, value := range fields {
				body[field] = value
			}
			return s.do(t, request{method: "POST", path: "/users", json: body, token: token})
		}
		s.create(t, map[string]any{"username": "eve", "password": horse, "email": "carl@example.com"}).want(201)
		carl := decode[api.User](create(root, "carl", map[string]any{"scopes": []string{"users:read", "me:read"}, "email_verified": true}).want(201))
		if !carl.EmailVerified || !strings.Contains(strings.Join(carl.Scopes, " "), "users:read") {
			t.Errorf("%+v", carl)
		}
		if left := s.value(t, `SELECT COALESCE(email, 'none') FROM users WHERE username = 'eve'`); left != "none" {
			t.Errorf("a claim stays: %s", left)
		}
		create(root, "carl2", map[string]any{"email": "carl@example.com", "email_verified": true}).want(422).pointsAt("/email")
		create(root, "dora", map[string]any{"disabled": true}).want(201)
		s.do(t, passwordGrant("dora", horse)).want(400, "invalid_grant")
		limited := s.clientToken(t, "users:write")
		create(limited, "x", map[string]any{"scopes": []string{"users:write", "clients:write"}}).want(422, "validation_failed").pointsAt("/scopes/1")
		create(limited, "y", map[string]any{"scopes": []string{"users:write"}}).want(201)
		s.do(t, passwordGrant("carl@example.com", horse)).want(200)
		for address, n := range map[string]int{"eve": 0, "dora": 0, "y": 1} { // an address that is confirmed already, and one of a disabled account, get no mail
			if got := len(s.mailsTo(t, post, address+"@example.com", n)); got != n {
				t.Errorf("%s@example.com got %d mails, want %d", address, got, n)
			}
		}
	})
}

func invite(token string, fields map[string]any) request {
	return request{method: "POST", path: "/invitations", token: token, json: fields}
}

func resend(token, id string) request {
	return request{method: "POST", path: "/users/" + id + "/invitation", token: token}
}

// An invited person gets a link, chooses a password with it once, and signs in. Before that nobody does.
func TestAnInvitedPersonChoosesAPassword(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		bob := decode[api.User](s.do(t, invite(root, map[string]any{"email": "bob@example.com", "full_name": "Bob", "scopes": []string{"users:read"}})).want(201))
		if bob.Username != "bob" || bob.EmailVerified || strings.Contains(fmt.Sprint(bob.Scopes), "users:write") {
			t.Errorf("%+v", bob)
		}
		mail := s.mailsTo(t, post, "bob@example.com", 1)[0]
		if mail.Subject != "You have an account" || !strings.Contains(mail.Text, "valid for 7 days") || !strings.Contains(mail.Text, "bob") {
			t.Errorf("%s\n%s", mail.Subject, mail.Text)
		}
		_, code := linkIn(t, mail)
		for _, password := range []string{horse, "", code} {
			grant := passwordGrant("bob", horse)
			grant.form.Set("password", password)
			if a := s.do(t, grant); a.status != 400 {
				t.Errorf("the password %q: %d", password, a.status)
			}
		}
		s.do(t, confirmEmail(code)).want(422, "invalid_code") // it is for nothing else
		s.do(t, resetPassword(code, "bob")).want(422, "validation_failed")
		s.clock.advance(6 * 24 * time.Hour)
		s.do(t, resetPassword(code, horse)).want(204)
		s.do(t, resetPassword(code, horse)).want(422, "invalid_code")
		me := s.me(t, s.login(t, "bob").AccessToken)
		if me.ID != bob.ID || !me.EmailVerified {
			t.Errorf("%+v", me)
		}
		_, root = s.administrator(t, "second")
		s.do(t, resend(root, bob.ID)).want(409, "has_password")
		kinds := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE user_id = '`+bob.ID+`' AND kind IN ('account_created', 'account_invited', 'invitation_accepted', 'email_confirmed')`)
		if kinds != "4" {
			t.Errorf("%s events", kinds)
		}
	})
}

// Of two parallel uses of an invitation one succeeds, and of two invitations the later one counts.
func TestAnInvitationWorksOnce(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		bob := decode[api.User](s.do(t, invite(root, map[string]any{"email": "bob@example.com", "username": "bobby"})).want(201))
		first := s.mailedCode(t, post, "bob@example.com", 1)
		refused := s.do(t, resend(root, bob.ID)).want(429, "too_many_requests")
		if wait := refused.header.Get("Retry-After"); wait != "60" {
			t.Errorf("Retry-After is %s", wait)
		}
		s.clock.advance(time.Minute)
		s.do(t, resend(root, bob.ID)).want(202)
		second := s.mailedCode(t, post, "bob@example.com", 2)
		s.do(t, resetPassword(first, horse)).want(422, "invalid_code")
		var wait sync.WaitGroup
		statuses := make([]int, 8)
		for i := range statuses {
			wait.Go(func() {
				if a, err := s.try(resetPassword(second, fmt.Sprintf("a wooden horse, number %d", i))); err == nil {
					statuses[i] = a.status
				}
			})
		}
		wait.Wait()
		if n := strings.Count(fmt.Sprint(statuses), "204"); n != 1 {
			t.Errorf("%d of the uses succeeded: %v", n, statuses)
		}
	})
}

// An invitation ends after seven days, and with whatever ends the codes of an account.
func TestInvitationsEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *server, root, id string){
		"seven days": func(_ *testing.T, s *server, _, _ string) { s.clock.advance(7*24*time.Hour + time.Second) },
		"another address": func(t *testing.T, s *server, root, id string) {
			s.change(t, root, id, map[string]any{"email": "lee@example.com"}).want(200)
		},
		"disabled": func(t *testing.T, s *server, root, id string) {
			s.change(t, root, id, map[string]any{"disabled": true}).want(200)
			s.change(t, root, id, map[string]any{"disabled": false}).want(200)
		},
		"a password is set": func(t *testing.T, s *server, _, _ string) {
			s.must(t, "a bigger wooden horse", "user", "set-password", "bob")
		},
		"the account is gone": func(t *testing.T, s *server, root, id string) {
			s.do(t, request{method: "DELETE", path: "/users/" + id, token: root}).want(204)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				_, root := s.administrator(t, "root")
				bob := decode[api.User](s.do(t, invite(root, map[string]any{"email": "bob@example.com"})).want(201))
				code := s.mailedCode(t, post, "bob@example.com", 1)
				end(t, s, root, bob.ID)
				s.do(t, resetPassword(code, horse)).want(422, "invalid_code")
			})
		})
	}
}

// An invitation goes to an address that nobody has confirmed, and what it gives is bounded like every grant.
func TestInvitationsThatAreRefused(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, _ *smtptest.Server) {
		_, root := s.administrator(t, "root")
		s.createVerified(t, "ann")
		s.do(t, invite(root, map[string]any{"email": "Ann@EXAMPLE.com"})).want(409, "email_taken")
		s.do(t, invite(root, map[string]any{"email": "x@example.com", "username": "ann"})).want(409, "username_taken")
		s.do(t, invite(root, map[string]any{"username": "x"})).want(422).pointsAt("/email")
		s.do(t, invite(root, map[string]any{"email": "x@example.com", "password": horse})).want(422).pointsAt("/password")
		limited := s.clientToken(t, "users:write")
		s.do(t, invite(limited, map[string]any{"email": "x@example.com", "scopes": []string{"events:read"}})).want(422).pointsAt("/scopes/0")
		s.do(t, invite("", map[string]any{"email": "x@example.com"})).want(401)
		s.do(t, invite(s.newcomer(t, "eve").AccessToken, map[string]any{"email": "x@example.com"})).want(403, "insufficient_scope")
		bob := decode[api.User](s.do(t, invite(limited, map[string]any{"email": "bob@example.com"})).want(201))
		s.clock.advance(time.Minute)
		s.change(t, root, bob.ID, map[string]any{"scopes": []string{"clients:write"}}).want(200)
		s.do(t, resend(limited, bob.ID)).want(403, "insufficient_scope")
		s.do(t, resend(root, newID())).want(404, "not_found")
		s.change(t, root, bob.ID, map[string]any{"email": nil}).want(200)
		s.do(t, resend(root, bob.ID)).want(409, "no_address")
		s.change(t, root, bob.ID, map[string]any{"email": "bob@example.com", "disabled": true}).want(200)
		s.do(t, resend(root, bob.ID)).want(422, "validation_failed")
	})
}

// The page of an invitation welcomes the person, in their language.
func TestThePageOfAnInvitation(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		s.do(t, invite(root, map[string]any{"email": "bob@example.com"})).want(201)
		link, code := linkIn(t, s.mailsTo(t, post, "bob@example.com", 1)[0])
		path := strings.TrimPrefix(link, s.url)
		for language, want := range map[string]string{"en": "Choose a password for your account", "de": "Wählen Sie ein Passwort für Ihr Konto"} {
			shown := s.page(t, request{method: "GET", path: path, header: map[string]string{"Accept-Language": language}}).want(200)
			if body := string(shown.body); !strings.Contains(body, want) || !strings.Contains(body, "bob") {
				t.Errorf("%s: %s", language, body)
			}
		}
		s.do(t, resetPassword(code, horse)).want(204)
		s.page(t, request{method: "GET", path: path}).want(422)
	})
}
