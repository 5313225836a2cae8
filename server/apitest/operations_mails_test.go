package apitest

import (
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sesame/gen/api"
	"sesame/server/internal/mailer"
	"sesame/server/internal/smtptest"
)

// waitingMail leaves a mail in the database that is due in half an hour, and returns its id.
func (s *server) waitingMail(t *testing.T) (id string) {
	t.Helper()
	id = newID()
	now := s.clock.now()
	s.sql(t, fmt.Sprintf(`INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ('%s', 'test', '', 1, %d, 0, %d)`,
		id, now.Add(30*time.Minute).UnixMicro(), now.UnixMicro()))
	return id
}

func (s *server) mails(t *testing.T, token, query string) api.MailPage {
	t.Helper()
	a := s.do(t, request{method: "GET", path: "/mails" + query, token: token}).want(200)
	for _, secret := range []string{code, "reset-password", "bob@", "ann@", "helen"} {
		if strings.Contains(string(a.body), secret) {
			t.Errorf("the list has %s: %s", secret, a.body)
		}
	}
	return decode[api.MailPage](a)
}

// A mail that waits is listed with why it waits, and neither its content nor its recipient. It can be sent at once, or deleted, which
// the log records.
func TestWaitingMails(t *testing.T) {
	var accepted sync.Map // the domains that are accepted; each engine has its own
	withMail(t, smtptest.Options{Rcpt: func(address string) error {
		_, domain, _ := strings.Cut(address, "@")
		if _, ok := accepted.Load(domain); !ok {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted: the code was " + code}
		}
		return nil
	}}, func(t *testing.T, s *server, post *smtptest.Server) {
		domain := path.Base(t.Name()) + ".example"
		admin := s.clientToken(t, "settings:read", "settings:write", "events:read")
		if page := s.mails(t, admin, ""); len(page.Items) != 0 || said(page.NextCursor) != "" {
			t.Fatalf("at first there are %+v", page)
		}
		s.mustEnqueue(t, s.resetMail("bob@"+domain), s.resetMail("ann@"+domain), mailer.Mail{Kind: mailer.NewLogin, To: "ünal.helen@" + domain})
		var items []api.WaitingMail
		until(t, "each was tried", func() bool {
			items = s.mails(t, admin, "").Items
			for _, m := range items {
				if m.Attempts != 1 || m.Sending {
					return false
				}
			}
			return len(items) == 3
		})
		for i, want := range []string{"ü…@" + domain, "a…@" + domain, "b…@" + domain} { // the latest first
			m := items[i]
			if said(m.To) != want || said(m.LastError) != "the mail server replied 451 4.7.1 while sending SMTP RCPT TO command" || !m.NextAttemptAt.After(m.CreatedAt) {
				t.Errorf("got %+v, want one to %s", m, want)
			}
		}
		if items[0].Kind != "new_login" || items[1].Kind != "reset_password" {
			t.Errorf("the kinds are %s and %s", items[0].Kind, items[1].Kind)
		}
		page := s.mails(t, admin, "?limit=2")
		rest := s.mails(t, admin, "?limit=2&cursor="+said(page.NextCursor))
		if len(page.Items) != 2 || len(rest.Items) != 1 || rest.Items[0].ID != items[2].ID || said(rest.NextCursor) != "" {
			t.Errorf("the pages are %+v and %+v", page, rest)
		}
		s.do(t, request{method: "GET", path: "/mails?cursor=x", token: admin}).want(400, "bad_request").pointsAt("/cursor")

		accepted.Store(domain, true)
		s.do(t, request{method: "POST", path: "/mails/" + items[0].ID + "/retry", token: admin}).want(204)
		until(t, "it is sent", func() bool { return len(post.Mails()) == 1 })
		s.do(t, request{method: "DELETE", path: "/mails/" + strings.ToUpper(items[1].ID), token: admin}).want(204)
		for _, again := range []request{{method: "DELETE", path: "/mails/" + items[1].ID}, {method: "POST", path: "/mails/" + items[1].ID + "/retry"}} {
			again.token = admin
			s.do(t, again).want(404, "not_found")
		}
		until(t, "one is left", func() bool { return s.waiting(t) == "1" })
		if events := eventPage(t, s, admin, "/events?kind=mail_deleted").Items; len(events) != 1 || said(events[0].Actor) == "" || said(events[0].IPAddress) == "" {
			t.Errorf("the log says %+v", events)
		}
		reader := s.clientToken(t, "settings:read")
		s.do(t, request{method: "DELETE", path: "/mails/" + items[2].ID, token: reader}).want(403, "insufficient_scope")
		s.do(t, request{method: "POST", path: "/mails/" + items[2].ID + "/retry", token: reader}).want(403, "insufficient_scope")
		if got := recipients(post.Mails()); len(got) != 1 || got[0] != "ünal.helen@"+domain {
			t.Errorf("sent are %v", got)
		}
	})
}

// A mail that another master key has sealed, or nobody gets, is listed without a recipient.
func TestMailsThatCannotBeRead(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		id := s.waitingMail(t)
		s.sql(t, `UPDATE mails SET claimed_until = next_try_at`)
		items := s.mails(t, s.clientToken(t, "settings:read"), "").Items
		if len(items) != 1 || items[0].ID != id || said(items[0].To) != "" || said(items[0].LastError) != "" {
			t.Errorf("got %+v", items)
		}
	})
}

func testMail(token string) request {
	return request{method: "POST", path: "/mails/test", token: token}
}

// A test mail goes to the caller's own confirmed address, once a minute and five times an hour, and the answer is that of the mail server
// without what it quotes.
func TestTestMails(t *testing.T) {
	var answer atomic.Pointer[smtp.SMTPError]
	withMail(t, smtptest.Options{Data: func(_, data string) error {
		if e := answer.Load(); e != nil {
			e.Message = "rejected: " + data
			return e
		}
		return nil
	}}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		for _, token := range []string{root, s.clientToken(t, "settings:write")} {
			s.do(t, testMail(token)).want(409, "no_confirmed_email")
		}
		s.do(t, testMail(s.clientToken(t, "settings:read"))).want(403, "insufficient_scope")
		s.sql(t, `UPDATE users SET email = 'root@example.com', email_key = 'root@example.com', email_verified = FALSE WHERE username = 'root'`)
		s.do(t, testMail(root)).want(409, "no_confirmed_email")
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE username = 'root'`)
		if result := decode[api.TestMail](s.do(t, testMail(root)).want(200)); !result.Sent || result.Detail != "The mail server has accepted the mail." {
			t.Errorf("got %+v", result)
		}
		if mails := post.Mails(); len(mails) != 1 || mails[0].To != "root@example.com" || !strings.HasPrefix(mails[0].Subject, "Test mail from ") || !strings.Contains(mails[0].Text, "Hello root") {
			t.Errorf("sent are %+v", mails)
		}
		if wait := s.do(t, testMail(root)).want(429, "too_many_requests").header.Get("Retry-After"); wait == "0" || len(wait) > 2 {
			t.Errorf("Retry-After is %s", wait)
		}
		for range 3 {
			s.clock.advance(61 * time.Second)
			s.do(t, testMail(root)).want(200)
		}
		s.clock.advance(61 * time.Second)
		answer.Store(&smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}})
		a := s.do(t, testMail(root)).want(200)
		if result := decode[api.TestMail](a); result.Sent || !strings.Contains(result.Detail, "replied 554") || strings.Contains(string(a.body), "rejected") || strings.Contains(string(a.body), "Hello") {
			t.Errorf("got %s", a.body)
		}
		answer.Store(nil)
		s.clock.advance(61 * time.Second)
		s.do(t, testMail(root)).want(429, "too_many_requests") // the sixth in an hour
		if s.waiting(t) != "0" {
			t.Error("a test mail waits in the queue")
		}
	})
}

// A2: the answer of a test mail has no password of the mail server, whatever fails.
func TestTestMailsHaveNoPassword(t *testing.T) {
	t.Parallel()
	const password = "s3cret-smtp-canary"
	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{Password: "another"})
	for name, address := range map[string]string{
		"wrong credentials": strings.Replace(post.URL, "smtp://", "smtp://sesame:"+password+"@", 1),
		"nobody listens":    "smtp://" + password + ":" + password + "@127.0.0.1:1",
		"no TLS there":      strings.Replace(post.URL, "smtp://", "smtps://u:"+password+"@", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, sqliteURL(t), "SESAME_SMTP_URL="+address)
			_, root := s.administrator(t, "root")
			s.sql(t, `UPDATE users SET email = 'root@example.com', email_key = 'root@example.com', email_verified = TRUE WHERE username = 'root'`)
			a := s.do(t, testMail(root)).want(200)
			if result := decode[api.TestMail](a); result.Sent || result.Detail == "" || strings.Contains(string(a.body), password) {
				t.Errorf("got %s", a.body)
			}
			if strings.Contains(s.wholeLog(), password) {
				t.Error("the log has the password")
			}
		})
	}
}

// Without a mail server the mail is in the log, and the answer says so.
func TestATestMailInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	_, root := s.administrator(t, "root")
	s.sql(t, `UPDATE users SET email = 'root@example.com', email_key = 'root@example.com', email_verified = TRUE WHERE username = 'root'`)
	if result := decode[api.TestMail](s.do(t, testMail(root)).want(200)); !result.Sent || !strings.Contains(result.Detail, "log of the server") {
		t.Errorf("got %+v", result)
	}
	s.untilLogged(t, mailer.LoggedMail, 1)
}
