package apitest

import (
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

func startReset(token, id string) request {
	return request{method: "POST", path: "/users/" + id + "/password-reset", token: token}
}

// F15, N3: an administrator who vouches for an address gives it to one account. Those who only claim it lose it, and codes end.
func TestAnAdministratorVouchesForAnAddress(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		ann := s.register(t, "ann")
		code := s.mailedCode(t, post, "ann@example.com", 1)
		s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "eve", "password": horse, "email": "ann@example.com"}}).want(201)
		if got := decode[api.User](s.change(t, root, ann.ID, map[string]any{"email_verified": true}).want(200)); !got.EmailVerified {
			t.Errorf("%+v", got)
		}
		s.do(t, confirmEmail(code)).want(422, "invalid_code")
		s.do(t, passwordGrant("ann@example.com", horse)).want(200)
		if left := s.value(t, `SELECT COALESCE(email, 'none') FROM users WHERE username = 'eve'`); left != "none" {
			t.Errorf("eve has %s", left)
		}
		s.change(t, root, ann.ID, map[string]any{"email_verified": true}).want(200) // as it is already
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE user_id = '`+ann.ID+`' AND kind = 'email_confirmed' AND actor <> user_id`); n != "1" {
			t.Errorf("%s events", n)
		}
		// A new address can be vouched for at once; then no code is mailed there, and the old address learns of it.
		moved := decode[api.User](s.change(t, root, ann.ID, map[string]any{"email": "ann@example.org", "email_verified": true}).want(200))
		if moved.Email.MustGet() != "ann@example.org" || !moved.EmailVerified {
			t.Errorf("%+v", moved)
		}
		if mails := s.mailsTo(t, post, "ann@example.com", 3); mails[2].Subject != "Your e-mail address was changed" {
			t.Errorf("the last mail is %q", mails[2].Subject)
		}
		s.untilNoneWaits(t)
		if n := len(s.mailsTo(t, post, "ann@example.org", 0)); n != 0 {
			t.Errorf("%d mails to the new address", n)
		}
		lee := s.register(t, "lee")
		s.change(t, root, lee.ID, map[string]any{"email": "ann@example.org", "email_verified": true}).want(409, "email_taken")
		if got := s.value(t, `SELECT email FROM users WHERE username = 'lee'`); got != "lee@example.com" {
			t.Errorf("it was refused, and lee has %s", got)
		}
		s.change(t, root, lee.ID, map[string]any{"email_verified": false}).want(422).pointsAt("/email_verified")
		s.change(t, root, lee.ID, map[string]any{"email": nil, "email_verified": true}).want(409, "nothing_to_confirm")
		s.change(t, root, lee.ID, map[string]any{"disabled": true, "email_verified": true}).want(422)
		s.change(t, root, newID(), map[string]any{"email_verified": true}).want(404)
	})
}

// An administrator starts a recovery and learns nothing by it: the owner gets the link and chooses the password.
func TestAnAdministratorStartsAPasswordReset(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		_, root := s.administrator(t, "root")
		ann := s.newcomer(t, "ann")
		id := s.me(t, ann.AccessToken).ID
		for i := range 5 {
			started := s.do(t, startReset(root, id)).want(202)
			if len(started.body) != 0 {
				t.Errorf("the administrator reads %s", started.body)
			}
			if i == 0 {
				s.do(t, startReset(root, id)).want(429, "too_many_requests")
			}
			s.clock.advance(time.Minute)
		}
		refused := s.do(t, startReset(root, id)).want(429, "too_many_requests")
		if wait := refused.header.Get("Retry-After"); wait != "3540" {
			t.Errorf("Retry-After is %s", wait)
		}
		s.me(t, ann.AccessToken)                           // nothing has changed yet
		s.do(t, requestReset("ann@example.com")).want(202) // which has a counter of its own
		mails := s.mailsTo(t, post, "ann@example.com", 7)
		_, code := linkIn(t, mails[1])
		s.do(t, resetPassword(code, "a bigger wooden horse")).want(204)
		s.do(t, request{method: "GET", path: "/users/me", token: ann.AccessToken}).want(401)
		s.do(t, passwordGrant("ann", "a bigger wooden horse")).want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE user_id = '`+id+`' AND kind = 'password_reset_started' AND actor <> user_id`); n != "5" {
			t.Errorf("%s events", n)
		}
	})
}

// A recovery needs an address that leads to the account.
func TestPasswordResetsThatCannotBeStarted(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		eve := decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "eve", "password": horse, "email": "ann@example.com"}}).want(201))
		s.sql(t, `INSERT INTO users (id, username, username_key, email, email_key, email_verified, scopes, disabled, created_at, updated_at)
			VALUES ('`+newID()+`', 'ann', 'ann', 'ann@example.com', 'ann@example.com', TRUE, '', FALSE, 0, 0)`)
		s.do(t, startReset(root, eve.ID)).want(409, "no_address") // the link would reset the password of another account
		none := s.create(t, map[string]any{"username": "none", "password": horse})
		s.do(t, startReset(root, decode[api.User](none).ID)).want(409, "no_address")
		lee := s.register(t, "lee")
		s.change(t, root, lee.ID, map[string]any{"disabled": true}).want(200)
		s.do(t, startReset(root, lee.ID)).want(422, "validation_failed")
		s.do(t, startReset(root, newID())).want(404)
		s.do(t, startReset(s.newcomer(t, "bob").AccessToken, lee.ID)).want(403, "insufficient_scope")
		for _, m := range post.Mails() {
			if strings.Contains(m.Subject, "password") {
				t.Errorf("a mail %s", m.Subject)
			}
		}
	})
}
