package apitest

import (
	"context"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/store"
)

// meanwhile sends a request while another transaction is under way that has done something, and then does
// something else, if given. On PostgreSQL the request has come to where it waits for the other by then; SQLite has
// one writer, and every request waits.
func (s *server) meanwhile(t *testing.T, r request, before, after func(*store.Queries) error) *answer {
	t.Helper()
	got := make(chan *answer, 1)
	err := s.open(t).Tx(t.Context(), func(q *store.Queries) error {
		if err := before(q); err != nil {
			return err
		}
		if err := q.Flush(t.Context()); err != nil {
			return err
		}
		go func() {
			a, err := s.try(r)
			if err != nil {
				t.Error(err)
			}
			got <- a
		}()
		if !strings.HasPrefix(s.dbURL, "sqlite:") {
			until(t, "the request waits", func() bool {
				return len(got) > 0 || s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) != "0"
			})
		}
		if after != nil {
			return after(q)
		}
		return nil
	})
	if err != nil {
		t.Errorf("the other transaction: %v", err)
	}
	a := <-got
	a.t = t
	return a
}

// codesOf says how many codes somebody has, of whatever purpose.
func (s *server) codesOf(t *testing.T, who api.User) string {
	t.Helper()
	return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE user_id = '`+who.ID+`'`)
}

// C1, C2: whatever ends a code, or the right to have one, counts for a request that is under way too.
func TestWhatUsesACodeLooksAgain(t *testing.T) {
	const address, next = "ann@example.com", "a bigger wooden horse"
	for name, test := range map[string]struct {
		ask    func(token string) request
		change func(ctx context.Context, q *store.Queries, id string) error
		status int
	}{
		"an address is confirmed while it is changed": {
			func(string) request { return confirmEmail("confirm") }, readdressed, 422,
		},
		"a password is reset while the address is changed": {
			func(string) request { return resetPassword("reset", next) }, readdressed, 422,
		},
		"an address is confirmed while the account is disabled": {
			func(string) request { return confirmEmail("confirm") }, disabled, 422,
		},
		"a password is reset while the account is disabled": {
			func(string) request { return resetPassword("reset", next) }, disabled, 422,
		},
		"a password is reset while the account is deleted": {
			func(string) request { return resetPassword("reset", next) }, deleted, 422,
		},
		"another address is asked for while the password is changed": {
			func(token string) request { return changeEmail(token, "eve@example.org", horse) },
			func(ctx context.Context, q *store.Queries, id string) error {
				return q.SetPasswordHash(ctx, id, "another hash", time.Now())
			}, 422,
		},
		"a reset is asked for while the address is changed":        {func(string) request { return requestReset(address) }, readdressed, 202},
		"a reset is asked for while the account is disabled":       {func(string) request { return requestReset(address) }, disabled, 202},
		"a reset is asked for while the account is deleted":        {func(string) request { return requestReset(address) }, deleted, 202},
		"a confirmation is asked for while the account is deleted": {requestVerification, deleted, 401},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				ann := decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "ann", "password": horse}}).want(201))
				s.sql(t, `UPDATE users SET email = '`+address+`', email_key = '`+address+`'`)
				token := s.login(t, "ann").AccessToken
				s.plantCode(t, "confirm", account.ToConfirm, ann.ID, address)
				s.plantCode(t, "reset", account.ToReset, ann.ID, address)
				s.meanwhile(t, test.ask(token), func(q *store.Queries) error {
					return test.change(t.Context(), q, ann.ID)
				}, func(q *store.Queries) error { return q.EndCodes(t.Context(), ann.ID, s.clock.now()) }).want(test.status)
				s.do(t, confirmEmail("confirm")).want(422, "invalid_code")
				s.do(t, resetPassword("reset", next)).want(422, "invalid_code")
			})
		})
	}
}

// C2: a code is of no use to a disabled account, even if it is still there.
func TestADisabledAccountUsesNoCode(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		s.plantCode(t, "x", account.ToConfirm, ann.ID, "ann@example.com")
		s.meanwhile(t, confirmEmail("x"), func(q *store.Queries) error {
			return disabled(t.Context(), q, ann.ID)
		}, nil).want(422, "invalid_code")
		s.do(t, confirmEmail("x")).want(422, "invalid_code")
	})
}

// readdressed, disabled and deleted are what an administrator does to an account.
func readdressed(ctx context.Context, q *store.Queries, id string) error {
	_, err := q.UpdateUser(ctx, id, store.UserChange{Email: new("lee@example.org"), EmailKey: new("lee@example.org")}, time.Now())
	return err
}

func disabled(ctx context.Context, q *store.Queries, id string) error {
	_, err := q.UpdateUser(ctx, id, store.UserChange{Disabled: new(true)}, time.Now())
	return err
}

func deleted(ctx context.Context, q *store.Queries, id string) error { return q.DeleteUser(ctx, id) }

// A change of another field while an address is being confirmed is not taken for a change of the address.
func TestAChangeOfTheNameIsNoChangeOfTheAddress(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		token := s.login(t, "ann").AccessToken
		ann := s.me(t, token)
		rename := request{method: "PATCH", path: "/users/me", token: token, json: map[string]any{"full_name": "Ann of Troy"}}
		got := s.meanwhile(t, rename, func(q *store.Queries) error {
			return q.ConfirmEmail(t.Context(), ann.ID, "lee@example.org", "lee@example.org", time.Now())
		}, nil).want(200)
		if now := decode[api.User](got); now.Email.MustGet() != "lee@example.org" || !now.EmailVerified {
			t.Errorf("%+v", now)
		}
		s.untilNoneWaits(t)
		wantRecipients(t, post)
		if n := s.codesOf(t, ann); n != "0" {
			t.Errorf("there are %s codes", n)
		}
	})
}

// L3: asking for a reset waits for no account, whether a mail is sent or not, so that the time that it takes tells nothing
// of one.
func TestAResetRequestTouchesNoAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		ask := func() {
			s.do(t, requestReset("ann@example.com")).want(202)
			s.do(t, requestReset("ann@example.com")).want(202) // which is refused
		}
		if strings.HasPrefix(s.dbURL, "sqlite:") { // which has one writer, whatever is written
			ask()
			return
		}
		err := s.open(t).Tx(t.Context(), func(q *store.Queries) error {
			_, err := q.LockUser(t.Context(), ann.ID)
			ask()
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE purpose = 'reset'`); n != "1" {
			t.Errorf("there are %s codes", n)
		}
	})
}

// L5, C7: whatever ends the codes, the next reset is mailed, however many a stranger has asked for before.
func TestAResetIsMailedWhenTheLastCodeHasEnded(t *testing.T) {
	const next = "a bigger wooden horse"
	for name, end := range map[string]func(t *testing.T, s *server, reset, confirm string){
		"a reset": func(t *testing.T, s *server, reset, _ string) {
			s.do(t, resetPassword(reset, next)).want(204)
		},
		"the address is confirmed": func(t *testing.T, s *server, _, confirm string) {
			s.do(t, confirmEmail(confirm)).want(204)
		},
		"the password is changed": func(t *testing.T, s *server, _, _ string) {
			s.sql(t, `UPDATE users SET email_verified = TRUE`)
			s.do(t, changePassword(s.login(t, "ann").AccessToken, horse, next)).want(204)
		},
		"the password is set at the command line": func(t *testing.T, s *server, _, _ string) {
			s.sql(t, `UPDATE users SET email_verified = TRUE`)
			s.sesame(t, next, "user", "set-password", "ann")
		},
	} {
		t.Run(name, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				s.register(t, "ann")
				confirm := s.mailedCode(t, post, "ann@example.com", 1)
				var reset string
				for i := range 5 {
					s.clock.advance(time.Minute)
					s.do(t, requestReset("ann@example.com")).want(202)
					reset = s.mailedCode(t, post, "ann@example.com", 2+i)
				}
				s.do(t, requestReset("ann@example.com")).want(202) // which is one too many
				end(t, s, reset, confirm)
				s.untilNoneWaits(t)
				before := len(post.Mails())
				s.do(t, requestReset("ann@example.com")).want(202)
				_, again := linkIn(t, s.mailsTo(t, post, "ann@example.com", before+1)[before])
				s.do(t, resetPassword(again, "the biggest wooden horse")).want(204)
			})
		})
	}
}

// C7: still, an address that is not confirmed cannot be sent mails without limit.
func TestAChangedPasswordFreesNoMailsToAClaimedAddress(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		eve := s.newcomer(t, "eve").AccessToken
		passwords := []string{horse, "a bigger wooden horse"}
		for i := range 4 {
			s.do(t, requestReset("eve@example.com")).want(202)
			s.do(t, changePassword(eve, passwords[i%2], passwords[(i+1)%2])).want(204)
		}
		s.untilNoneWaits(t)
		wantRecipients(t, post, "eve@example.com", "eve@example.com")
	})
}

// Of two new addresses the one that was given later counts, even if no code may be mailed to it at the moment.
func TestTheLaterAddressCountsEvenUnmailed(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		ann := s.newcomer(t, "ann").AccessToken
		s.do(t, changeEmail(ann, "first@example.org", horse)).want(202)
		s.do(t, changeEmail(ann, "second@example.org", horse)).want(202)
		code := s.mailedCode(t, post, "second@example.org", 1)
		s.do(t, changeEmail(ann, "first@example.org", horse)).want(202) // which has just had a mail
		s.do(t, confirmEmail(code)).want(422, "invalid_code")
		s.clock.advance(time.Minute)
		s.do(t, changeEmail(ann, "lee@example.org", horse)).want(202)
		code = s.mailedCode(t, post, "lee@example.org", 1)
		s.do(t, changeEmail(ann, "Lee@example.org", horse)).want(202) // nor is this mailed, but the last one is for there
		s.do(t, confirmEmail(code)).want(204)
	})
}

// To some mail servers Ann@ and ann@ are two addresses, so the old one is notified.
func TestAnotherSpellingIsAnotherAddress(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		ann := s.newcomer(t, "ann").AccessToken
		s.do(t, confirmEmail(s.mailedCode(t, post, "ann@example.com", 1))).want(204)
		s.clock.advance(time.Minute)
		s.do(t, changeEmail(ann, "Ann@example.com", horse)).want(202)
		s.do(t, confirmEmail(s.mailedCode(t, post, "Ann@example.com", 1))).want(204)
		if told := s.mailsTo(t, post, "ann@example.com", 2)[1]; told.Subject != "Your e-mail address was changed" {
			t.Errorf("the old address was told %s", told.Subject)
		}
	})
}

// C5: a reset is for the owner of the address, even if another account claimed it before.
func TestAResetGoesToTheOwner(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "eve", "password": horse, "email": "ann@example.com"}}).want(201)
		s.createVerified(t, "ann")
		s.do(t, requestReset("ann@example.com")).want(202)
		s.do(t, resetPassword(s.mailedCode(t, post, "ann@example.com", 2), "a bigger wooden horse")).want(204)
		s.do(t, passwordGrant("ann", "a bigger wooden horse")).want(200)
		s.do(t, passwordGrant("eve", horse)).want(200)
	})
}
