package apitest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
)

const ownAddress = "ann@example.com"

// claims registers an account with ann's address.
func (s *server) claims(t *testing.T, username string) api.User {
	t.Helper()
	return decode[api.User](s.create(t, map[string]any{"username": username, "password": horse, "email": ownAddress}).want(201))
}

// exhaust uses up every mail that an account, and the address itself, may ask for at the moment. It gives the code of the
// last reset that was mailed, which is none while no account has the address.
func (s *server) exhaust(t *testing.T, post *smtptest.Server, token string) {
	t.Helper()
	for range 6 {
		if token != "" {
			s.do(t, requestVerification(token)).want(202)
		}
		s.do(t, requestReset(ownAddress)).want(202)
		s.untilNoneWaits(t) // a mail under way would be sent again after a minute
		s.clock.advance(time.Minute)
	}
	before := len(post.Mails())
	if token != "" {
		s.do(t, requestVerification(token)).want(202)
	}
	s.do(t, requestReset(ownAddress)).want(202)
	s.untilNoneWaits(t)
	if after := len(post.Mails()); after != before {
		t.Fatalf("%d mails are left", after-before)
	}
}

// next does something that mails ann a link, and gives its code.
func (s *server) next(t *testing.T, post *smtptest.Server, ask func()) (code string) {
	t.Helper()
	s.untilNoneWaits(t)
	before := len(post.Mails())
	ask()
	s.untilNoneWaits(t)
	mails := post.Mails()
	if len(mails) != before+1 || mails[before].To != ownAddress {
		t.Fatalf("%d mails were sent to %v", len(mails)-before, recipients(mails[before:]))
	}
	_, code = linkIn(t, mails[before])
	return code
}

// lastReset is the code of the last mail about a password.
func lastReset(t *testing.T, post *smtptest.Server) (code string) {
	t.Helper()
	mails := slices.DeleteFunc(post.Mails(), func(m smtptest.Mail) bool { return m.Subject != "Choose a new password" })
	if len(mails) == 0 {
		t.Fatal("none was mailed")
	}
	_, code = linkIn(t, mails[len(mails)-1])
	return code
}

// owns fails the test unless the address logs this account in, and it alone has the address confirmed.
func (s *server) owns(t *testing.T, username, password string) {
	t.Helper()
	token := decode[api.Token](s.do(t, passwordGrant(ownAddress, password)).want(200)).AccessToken
	if me := s.me(t, token); me.Username != username || !me.EmailVerified {
		t.Errorf("the address logs %+v in", me)
	}
}

// N3, C5: a stranger who claims the address before its owner registers uses none of the owner's mails up.
func TestAClaimBeforeTheOwner(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.claims(t, "eve")
		eve := s.login(t, "eve").AccessToken
		s.exhaust(t, post, eve)
		confirm := s.next(t, post, func() { s.claims(t, "ann") })
		// The last mail that eve has asked for serves the owner as well.
		reset := lastReset(t, post)
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(422, "account_required").pointsAt("/username")
		s.do(t, confirmEmail(confirm)).want(204)
		s.owns(t, "ann", horse)
		if me := s.me(t, eve); !me.Email.IsNull() {
			t.Errorf("%+v", me)
		}
		// With the codes, the count has ended.
		reset = s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(204)
		s.owns(t, "ann", "a bigger wooden horse")
	})
}

// N3: resets that were asked for while no account had the address do not count against an account that is created
// afterwards.
func TestResetsOfNobodyUseNothingUp(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.exhaust(t, post, "")
		if _, stderr, code := s.sesame(t, `{"username":"ann","email":"ann@example.com"}`, "user", "import", "-"); code != 0 {
			t.Fatal(stderr)
		}
		reset := s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.do(t, resetPassword(reset, horse)).want(204)
		s.owns(t, "ann", horse)
	})
}

// N3, C7: nor do those of a stranger who claims the address later. The owner is notified of such claims five times in
// an hour at most, whatever the number of accounts.
func TestClaimsAfterTheOwner(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop() // or the hour might end in between
		confirm := s.next(t, post, func() { s.claims(t, "ann") })
		s.do(t, confirmEmail(confirm)).want(204)
		for i := range 8 {
			s.claims(t, fmt.Sprint("eve", i))
			s.untilNoneWaits(t) // a mail under way would be sent again after a minute
			s.clock.advance(time.Minute)
		}
		s.untilNoneWaits(t)
		told := s.mailsTo(t, post, ownAddress, 6)
		for _, m := range told[1:] {
			if m.Subject != "Your e-mail address was given for another account" {
				t.Errorf("ann is mailed %s", m.Subject)
			}
		}
		reset := s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.do(t, resetOf("eve0", reset, "a bigger wooden horse")).want(422, "account_required")
		s.page(t, open(resetPage, reset)).want(200).shows("your account <bdi>ann</bdi>")
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(204)
		s.owns(t, "ann", "a bigger wooden horse")
	})
}

// N3: the owner of an imported account can reset its password, even if strangers claimed its address before and asked
// for mails; and confirming the address for another account does not take it from the imported one.
func TestAClaimBeforeAnImport(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.claims(t, "eve")
		s.exhaust(t, post, s.login(t, "eve").AccessToken)
		if _, stderr, code := s.sesame(t, `{"username":"ann","email":"ann@example.com"}`, "user", "import", "-"); code != 0 {
			t.Fatal(stderr)
		}
		reset := lastReset(t, post)
		refused := s.do(t, resetPassword(reset, "a bigger wooden horse")).want(422, "account_required").pointsAt("/username")
		if detail := decode[api.Problem](refused).Errors[0].Detail; detail != "must be one of: ann, eve" {
			t.Errorf("the accounts are listed as %q", detail)
		}
		page := s.page(t, open(resetPage, reset)).want(200)
		if ann, eve := strings.Index(string(page.body), `value="ann"`), strings.Index(string(page.body), `value="eve"`); ann < 0 || eve < ann {
			t.Errorf("the page has not ann, then eve:\n%s", page.body)
		}
		// Another account of the person, whose confirmation takes the claim alone.
		confirm := s.next(t, post, func() { s.claims(t, "ann2") })
		s.do(t, confirmEmail(confirm)).want(204)
		if left := s.value(t, `SELECT MIN(username) || ' ' || MAX(username) FROM users WHERE email_key = 'ann@example.com'`); left != "ann ann2" {
			t.Errorf("the address is left to %s", left)
		}
		reset = s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(422, "account_required")
		s.do(t, resetOf("ann", reset, "a bigger wooden horse")).want(204)
		s.do(t, passwordGrant("ann", "a bigger wooden horse")).want(200)
		s.owns(t, "ann2", horse)
		s.untilNoneWaits(t)
		told := s.mailsTo(t, post, ownAddress, len(post.Mails()))
		if last := told[len(told)-1]; last.Subject != "Your password was reset" || !strings.Contains(last.Text, "account ann ") {
			t.Errorf("the last mail is %s\n%s", last.Subject, last.Text)
		}
	})
}

// N3: a disabled account hinders no other with the same address, whether it was the first to claim the address or
// owns it.
func TestADisabledClaimantSwallowsNoReset(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.claims(t, "eve")
		s.claims(t, "ann")
		s.untilNoneWaits(t)
		s.must(t, "", "user", "disable", "eve")
		reset := s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(204)
		s.owns(t, "ann", "a bigger wooden horse")
		s.untilNoneWaits(t) // the mail to ann

		s.claims(t, "eva")
		s.untilNoneWaits(t)
		s.must(t, "", "user", "disable", "ann")
		reset = s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.do(t, resetPassword(reset, "the biggest wooden horse")).want(204)
		s.do(t, passwordGrant("eva", "the biggest wooden horse")).want(200)
		s.do(t, passwordGrant(ownAddress, "the biggest wooden horse")).want(400) // it stays ann's
	})
}

// N3: a person who takes a stranger's account has it for themselves: no session, no code and no known place of the stranger
// is left.
func TestAStrangersAccountIsTakenWhole(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.stop()
		s = start(t, s.dbURL, "SESAME_SMTP_URL="+post.URL, proxied)
		s.clock.stop()
		s.claims(t, "ann")
		eve := s.claims(t, "eve")
		session := decode[api.Token](s.do(t, from("203.0.113.66", passwordGrant("eve", horse))).want(200))
		s.do(t, changeEmail(session.AccessToken, "eve@evil.example", horse)).want(202)
		back := s.mailedCode(t, post, "eve@evil.example", 1)
		s.clock.advance(time.Minute)
		reset := s.next(t, post, func() { s.do(t, requestReset(ownAddress)).want(202) })
		s.clock.advance(time.Minute)
		s.do(t, here(resetOf("EVE", reset, "a bigger wooden horse"))).want(204)
		s.owns(t, "eve", "a bigger wooden horse")
		s.do(t, request{method: "GET", path: "/users/me", token: session.AccessToken}).want(401)
		s.do(t, refreshGrant(session.RefreshToken)).want(400)
		for _, password := range []string{horse, "a bigger wooden horse"} {
			s.do(t, confirmWith(back, "", password)).want(422, "invalid_code")
		}
		// Known are where the reset and where the login of owns came from.
		if known := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM known_addresses WHERE user_id = '`+eve.ID+`'`); known != "2" {
			t.Errorf("%s places are known", known)
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// C1, C2: of many who use one code at once, for whichever of its accounts, one succeeds, and every other code for the
// address ends.
func TestParallelResetsOfSeveralAccounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for i := range 4 {
			s.claims(t, fmt.Sprint("ann", i))
		}
		if _, stderr, code := s.sesame(t, horse, "user", "create", "given", "--email", ownAddress); code != 0 {
			t.Fatal(stderr)
		}
		s.plantCode(t, "x", account.ToReset, "", ownAddress)
		s.plantCode(t, "y", account.ToReset, "", ownAddress)
		var wait sync.WaitGroup
		statuses := make([]int, 12)
		for i := range statuses {
			wait.Go(func() {
				a, err := s.try(resetOf(fmt.Sprint("ann", i%4), "x", "a bigger wooden horse"))
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] = a.status
			})
		}
		wait.Wait()
		slices.Sort(statuses)
		if statuses[0] != 204 || statuses[1] != 422 || statuses[11] != 422 {
			t.Errorf("the answers are %v", statuses)
		}
		s.do(t, resetOf("given", "y", "the biggest wooden horse")).want(422, "invalid_code")
		for _, code := range []string{"v", "w"} { // nor when the address is confirmed by another account
			s.plantCode(t, code, account.ToReset, "", ownAddress)
		}
		s.clock.advance(time.Second)
		s.do(t, resetOf("given", "v", "the biggest wooden horse")).want(204)
		for i := range 4 {
			s.do(t, resetOf(fmt.Sprint("ann", i), "w", "the biggest wooden horse")).want(422, "invalid_code")
		}
	})
}

// N3, C2: if the holder of an account that claims the address changes or deletes it, the codes end for that account,
// and not for the owner's.
func TestStrangersEndNobodysCodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		if _, stderr, code := s.sesame(t, `{"username":"ann","email":"ann@example.com"}`, "user", "import", "-"); code != 0 {
			t.Fatal(stderr)
		}
		for i, end := range []func(eve api.User, token string){
			func(_ api.User, token string) {
				s.do(t, changePassword(token, horse, "a bigger wooden horse")).want(204)
			},
			func(eve api.User, _ string) { s.do(t, amend(root, eve, map[string]any{"disabled": true})).want(200) },
			func(eve api.User, _ string) { s.do(t, amend(root, eve, map[string]any{"email": nil})).want(200) },
			func(_ api.User, token string) {
				s.do(t, request{method: "DELETE", path: "/users/me", token: token}).want(204)
			},
		} {
			name, code := fmt.Sprint("eve", i), fmt.Sprint("code", i)
			eve := s.claims(t, name)
			s.plantCode(t, code, account.ToReset, "", ownAddress)
			s.do(t, resetPassword(code, horse)).want(422, "account_required")
			end(eve, decode[api.Token](s.do(t, withScope(passwordGrant(name, horse), "me:write me:delete")).want(200)).AccessToken)
			s.do(t, resetOf(name, code, "the biggest wooden horse")).want(422, "account_required")
			s.do(t, resetPassword(code, "short")).want(422, "validation_failed") // ann's alone
		}
		s.do(t, resetPassword("code0", horse)).want(204)
		s.owns(t, "ann", horse)
	})
}

// N3: confirming an address takes it from 100 accounts that claim it, so that the work of one request is bounded; the
// other claims expire.
func TestAnOwnerTakesTheAddressFromAHundredClaimants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for i := range 102 {
			s.claims(t, fmt.Sprint("eve", i))
		}
		ann := s.claims(t, "ann")
		s.plantCode(t, "code", account.ToConfirm, ann.ID, ownAddress)
		s.do(t, confirmEmail("code")).want(204)
		if left := s.value(t, `SELECT COUNT(*) || ' ' || SUM(CASE WHEN email_verified THEN 1 ELSE 0 END) FROM users WHERE email_key = '`+ownAddress+`'`); left != "3 1" {
			t.Errorf("accounts with the address, and with a verified one: %s, want those of ann and of two others, and 1", left)
		}
		if lost := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'email_lost'`); lost != "100" {
			t.Errorf("%s losses are recorded, want 100", lost)
		}
	})
}

// N3: a claim that is not confirmed within 30 days expires. An address that an operator gave, or that is confirmed,
// stays.
func TestClaimsExpire(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.claims(t, "eve")
		s.register(t, "lee")
		s.do(t, confirmEmail(s.mailedCode(t, post, "lee@example.com", 1))).want(204)
		_, root := s.administrator(t, "root")
		s.do(t, request{method: "POST", path: "/users", token: root, json: map[string]any{"username": "bob", "password": horse, "email": "bob@example.com"}}).want(201)
		readdressed := s.register(t, "cas")
		s.do(t, amend(root, readdressed, map[string]any{"email": "cas@example.org"})).want(200)
		unchanged := s.register(t, "dan")
		s.do(t, amend(root, unchanged, map[string]any{"email": "dan@example.com", "full_name": "Dan"})).want(200) // which vouches for nothing
		if _, stderr, code := s.sesame(t, `{"username":"ann","email":"ann@example.com"}`, "user", "import", "-"); code != 0 {
			t.Fatal(stderr)
		}
		left := func() string {
			if _, err := cleanupJob(s.open(t), s.clock.now).Cleanup(t.Context()); err != nil {
				t.Fatal(err)
			}
			return strings.Join(s.list(t, decode[api.Token](s.do(t, adminGrant("root")).want(200)).AccessToken, "", nil), " ") + ": " +
				s.value(t, `SELECT CAST(COUNT(email) AS TEXT) || COUNT(email_key) || COUNT(email_claimed_at) FROM users`)
		}
		if got := left(); got != "ann bob cas dan eve lee root: 662" {
			t.Errorf("at first: %s", got)
		}
		s.clock.advance(30*24*time.Hour - time.Minute)
		if got := left(); got != "ann bob cas dan eve lee root: 662" {
			t.Errorf("after 30 days: %s", got)
		}
		s.clock.advance(2 * time.Minute)
		if got := left(); got != "ann bob cas dan eve lee root: 440" {
			t.Errorf("after a minute more: %s", got)
		}
		if lost := s.value(t, `SELECT MIN(username) || ' ' || MAX(username) || COUNT(*) FROM events WHERE kind = 'email_lost' AND actor = ''`); lost != "dan eve2" {
			t.Errorf("recorded are %s", lost)
		}
	})
}
