package apitest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
)

// ask asks for a reset from an address of the network.
func (s *server) ask(t *testing.T, email, from string) *answer {
	t.Helper()
	r := requestReset(email)
	r.header = map[string]string{"X-Forwarded-For": from}
	return s.do(t, r).want(202)
}

// L3: asking for a reset is answered alike, whether there is such an account or not, and leaves as much behind;
// a mail is sent to those alone who may have it.
func TestAResetTellsNobodyWhoHasAnAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.stop()
		s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, "SESAME_LOG_LEVEL=debug")
		s.register(t, "ann")
		s.register(t, "bob")
		s.must(t, "", "user", "disable", "bob")
		s.clock.advance(time.Minute)
		var first *answer
		for _, email := range []string{"ann@example.com", "bob@example.com", "nobody@example.com"} {
			before := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE purpose = 'reset'`)
			got := s.do(t, requestReset(email)).want(202)
			if first == nil {
				first = got
			}
			if len(got.body) > 0 || len(got.header) != len(first.header) {
				t.Errorf("%s is answered %v %s, and the first %v", email, got.header, got.body, first.header)
			}
			if after := s.value(t, `SELECT CAST(COUNT(*) - 1 AS TEXT) FROM one_time_codes WHERE purpose = 'reset'`); after != before {
				t.Errorf("%s leaves another number of codes behind", email)
			}
		}
		s.untilNoneWaits(t)
		s.untilLogged(t, `"kind":"to_nobody"`, 2)
		wantRecipients(t, post, "ann@example.com", "bob@example.com", "ann@example.com")
	})
}

// L3, C5: giving an address that another account has confirmed, at registration or later, is answered as for any
// address; the owner is notified and keeps it, and no code for it works.
func TestAConfirmedAddressStaysItsOwners(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		s.do(t, confirmEmail(s.mailedCode(t, post, "ann@example.com", 1))).want(204)
		s.clock.advance(time.Minute)
		registration := map[string]any{"username": "eve", "password": horse, "email": "Ann@example.com"}
		eve := decode[api.User](s.do(t, request{method: "POST", path: "/users", json: registration}).want(201))
		if eve.Email.MustGet() != "Ann@example.com" || eve.EmailVerified {
			t.Errorf("%+v", eve)
		}
		token := s.login(t, "eve").AccessToken
		asks := []request{requestVerification(token), changeEmail(token, "ann@example.com", horse)}
		for i, r := range append([]request{{}}, asks...) {
			if r.path != "" {
				s.clock.advance(time.Minute)
				s.do(t, r).want(202)
			}
			told := s.mailsTo(t, post, "ann@example.com", 2+i)[1+i]
			if !strings.Contains(told.Subject, "for another account") || strings.Contains(told.Text+told.HTML, "code=") {
				t.Errorf("the owner is mailed %s\n%s", told.Subject, told.Text)
			}
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE user_id IS NOT NULL`); n != "0" {
			t.Errorf("%s codes belong to an account", n)
		}
		// A code that was mailed before ann confirmed would have died then; should one be there, it is of no use.
		s.plantCode(t, "late", account.ToConfirm, eve.ID, "ann@example.com")
		s.do(t, confirmEmail("late")).want(409, "email_taken")
		s.plantCode(t, "reset", account.ToReset, "", "ann@example.com")
		s.do(t, resetOf("eve", "reset", "a bigger wooden horse")).want(422, "account_required").pointsAt("/username")
		s.do(t, resetPassword("reset", "a bigger wooden horse")).want(204)
		s.do(t, passwordGrant("ann@example.com", "a bigger wooden horse")).want(200)
		s.do(t, passwordGrant("eve", horse)).want(200)
	})
}

// C5: an account that only claims an address loses it when another proves it, by either kind of code.
func TestSquattersLoseTheAddress(t *testing.T) {
	for _, purpose := range []account.Purpose{account.ToConfirm, account.ToReset} {
		t.Run(string(purpose), func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				const address = "ann@example.com"
				register := func(name string) api.User {
					return decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{
						"username": name, "password": horse, "email": address,
					}}).want(201))
				}
				var squatters []api.Token
				for i := range 3 {
					register(fmt.Sprint("squatter", i))
					squatters = append(squatters, s.login(t, fmt.Sprint("squatter", i)))
				}
				squatter := s.me(t, squatters[0].AccessToken)
				s.plantCode(t, "the squatter's", account.ToConfirm, squatter.ID, address)
				ann := register("ann")
				s.plantCode(t, "ann's", purpose, ann.ID, address)
				if use := confirmEmail("ann's"); purpose == account.ToConfirm {
					s.do(t, use).want(204)
				} else {
					s.do(t, resetOf("ann", "ann's", horse)).want(204)
				}
				for _, token := range squatters {
					if me := s.me(t, token.AccessToken); !me.Email.IsNull() || me.EmailVerified {
						t.Errorf("%+v", me)
					}
				}
				s.do(t, confirmEmail("the squatter's")).want(422, "invalid_code")
				if me := s.me(t, decode[api.Token](s.do(t, passwordGrant(address, horse)).want(200)).AccessToken); me.ID != ann.ID {
					t.Errorf("the address logs %s in", me.Username)
				}
			})
		})
	}
}

// Of several who claim an address and prove it at once, one gets it.
func TestParallelProofsGiveOneOwner(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const many = 12
		for i := range many {
			ann := s.register(t, fmt.Sprint("ann", i))
			s.plantCode(t, fmt.Sprint("code", i), []account.Purpose{account.ToConfirm, account.ToReset}[i%2], ann.ID, "ann@example.com")
		}
		var wait sync.WaitGroup
		statuses := make([]int, many)
		for i := range many {
			wait.Go(func() {
				r := confirmEmail(fmt.Sprint("code", i))
				if i%2 == 1 {
					r = resetPassword(fmt.Sprint("code", i), "a bigger wooden horse")
				}
				a, err := s.try(r)
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] = a.status
			})
		}
		wait.Wait()
		won := 0
		for _, status := range statuses {
			switch status {
			case 204:
				won++
			case 422, 409:
			default:
				t.Errorf("one is answered %d", status)
			}
		}
		if owners := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE email_key = 'ann@example.com'`); won != 1 || owners != "1" {
			t.Errorf("%d won, %s own it: %v", won, owners, statuses)
		}
	})
}

// A reset goes to the address as the first account has it, however it was typed, and serves the others as well.
func TestAResetGoesToTheAddressOfTheAccount(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.register(t, "ann")
		s.do(t, request{method: "POST", path: "/users", json: map[string]any{"username": "bob", "password": horse, "email": "ANN@example.com"}}).want(201)
		s.mailsTo(t, post, "ANN@example.com", 1)
		s.do(t, requestReset("aNN@Example.com")).want(202)
		code := s.mailedCode(t, post, "ann@example.com", 2)
		s.do(t, resetOf("bob", code, "a bigger wooden horse")).want(204)
		bob := decode[api.Token](s.do(t, passwordGrant("ann@example.com", "a bigger wooden horse")).want(200))
		if me := s.me(t, bob.AccessToken); me.Username != "bob" || me.Email.MustGet() != "ann@example.com" {
			t.Errorf("what has been proven is not what was mailed: %+v", me)
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// C7: an address gets one mail a minute and five an hour, no matter who asks, and the limit does not show. Mails to
// confirm it and mails to reset a password are counted apart, so that neither uses the others up.
func TestMailsToAnAddressAreCounted(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		s.register(t, "ann")
		total := 1
		more := func(n int) {
			t.Helper()
			s.untilNoneWaits(t)
			if total += n; len(post.Mails()) != total {
				t.Fatalf("%d mails have come, not %d", len(post.Mails()), total)
			}
		}
		forAddress := func() request { return requestVerification(s.login(t, "ann").AccessToken) }
		forPassword := func() request { return requestReset("ann@example.com") }
		for i, ask := range []func() request{forAddress, forPassword} {
			if i == 1 { // registering has mailed the first of the others
				s.do(t, ask()).want(202)
				more(1)
				s.do(t, requestReset("ANN@EXAMPLE.COM")).want(202)
			}
			s.do(t, ask()).want(202)
			more(0)
			s.clock.advance(59 * time.Second)
			s.do(t, ask()).want(202)
			more(0)
			s.clock.advance(time.Second)
			same := ask()
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					if a, err := s.try(same); err != nil || a.status != 202 {
						t.Errorf("%+v %v", a, err)
					}
				})
			}
			wait.Wait()
			more(1)
			for range 3 {
				s.clock.advance(time.Minute)
				s.do(t, ask()).want(202)
				more(1)
			}
			for range 5 { // the sixth within an hour
				s.clock.advance(10 * time.Minute)
				s.do(t, ask()).want(202)
			}
			more(0)
		}
		s.clock.advance(10*time.Minute - time.Second)
		s.do(t, forPassword()).want(202)
		more(0)
		last := post.Mails()[total-1]
		s.clock.advance(time.Second)
		s.do(t, forPassword()).want(202)
		more(1)
		s.clock.advance(-time.Second)
		_, code := linkIn(t, last) // so an account that gets no mail has one with a valid code
		s.do(t, resetPassword(code, "a bigger wooden horse")).want(204)
	})
}

// A network that asks for mails to more and more addresses is limited as well.
func TestMailsThatANetworkAsksForAreCounted(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.stop()
		s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, proxied)
		s.clock.stop()
		for _, name := range []string{"ann", "bob"} {
			s.register(t, name)
		}
		s.clock.advance(time.Minute)
		for i := range 110 {
			s.ask(t, fmt.Sprintf("nobody%d@example.com", i), "203.0.113.7")
		}
		s.ask(t, "ann@example.com", "203.0.113.7")
		s.ask(t, "bob@example.com", "203.0.113.8")
		// An administrator is not held back, wherever they are.
		_, root := s.administrator(t, "root")
		r := request{method: "POST", path: "/users", token: root, json: map[string]any{"username": "lee", "password": horse, "email": "lee@example.com"}}
		r.header = map[string]string{"X-Forwarded-For": "203.0.113.7"}
		s.do(t, r).want(201)
		s.untilNoneWaits(t)
		wantRecipients(t, post, "ann@example.com", "bob@example.com", "bob@example.com", "lee@example.com")
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM one_time_codes WHERE purpose = 'reset'`); n != "101" {
			t.Errorf("%s codes were made", n)
		}
	})
}

// L5: a password can be reset however many guesses a stranger makes, and then logs in, where it was reset.
func TestAResetWorksWhileAStrangerGuesses(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.stop()
		s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, proxied)
		s.register(t, "ann")
		s.mailsTo(t, post, "ann@example.com", 1)
		s.clock.advance(time.Minute)
		s.spend(t, "ann", "203.0.113.7")
		s.do(t, here(passwordGrant("ann", horse))).want(429)
		s.ask(t, "ann@example.com", home)
		const next = "a bigger wooden horse"
		s.do(t, here(resetPassword(s.mailedCode(t, post, "ann@example.com", 2), next))).want(204)
		s.spend(t, "ann", "203.0.113.7") // who is quicker than the person
		s.do(t, here(passwordGrant("ann", next))).want(200)
		s.do(t, here(passwordGrant("ann@example.com", next))).want(200)
	})
}

// The owner is mailed about a login from an unknown address, unless it is the first login or that is switched off.
func TestALoginFromANewPlaceIsTold(t *testing.T) {
	const agent = "browser/1 (é)"
	for setting, want := range map[string]int{"on": 1, "off": 0} {
		t.Run(setting, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				s.stop()
				s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, proxied, "SESAME_NEW_LOGIN_MAILS="+setting)
				for _, name := range []string{"ann", "bob"} {
					s.register(t, name)
				}
				s.do(t, confirmEmail(s.mailedCode(t, post, "ann@example.com", 1))).want(204)
				from := func(name, address string) request {
					r := passwordGrant(name, horse)
					r.header = map[string]string{"X-Forwarded-For": address, "User-Agent": agent}
					return r
				}
				for _, name := range []string{"ann", "bob"} { // bob's address is not confirmed
					s.do(t, from(name, "203.0.113.1")).want(200)
					s.do(t, from(name, "203.0.113.1")).want(200)
					wrongly := from(name, "203.0.113.2")
					wrongly.form = url.Values{"grant_type": {"password"}, "username": {name}, "password": {wrong}}
					s.do(t, wrongly).want(400)
					var wait sync.WaitGroup
					for range 5 {
						wait.Go(func() {
							if _, err := s.try(from(name, "203.0.113.3")); err != nil {
								t.Error(err)
							}
						})
					}
					wait.Wait()
				}
				s.untilNoneWaits(t)
				told := s.mailsTo(t, post, "ann@example.com", 1+want)
				if len(told) > 1 && (told[1].Subject != "A login from a new place" || !strings.Contains(told[1].Text, "203.0.113.3") || !strings.Contains(told[1].Text, agent)) {
					t.Errorf("the owner is mailed %s\n%s", told[1].Subject, told[1].Text)
				}
				wantRecipients(t, post, append([]string{"ann@example.com", "bob@example.com"}, []string{"ann@example.com"}[:want]...)...)
			})
		})
	}
}

// L3: every claim of an address does the same work, whether or not another account has confirmed it; so does the
// second of two claims within a minute.
func TestEveryClaimDoesTheSameWork(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.createVerified(t, "ann") // ann@example.com
		written := func() string {
			return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) || ' codes, ' || (SELECT COUNT(*) FROM throttles) || ' counters' FROM one_time_codes`)
		}
		claimed := func(address string, names ...string) (steps []string) {
			s.sql(t, `DELETE FROM one_time_codes`)
			s.sql(t, `DELETE FROM throttles`)
			for _, name := range names {
				s.create(t, map[string]any{"username": name, "password": horse, "email": address}).want(201)
				steps = append(steps, written())
			}
			return steps
		}
		known, unknown := claimed("ann@example.com", "eve", "bea"), claimed("nobody@example.com", "joe", "kim")
		if !slices.Equal(known, unknown) {
			t.Errorf("for a confirmed address %v, for an unknown one %v", known, unknown)
		}
	})
}
