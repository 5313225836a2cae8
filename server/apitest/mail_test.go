package apitest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sesame/server/internal/mailer"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// withMail runs a test against a fresh server and a mail server of its own, on each database engine.
func withMail(t *testing.T, o smtptest.Options, test func(t *testing.T, s *server, post *smtptest.Server), settings ...string) {
	t.Helper()
	t.Parallel()
	for name, databaseURL := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			post := smtptest.Start(t, "127.0.0.1:0", o)
			test(t, start(t, databaseURL(t), append([]string{"SESAME_SMTP_URL=" + post.URL}, settings...)...), post)
		})
	}
}

// enqueue leaves mails in a server's database as another process would. then, if given, is called in the
// same transaction.
func (s *server) enqueue(t *testing.T, then func(*store.Queries) error, mails ...mailer.Mail) error {
	t.Helper()
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	outbox := mailer.NewOutbox(master, s.clock.now)
	return db.Tx(t.Context(), func(q *store.Queries) error {
		for _, m := range mails {
			if err := outbox.Add(t.Context(), q, m); err != nil {
				return err
			}
		}
		if then != nil {
			return then(q)
		}
		return nil
	})
}

const code = "a-code-that-nobody-else-may-see"

// resetMail is a mail with that code.
func (s *server) resetMail(to string) mailer.Mail {
	return mailer.Mail{Kind: mailer.ResetPassword, To: to, Fields: mailer.Fields{
		Username: "ann", Link: secret.New("https://login.example/reset-password?code=" + code), ExpiresAt: s.clock.now().Add(48 * time.Hour),
	}}
}

func (s *server) mustEnqueue(t *testing.T, mails ...mailer.Mail) {
	t.Helper()
	if err := s.enqueue(t, nil, mails...); err != nil {
		t.Fatal(err)
	}
}

// waiting says how many mails are in the database.
func (s *server) waiting(t *testing.T) string {
	t.Helper()
	return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM mails`)
}

func (s *server) untilNoneWaits(t *testing.T) {
	t.Helper()
	until(t, "no mail waits", func() bool { return s.waiting(t) == "0" })
}

// untilLogged waits for a line of the log, or for the nth.
func (s *server) untilLogged(t *testing.T, text string, times int) {
	t.Helper()
	until(t, "the log says: "+text, func() bool { return strings.Count(s.log.String(), text) >= times })
}

func recipients(mails []smtptest.Mail) (to []string) {
	for _, m := range mails {
		to = append(to, m.To)
	}
	slices.Sort(to)
	return to
}

func wantRecipients(t *testing.T, post *smtptest.Server, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := recipients(post.Mails()); !slices.Equal(got, want) {
		t.Errorf("the mail server took mails for %v, want %v", got, want)
	}
}

const (
	givenUp = "mail dropped"
	again   = "will be retried"
)

// C6: a mail is sent once, if what it is about was committed, and says what it was to say in both parts.
func TestAMailIsSentOnceAfterTheCommit(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		now := s.clock.now()
		fields := mailer.Fields{
			Username: "ann", FullName: "Änne", Link: secret.New("https://login.example/x?code=" + code), ExpiresAt: now.Add(time.Hour),
			When: now, IPAddress: "192.0.2.7", UserAgent: "curl <8>", NewEmail: "new@example.org",
		}
		undone := errors.New("no")
		if err := s.enqueue(t, func(*store.Queries) error { return undone }, s.resetMail("nobody@example.com")); !errors.Is(err, undone) {
			t.Fatal(err)
		}
		shows := map[mailer.Kind]string{
			mailer.ConfirmEmail: code, mailer.ResetPassword: "60 minutes", mailer.PasswordChanged: "192.0.2.7", mailer.PasswordResetDone: "192.0.2.7",
			mailer.EmailChanged: "new@example.org", mailer.EmailInUse: "log in", mailer.NewLogin: "curl",
		}
		var to []string
		for kind := range shows {
			to = append(to, string(kind)+"@example.com")
			s.mustEnqueue(t, mailer.Mail{Kind: kind, To: string(kind) + "@example.com", Fields: fields})
		}
		s.untilNoneWaits(t)
		wantRecipients(t, post, to...)
		for _, m := range post.Mails() {
			kind := mailer.Kind(strings.TrimSuffix(m.To, "@example.com"))
			shown := shows[kind]
			for _, part := range []string{m.Text, m.HTML} {
				if !strings.Contains(part, shown) || strings.Contains(part, "ann") == (kind == mailer.ConfirmEmail) || !strings.Contains(part, s.url) {
					t.Errorf("%s does not show %q:\n%s", m.To, shown, part)
				}
			}
			if strings.Contains(m.HTML, "<8>") {
				t.Errorf("what somebody else chose is HTML:\n%s", m.HTML)
			}
			if m.From != "no-reply@localhost" || m.Header.Get("From") != `"Sesame" <no-reply@localhost>` || m.Header.Get("Auto-Submitted") == "" {
				t.Errorf("the header is %v", m.Header)
			}
		}
		if strings.Contains(s.wholeLog(), code) {
			t.Errorf("the log shows the code:\n%s", s.log)
		}
	})
}

// Mails that wait in the database are encrypted.
func TestWaitingMailsAreSealed(t *testing.T) {
	withMail(t, smtptest.Options{Rcpt: func(string) error { return &smtp.SMTPError{Code: 450} }}, func(t *testing.T, s *server, _ *smtptest.Server) {
		s.mustEnqueue(t, s.resetMail("ann@example.com"))
		row := s.value(t, `SELECT id || kind || payload FROM mails`)
		if strings.Contains(row, code) || strings.Contains(row, "ann") {
			t.Errorf("it is %s", row)
		}
		s.mustEnqueue(t, s.resetMail("bob@example.com"))
		s.untilLogged(t, again, 2)
		// One row's payload does not open in another.
		s.sql(t, `UPDATE mails SET next_try_at = 0, payload = (SELECT MAX(payload) FROM mails)`)
		s.untilLogged(t, "cannot be decrypted with this master key", 1)
	})
}

// C6: a recipient that the mail server refuses for good is tried once, and an address that is none never.
func TestARefusedMailIsGivenUp(t *testing.T) {
	refuse := func(string) error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here"}
	}
	spam := func(to, data string) error {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "spam: " + code}
	}
	for name, o := range map[string]smtptest.Options{"the recipient": {Rcpt: refuse}, "the content": {Data: spam}} {
		t.Run(name, func(t *testing.T) {
			withMail(t, o, func(t *testing.T, s *server, post *smtptest.Server) {
				s.mustEnqueue(t, s.resetMail("ann@example.com"), s.resetMail("ann@example.com\r\nBcc: bob@example.com"))
				s.untilNoneWaits(t)
				wantRecipients(t, post)
				log := s.wholeLog()
				if strings.Count(log, givenUp) != 2 || strings.Contains(log, again) || !strings.Contains(log, "replied 55") || strings.Contains(log, code) {
					t.Errorf("the log is\n%s", log)
				}
			})
		})
	}
}

// C6: a mail that fails is tried again, later and later, for a day.
func TestAMailThatFailsIsTriedAgain(t *testing.T) {
	busy := func(string) error { return &smtp.SMTPError{Code: 451, Message: "greylisted"} }
	withMail(t, smtptest.Options{Rcpt: busy}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		s.mustEnqueue(t, s.resetMail("bob@example.com"))
		for i, wait := range []time.Duration{time.Minute, 2 * time.Minute, time.Hour} {
			s.untilLogged(t, again, i+1)
			until(t, "the mail is let go", func() bool { return s.value(t, `SELECT CAST(claimed_until AS TEXT) FROM mails`) == "0" })
			due := s.value(t, `SELECT CAST(next_try_at AS TEXT) FROM mails`)
			if want := fmt.Sprint(s.clock.now().Add(wait).UnixMicro()); due != want {
				t.Fatalf("after try %d it is due at %s, want %s", i+1, due, want)
			}
			if i == 1 {
				s.sql(t, `UPDATE mails SET attempts = 6`) // the seventh is the first that is followed by an hour
			}
			s.clock.advance(wait)
		}
		s.clock.advance(24 * time.Hour)
		s.untilLogged(t, givenUp, 1)
		s.untilNoneWaits(t)
		wantRecipients(t, post)
	})
}

// C6: a mail server that is away for a while, or does not let us in, loses no mail.
func TestAMailServerThatIsAway(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		post.Stop()
		s.mustEnqueue(t, s.resetMail("ann@example.com"))
		s.untilLogged(t, again, 1)
		locked := smtptest.Start(t, post.Address, smtptest.Options{Password: "another"})
		s.clock.advance(time.Minute)
		s.untilLogged(t, again, 2) // 530 to the sender: the operator's fault, not the recipient's
		locked.Stop()
		back := smtptest.Start(t, post.Address, smtptest.Options{})
		s.clock.advance(2 * time.Minute)
		s.untilNoneWaits(t)
		wantRecipients(t, back, "ann@example.com")
	})
}

// C6: a slow mail server delays no request, and one slow recipient no other.
func TestASlowMailServerDelaysNobody(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow, release := make(chan struct{}), make(chan struct{})
			post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{Rcpt: func(to string) error {
				if strings.HasPrefix(to, "slow") {
					close(slow)
					<-release
				}
				return nil
			}})
			s := start(t, databaseURL(t), "SESAME_SMTP_URL="+post.URL)
			s.mustEnqueue(t, s.resetMail("slow@example.com"))
			<-slow
			var to []string
			for i := range 6 {
				to = append(to, fmt.Sprintf("quick%d@example.com", i))
				s.mustEnqueue(t, s.resetMail(to[i]))
			}
			s.newcomer(t, "ann")
			to = append(to, "ann@example.com")
			until(t, "the others are sent", func() bool { return s.waiting(t) == "1" })
			wantRecipients(t, post, to...)
			close(release)
			s.untilNoneWaits(t)
			wantRecipients(t, post, append(to, "slow@example.com")...)
		})
	}
}

// C6: a server that is stopped finishes the mail that it is sending, and a restart loses none.
func TestARestartLosesNoMail(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, release := make(chan struct{}, 1), make(chan struct{})
			post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{Rcpt: func(to string) error {
				if strings.HasPrefix(to, "ann") {
					begun <- struct{}{}
					<-release
				}
				if strings.HasPrefix(to, "later") {
					return &smtp.SMTPError{Code: 451}
				}
				return nil
			}})
			s := start(t, databaseURL(t), "SESAME_SMTP_URL="+post.URL)
			s.mustEnqueue(t, s.resetMail("later@example.com"))
			s.untilLogged(t, again, 1)
			s.mustEnqueue(t, s.resetMail("ann@example.com"))
			<-begun
			exited := make(chan int, 1)
			go func() { exited <- s.stop() }()
			until(t, "the server takes no more connections", func() bool {
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
			close(release)
			if code := <-exited; code != 0 {
				t.Fatalf("exit code %d\n%s", code, s.log)
			}
			wantRecipients(t, post, "ann@example.com")
			if n := s.waiting(t); n != "1" {
				t.Errorf("%s mails wait", n)
			}
			willing := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
			next := start(t, s.dbURL, "SESAME_SMTP_URL="+willing.URL)
			next.clock.advance(time.Minute)
			next.untilNoneWaits(t)
			wantRecipients(t, willing, "later@example.com")
		})
	}
}

// C6: however many replicas there are, one of them sends a mail.
func TestTwoReplicasSendEachMailOnce(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL)
		var mails []mailer.Mail
		var to []string
		for i := range 60 {
			to = append(to, fmt.Sprintf("ann%d@example.com", i))
			mails = append(mails, s.resetMail(to[i]))
		}
		s.mustEnqueue(t, mails...)
		s.untilNoneWaits(t)
		wantRecipients(t, post, to...)
	})
}

// C6: a mail that a killed replica had claimed is sent when its lease has expired, and not before.
func TestAKilledReplicasMailIsSentAfterItsLease(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		claim := func(q *store.Queries) error {
			mails, err := q.ClaimMails(t.Context(), s.clock.now(), s.clock.now().Add(2*time.Minute), 10)
			if len(mails) != 1 {
				return fmt.Errorf("%d claimed: %w", len(mails), err)
			}
			return err
		}
		if err := s.enqueue(t, claim, s.resetMail("ann@example.com")); err != nil {
			t.Fatal(err)
		}
		s.mustEnqueue(t, s.resetMail("bob@example.com")) // when this one is sent, the other was passed over
		until(t, "one is sent", func() bool { return s.waiting(t) == "1" })
		wantRecipients(t, post, "bob@example.com")
		s.clock.advance(2 * time.Minute)
		s.untilNoneWaits(t)
		wantRecipients(t, post, "ann@example.com", "bob@example.com")
	})
}

// C6: many replicas that claim mails at once take each mail once.
func TestParallelClaimsTakeEachMailOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, ctx, now := newSeeder(t, s).db, t.Context(), s.clock.now()
		s.stop() // what follows is ours alone
		const mails = 200
		err := db.Tx(ctx, func(q *store.Queries) (err error) {
			for i := 0; i < mails && err == nil; i++ {
				err = q.EnqueueMail(ctx, store.Mail{ID: fmt.Sprint(i), CreatedAt: now})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		claimed := make(chan string, 10*mails)
		for range 8 {
			wait.Go(func() {
				for len(claimed) < mails {
					got, err := db.ClaimMails(ctx, now, now.Add(time.Minute), 4)
					if err != nil {
						t.Error(err)
						return
					}
					for _, m := range got {
						claimed <- m.ID
					}
				}
			})
		}
		wait.Wait()
		close(claimed)
		seen := map[string]int{}
		for id := range claimed {
			seen[id]++
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("mail %s was claimed %d times", id, n)
			}
		}
		if len(seen) != mails {
			t.Errorf("%d mails were claimed", len(seen))
		}
	})
}

// A replica whose lease has expired can neither postpone nor delete a mail that another has claimed since.
func TestAnOverdueClaimChangesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, ctx, now := newSeeder(t, s).db, t.Context(), s.clock.now().Add(-time.Hour)
		s.stop() // what follows is ours alone
		if err := db.EnqueueMail(ctx, store.Mail{ID: "x", CreatedAt: now}); err != nil {
			t.Fatal(err)
		}
		claim := func(at time.Time) []store.Mail {
			mails, err := db.ClaimMails(ctx, at, at.Add(time.Minute), 5)
			if err != nil {
				t.Fatal(err)
			}
			return mails
		}
		first := claim(now)
		if len(first) != 1 || len(claim(now.Add(59*time.Second))) != 0 {
			t.Fatalf("claimed %v, and again", first)
		}
		second := claim(now.Add(time.Minute))
		if len(second) != 1 || second[0].Attempts != 2 || !second[0].CreatedAt.Equal(first[0].CreatedAt) {
			t.Fatalf("claimed %v", second)
		}
		if err := db.RetryMail(ctx, first[0], now, ""); err != nil || len(claim(now.Add(time.Minute))) != 0 {
			t.Errorf("the first one let it go: %v", err)
		}
		if err := db.RetryMail(ctx, second[0], now, ""); err != nil || len(claim(now.Add(time.Minute))) != 1 {
			t.Errorf("the second one did not: %v", err)
		}
	})
}

// A function that is to follow a commit is not called after a rollback.
func TestAfterCommit(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db := newSeeder(t, s).db
		called := 0
		for _, end := range []error{nil, errors.New("no")} {
			err := db.Tx(t.Context(), func(q *store.Queries) error {
				before := called
				if q.AfterCommit(func() { called++ }); called != before {
					t.Error("called before the commit")
				}
				return end
			})
			if !errors.Is(err, end) {
				t.Fatal(err)
			}
		}
		if db.AfterCommit(func() { called++ }); called != 2 {
			t.Errorf("called %d times", called)
		}
	})
}

// Without a mail server the mails are in the log, codes and all: so the demo works.
func TestWithoutAMailServerMailsAreLogged(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.mustEnqueue(t, s.resetMail("ann@example.com"))
		s.untilNoneWaits(t)
		log := s.wholeLog()
		for _, part := range []string{code, "ann@example.com", "Choose a new password", "SESAME_SMTP_URL"} {
			if !strings.Contains(log, part) {
				t.Errorf("the log does not show %s:\n%s", part, log)
			}
		}
	})
}

// A code that has expired is not mailed.
func TestAnExpiredCodeIsNotMailed(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		m := s.resetMail("ann@example.com")
		m.ExpiresAt = s.clock.now()
		s.mustEnqueue(t, m)
		s.untilNoneWaits(t)
		wantRecipients(t, post)
		if !strings.Contains(s.wholeLog(), givenUp) {
			t.Error(s.log)
		}
	})
}

// Faulty templates stop the start, and are all named.
func TestFaultyMailTemplatesStopTheStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, name := range []string{"new_login.txt", "reset_password.html", "welcome.txt"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("Subject: x\n\nx"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_MAIL_TEMPLATES": folder}
	for _, name := range []string{"new_login.html", "reset_password.txt", "welcome.txt"} {
		fails(t, "", e, name)
	}
}

// The owner is mailed about every change of the password, at a confirmed address and at no other.
func TestTheOwnerIsToldOfAChangedPassword(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		ann, bob := s.newcomer(t, "ann"), s.newcomer(t, "bob")
		s.sql(t, `UPDATE users SET email_verified = TRUE WHERE username = 'ann'`)
		for _, token := range []string{ann.AccessToken, bob.AccessToken} {
			s.do(t, changePassword(token, "not it", "a bigger wooden horse")).want(422)
			s.do(t, changePassword(token, horse, "a bigger wooden horse")).want(204)
		}
		for _, name := range []string{"ann", "bob"} {
			if _, stderr, code := s.sesame(t, "the biggest wooden horse", "user", "set-password", name); code != 0 {
				t.Fatal(stderr)
			}
		}
		s.untilNoneWaits(t)
		wantRecipients(t, post, "ann@example.com", "ann@example.com", "ann@example.com", "bob@example.com")
		for _, m := range s.mailsTo(t, post, "ann@example.com", 3)[1:] { // the first is about the address
			if m.Subject != "Your password was changed" || strings.Contains(m.Text+m.HTML, "horse") {
				t.Errorf("%s\n%s", m.Subject, m.Text)
			}
		}
	})
}
