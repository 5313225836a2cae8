package apitest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
)

// A person adds a passkey on the account page, signs in with it alone, uses it as a second factor, and removes it.
func TestPasskeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		f := newFlow(s.publicClient(t))
		claimsOf := func(a *answer) string {
			t.Helper()
			claims := s.idToken(t, decode[api.Token](s.do(t, f.grant(codeOf(t, a))).want(200)).IDToken)
			return fmt.Sprintf("%v %v", claims["amr"], claims["acr"])
		}
		// Without a password.
		b := s.newBrowser()
		p, options := b.send(t, f.request()).want(200).passkeyForm()
		if got := claimsOf(b.submit(t, p, "passkey", key.get(t, options))); got != "[hwk user mfa] 2" {
			t.Error(got)
		}
		if len(b.others) > 0 {
			t.Errorf("the browser still has %v", b.others)
		}
		b.send(t, get("/account/security")).want(200).shows("My key").shows("Passkey – added on").shows("Last used on")
		// After a password. The key need not verify the person.
		b = s.newBrowser()
		page := b.submit(t, b.send(t, f.request()).want(200).form(), "username", "ann", "password", horse).want(200).shows("with your passkey")
		p, options = page.passkeyForm()
		if !strings.Contains(options, encode64(key.id)) {
			t.Errorf("the options do not name the passkey: %s", options)
		}
		if got := claimsOf(b.submit(t, p, "passkey", key.get(t, options, func(c *ceremony) { c.flags, c.user = userPresent, nil }))); got != "[pwd hwk user mfa] 2" {
			t.Error(got)
		}
		// The password alone is no sign-in any more, and a removed passkey is none either.
		s.do(t, passwordGrant("ann", horse)).want(400, "mfa_required")
		removal := b.send(t, get("/account/factor?factor="+s.value(t, `SELECT id FROM factors`))).want(200).formWith("do", "remove")
		b.follows(t, b.submit(t, removal), "/account/security?done=factor-removed").shows("is removed")
		s.newBrowser().withPasskey(t, key).want(422).shows("was not accepted")
		s.do(t, passwordGrant("ann", horse)).want(200)
	}, withPasskeys)
}

// The flags, the counter and the rest are stored at each use. A passkey of a keychain says "swk", and the flag for backups may change:
// that of iCloud does, when the person turns the keychain on.
func TestTheBackupFlagOfAPasskeyMayChange(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		for _, flags := range []byte{0, backupEligible, backupEligible | backedUp, 0} {
			s.newBrowser().withPasskey(t, key, func(c *ceremony) { c.flags |= flags }).want(303)
			want := fmt.Sprintf(`"user_verified":true,"backup_eligible":%t,"backed_up":%t`, flags&backupEligible != 0, flags&backedUp != 0)
			if stored := s.value(t, `SELECT secret FROM factors`); !strings.Contains(stored, want) || !strings.Contains(stored, `"transports":["internal","hybrid"]`) {
				t.Errorf("%x: %s", flags, stored)
			}
			method := map[bool]string{true: "swk", false: "hwk"}[flags&backupEligible != 0]
			if got := s.value(t, `SELECT methods FROM sessions ORDER BY id DESC LIMIT 1`); got != method+" user mfa" {
				t.Errorf("%x: %s", flags, got)
			}
		}
		// The session that adds a passkey has it as a second factor from then on.
		s.register(t, "bob")
		b := s.newBrowser()
		b.withPassword(t, "bob")
		b.addPasskey(t, newSoftKey(t), func(c *ceremony) { c.flags |= backupEligible }).want(200)
		if got := s.value(t, `SELECT methods FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = 'bob')`); got != "pwd swk mfa" {
			t.Error(got)
		}
		// Backed up but not eligible is impossible.
		s.newBrowser().withPasskey(t, key, func(c *ceremony) { c.flags |= backedUp }).want(422)
	}, withPasskeys)
}

// wrongAnswers are answers that no sign-in accepts.
func wrongAnswers(t *testing.T) map[string]func(*ceremony) {
	stranger := newSoftKey(t)
	return map[string]func(*ceremony){
		"the signature of another key": func(c *ceremony) { c.private = stranger.private },
		"an unknown passkey":           func(c *ceremony) { c.id = stranger.id },
		"another origin":               func(c *ceremony) { c.origin = "https://evil.example" },
		"an origin below":              func(c *ceremony) { c.origin = "https://evil." + passkeyHost },
		"another scheme":               func(c *ceremony) { c.origin = "http://" + passkeyHost },
		"another port":                 func(c *ceremony) { c.origin = passkeyOrigin + ":8443" },
		"a frame":                      func(c *ceremony) { c.crossOrigin = true },
		"another relying party":        func(c *ceremony) { c.host = "evil.example" },
		"nobody present":               func(c *ceremony) { c.flags &^= userPresent },
		"a registration":               func(c *ceremony) { c.kind = "webauthn.create" },
		"another challenge":            func(c *ceremony) { c.challenge = encode64(make([]byte, 52)) },
		"no challenge":                 func(c *ceremony) { c.challenge = "" },
		"another account":              func(c *ceremony) { c.user = []byte("01a216e4-3caa-795d-a62b-0c51992174df") },
	}
}

// A wrong answer gets one refusal, whatever is wrong with it, and starts no session.
func TestWrongAnswersOfAPasskey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		alone := wrongAnswers(t)
		alone["a person who was not verified"] = func(c *ceremony) { c.flags &^= userVerified }
		alone["no account"] = func(c *ceremony) { c.user = nil }
		before := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`)
		for name, change := range alone {
			s.sql(t, `DELETE FROM throttles`)
			s.newBrowser().withPasskey(t, key, change).want(422).shows("The passkey was not accepted")
			if after := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`); after != before {
				t.Errorf("%s: there are %s sessions, before %s", name, after, before)
			}
		}
		for name, change := range wrongAnswers(t) {
			s.sql(t, `DELETE FROM throttles`)
			b := s.newBrowser()
			p, options := b.submit(t, b.send(t, get("/sign-in")).formWith("", ""), "username", "ann", "password", horse).want(200).passkeyForm()
			b.submit(t, p, "passkey", key.get(t, options, change)).want(422).shows("The passkey was not accepted").shows("Second factor")
			if after := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`); after != before {
				t.Errorf("%s after a password: there are %s sessions, before %s", name, after, before)
			}
		}
		s.sql(t, `DELETE FROM throttles`)
		s.newBrowser().withPasskey(t, key).want(303)
	}, withPasskeys)
}

// The passkey of one person is no second factor of another.
func TestAPasskeyOfAnotherAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.withKey(t, "ann")
		bob := s.withKey(t, "bob")
		b := s.newBrowser()
		p, options := b.submit(t, b.send(t, get("/sign-in")).formWith("", ""), "username", "ann", "password", horse).want(200).passkeyForm()
		b.submit(t, p, "passkey", bob.get(t, options)).want(422)
		ann := s.value(t, `SELECT id FROM users WHERE username = 'ann'`)
		b.submit(t, p, "passkey", bob.get(t, options, func(c *ceremony) { c.user = []byte(ann) })).want(422)
		s.newBrowser().withPasskey(t, bob, func(c *ceremony) { c.user = []byte(ann) }).want(422)
		// Nor can a person register the passkey of another one.
		b = s.newBrowser()
		s.register(t, "cleo")
		b.withPassword(t, "cleo")
		b.addPasskey(t, bob).want(422).shows("has this passkey already")
	}, withPasskeys)
}

// F8: a challenge is valid once, for five minutes, in its browser and for its purpose.
func TestAChallengeIsValidOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		b := s.newBrowser()
		p, options := b.send(t, get("/sign-in")).passkeyForm()
		another := s.newBrowser()
		another.send(t, get("/sign-in"))
		answer := key.get(t, options)
		another.submit(t, p, "passkey", answer).want(422).shows("was not accepted")
		s.newBrowser().submit(t, p, "passkey", answer).want(422)
		bound := b.others["__Host-sesame-passkey"]
		b.submit(t, p, "passkey", answer).want(303)
		again := s.newBrowser() // even with the cookie of before
		again.others["__Host-sesame-passkey"] = bound
		again.submit(t, p, "passkey", answer).want(422)
		again.submit(t, p, "passkey", key.get(t, options)).want(422)

		b = s.newBrowser()
		p, options = b.send(t, get("/sign-in")).passkeyForm()
		_, second := b.send(t, get("/sign-in")).passkeyForm() // another tab
		if options == second {
			t.Error("two pages have one challenge")
		}
		b.submit(t, p, "passkey", key.get(t, options)).want(303)

		b = s.newBrowser()
		p, options = b.send(t, get("/sign-in")).passkeyForm()
		s.clock.advance(5*time.Minute + time.Second)
		b.submit(t, p, "passkey", key.get(t, options)).want(422)

		// The challenge of a sign-in is none of a second factor, and the other way round.
		b = s.newBrowser()
		page := b.send(t, get("/sign-in"))
		alone, forAlone := page.passkeyForm()
		after, forAfter := b.submit(t, page.formWith("", ""), "username", "ann", "password", horse).want(200).passkeyForm()
		b.submit(t, alone, "passkey", key.get(t, forAfter)).want(422)
		b.submit(t, after, "passkey", key.get(t, forAlone)).want(422)
		b.submit(t, after, "passkey", key.get(t, forAfter)).want(303)
	}, withPasskeys)
}

// signsIn sends the answer of a passkey as a browser with a cookie does, and reports whether it signs the person in.
func (s *server) signsIn(t *testing.T, p webPage, cookie, answer string) bool {
	t.Helper()
	a, err := s.try(request{method: "POST", path: p.action, form: url.Values{"passkey": {answer}}, header: map[string]string{
		"Sec-Fetch-Site": "same-origin", "Cookie": "__Host-sesame-passkey=" + cookie,
	}})
	if err != nil {
		t.Error(err)
		return false
	}
	return a.status == http.StatusSeeOther
}

// Of many sign-ins at once with one answer, or with answers that have one counter, one succeeds.
func TestAnAnswerIsValidOnceAtATime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann")
		b := s.newBrowser()
		for _, copied := range []bool{false, true} {
			var n atomic.Int32
			var signIns sync.WaitGroup
			p, options := b.send(t, get("/sign-in")).passkeyForm()
			cookie := b.others["__Host-sesame-passkey"]
			for range 4 {
				if copied {
					key.counter = 9
					p, options = b.send(t, get("/sign-in")).passkeyForm()
				}
				answer := key.get(t, options)
				signIns.Go(func() {
					if s.signsIn(t, p, cookie, answer) {
						n.Add(1)
					}
				})
			}
			signIns.Wait()
			if n.Load() != 1 {
				t.Errorf("copied %t: %d sign-ins succeeded", copied, n.Load())
			}
			s.sql(t, `DELETE FROM throttles`)
		}
	}, withPasskeys)
}

// A signature counter that goes back means that there is a copy: the sign-in is refused and recorded. The key that goes on counting
// works. A key that does not count is none.
func TestTheCounterOfAPasskey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := newSoftKey(t)
		key.counter = 7
		s.register(t, "ann")
		b := s.newBrowser()
		b.withPassword(t, "ann")
		b.addPasskey(t, key).want(200).shows("recovery codes")
		key.counter++
		s.newBrowser().withPasskey(t, key).want(303)
		copies := func() string {
			return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'passkey_copied'`)
		}
		for i, counter := range []uint32{8, 3, 0} {
			s.newBrowser().withPasskey(t, key, func(c *ceremony) { c.counter = counter }).want(422).shows("was not accepted")
			if got := copies(); got != fmt.Sprint(i+1) {
				t.Errorf("counter %d: there are %s events", counter, got)
			}
		}
		key.counter = 20
		s.newBrowser().withPasskey(t, key).want(303)
		if got := s.value(t, `SELECT CAST(last_step AS TEXT) FROM factors`); got != "20" {
			t.Errorf("the counter is %s", got)
		}
		// A wrong signature with an old counter is no copy.
		stranger := newSoftKey(t)
		s.newBrowser().withPasskey(t, key, func(c *ceremony) { c.counter, c.private = 1, stranger.private }).want(422)
		if got := copies(); got != "3" {
			t.Errorf("there are %s events", got)
		}
	}, withPasskeys)
}

// Wrong answers of a passkey and wrong passwords share a counter.
func TestWrongAnswersShareTheThrottle(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key, stranger := s.withKey(t, "ann"), newSoftKey(t)
		s.sql(t, `DELETE FROM known_addresses`)
		forged := func(c *ceremony) { c.private = stranger.private }
		for i := range 5 {
			if i%2 == 0 {
				s.newBrowser().withPasskey(t, key, forged).want(422)
			} else {
				s.do(t, passwordGrant("ann", wrong)).want(400, "invalid_grant")
			}
		}
		s.newBrowser().withPasskey(t, key).want(429).shows("too many attempts")
		s.do(t, passwordGrant("ann", horse)).want(429)
		if got := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'login_failed'`); got != "5" {
			t.Errorf("%s failures are recorded", got)
		}
		s.clock.advance(time.Hour)
		s.newBrowser().withPasskey(t, key).want(303)
	}, withPasskeys)
}

// A disabled account gets the answer of an unknown passkey, and one that must confirm its address first an explanation.
func TestAPasskeyOfAnAccountThatCannotSignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := newSoftKey(t)
		ann := s.register(t, "ann")
		s.sql(t, `UPDATE users SET email_verified = TRUE`)
		b := s.newBrowser()
		b.withPassword(t, "ann")
		b.addPasskey(t, key).want(200).shows("recovery codes")
		s.sql(t, `UPDATE users SET email_verified = FALSE WHERE id = '`+ann.ID+`'`)
		s.newBrowser().withPasskey(t, key).want(422).shows("is not confirmed yet")
		s.must(t, "", "user", "disable", "ann")
		s.newBrowser().withPasskey(t, key).want(422).shows("was not accepted")
		s.must(t, "", "user", "delete", "ann", "--yes")
		s.newBrowser().withPasskey(t, key).want(422).shows("was not accepted")
		if got := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM factors`); got != "0" {
			t.Errorf("%s factors are left", got)
		}
	}, withPasskeys, "SESAME_SIGN_IN_UNCONFIRMED=off")
}
