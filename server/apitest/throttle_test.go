package apitest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The test is the trusted proxy, and names the clients.
const proxied = "SESAME_TRUSTED_PROXIES=127.0.0.1/32"

const wrong = "not the password"

// from is a request that a client at this address sends.
func from(address string, r request) request {
	r.header = map[string]string{"X-Forwarded-For": address}
	return r
}

// throttled ends the test unless an answer is 429 with a wait in seconds.
func (a *answer) throttled(wait int) *answer {
	a.t.Helper()
	code := "temporarily_unavailable"
	if a.header.Get("Content-Type") == "application/problem+json" {
		code = "too_many_requests"
	}
	a.want(429, code)
	if got := a.header.Get("Retry-After"); got != strconv.Itoa(wait) {
		a.t.Fatalf("Retry-After is %q, want %d", got, wait)
	}
	return a
}

// spend uses up the free failures of an account.
func (s *server) spend(t *testing.T, name, address string) {
	t.Helper()
	for range 5 {
		s.do(t, from(address, passwordGrant(name, wrong))).want(400, "invalid_grant")
	}
}

// spendCurrent uses up the free guesses at the current password.
func (s *server) spendCurrent(t *testing.T, token string) {
	t.Helper()
	for range 5 {
		s.do(t, changePassword(token, wrong, "a bigger wooden horse")).want(422, "wrong_password")
	}
}

// createVerified makes an account whose address logs in too.
func (s *server) createVerified(t *testing.T, name string) {
	t.Helper()
	if _, stderr, code := s.sesame(t, horse+"\n", "user", "create", name, "--email", name+"@example.com", "--email-verified"); code != 0 {
		t.Fatal(stderr)
	}
}

// inParallel sends requests at once, and again those that were refused since the queue of hashes was full. It counts the
// answers by status.
func inParallel(t *testing.T, servers []*server, requests []request) map[int]int {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	statuses := map[int]int{}
	for i, r := range requests {
		wait.Go(func() {
			for {
				a, err := servers[i%len(servers)].try(r)
				if err == nil && a.status == 503 {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				statuses[a.status]++
				return
			}
		})
	}
	wait.Wait()
	return statuses
}

// L4, L1: five failures are free, then each costs a wait, 1 s and doubling to 15 min, whether or not
// there is such an account; a success clears them, and so do 12 h without another.
func TestWrongPasswordsAreSlowedDown(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.newcomer(t, "ann") // so that its own lane is looked at, and that of strangers for the others
		for name, other := range map[string]string{
			"ann": "ANN", "nobody": "NoBody", "no name at all": "no name at all", "nobody@example.com": "NOBODY@example.com",
		} {
			s.spend(t, name, "203.0.113.1")
			for _, wait := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
				s.do(t, passwordGrant(name, wrong)).throttled(wait)
				s.do(t, passwordGrant(other, horse)).throttled(wait)
				s.clock.advance(time.Duration(wait)*time.Second - time.Microsecond)
				s.do(t, passwordGrant(name, horse)).throttled(1)
				s.clock.advance(time.Microsecond)
				s.do(t, passwordGrant(name, wrong)).want(400, "invalid_grant")
			}
			s.do(t, passwordGrant(name, wrong)).throttled(900)
			s.clock.advance(15 * time.Minute)
		}
		s.do(t, passwordGrant("ann", horse)).want(200) // never for good
		s.spend(t, "ann", "203.0.113.1")               // cleared by the success
		s.do(t, passwordGrant("ann", horse)).throttled(1)
		s.clock.advance(12 * time.Hour)
		s.spend(t, "ann", "203.0.113.1") // cleared by time
		s.do(t, passwordGrant("ann", horse)).throttled(1)
	})
}

// L4: an account's username and its verified address lead to one count, whichever of them is tried, and
// on however many replicas; a success by either clears it. L1: an unknown address is counted alike.
func TestEveryNameOfAnAccountCounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.createVerified(t, "ann")
		for name, other := range map[string]string{"ann": "ANN@example.com", "ann@example.com": "Ann"} {
			s.spend(t, name, "203.0.113.1")
			s.do(t, passwordGrant(other, wrong)).throttled(1)
			s.do(t, passwordGrant(other, horse)).throttled(1)
			s.clock.advance(time.Second)
			s.do(t, passwordGrant(other, wrong)).want(400)
			s.do(t, passwordGrant(name, horse)).throttled(2)
			s.clock.advance(2 * time.Second)
			s.do(t, from("203.0.113.2", passwordGrant(other, horse))).want(200)
			s.sql(t, `DELETE FROM known_addresses`)
			for _, cleared := range []string{name, other, name, other, name} {
				s.do(t, passwordGrant(cleared, wrong)).want(400)
			}
			s.do(t, passwordGrant(other, horse)).throttled(1)
			s.sql(t, `DELETE FROM throttles`)
		}
		guesses := slices.Repeat([]request{passwordGrant("ann", wrong), passwordGrant("ann@example.com", wrong)}, 20)
		if got, want := inParallel(t, []*server{s}, guesses), map[int]int{400: 5, 429: 35}; !maps.Equal(got, want) {
			t.Errorf("the answers are %v, want %v", got, want)
		}
	}, proxied)
}

// L1, L3: the throttle of a name does not change when an account of that name is created, when its address is
// confirmed, and when it is deleted.
func TestACountOutlivesTheAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		for _, name := range []string{"ann", "ann@example.com"} {
			wait := 1
			hold := func() {
				t.Helper()
				s.do(t, passwordGrant(name, wrong)).throttled(wait)
				s.clock.advance(time.Duration(wait) * time.Second)
				s.do(t, passwordGrant(name, wrong)).want(400)
				wait *= 2
				s.do(t, passwordGrant(name, wrong)).throttled(wait)
			}
			s.spend(t, name, "")
			hold()
			s.createVerified(t, "ann")
			hold()
			s.sql(t, `DELETE FROM users`)
			hold()
			s.sql(t, `DELETE FROM throttles`)
		}
	})
}

// L4: a successful login from an unknown address clears the counter of unknown addresses.
func TestASuccessFromANewAddressClears(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		for i := range 3 {
			for range 4 {
				s.do(t, from("203.0.113.1", passwordGrant("ann", wrong))).want(400)
			}
			s.do(t, from(fmt.Sprintf("198.51.100.%d", i), passwordGrant("ann", horse))).want(200)
		}
		s.spend(t, "ann", "203.0.113.1")
		s.do(t, from("203.0.113.1", passwordGrant("ann", wrong))).throttled(1)
	}, proxied)
}

// L4: of 100 parallel guesses on two replicas exactly the five free ones get the answer that they are wrong.
func TestParallelGuessesAreCountedExactly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		two := start(t, s.dbURL, "SESAME_PUBLIC_URL="+s.url)
		s.clock.stop()
		two.clock.stop()
		s.register(t, "ann")
		for _, name := range []string{"ann", "nobody"} {
			got := inParallel(t, []*server{s, two}, slices.Repeat([]request{passwordGrant(name, wrong)}, 100))
			if want := map[int]int{400: 5, 429: 95}; !maps.Equal(got, want) {
				t.Errorf("%s: the answers are %v, want %v", name, got, want)
			}
			s.do(t, passwordGrant(name, horse)).throttled(1)
			two.do(t, passwordGrant(name, horse)).throttled(1)
		}
	})
}

// L4: an address has 100 free failures in an hour, whatever names it tries, and is counted exactly.
func TestAnAddressIsSlowedDown(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		s.register(t, "bob")
		s.do(t, from("203.0.113.7", passwordGrant("bob", horse))).want(200)
		guesses := make([]request, 110)
		for i := range guesses {
			guesses[i] = from("203.0.113.7", passwordGrant(fmt.Sprintf("nobody-%d", i), wrong))
		}
		if got, want := inParallel(t, []*server{s}, guesses), map[int]int{400: 100, 429: 10}; !maps.Equal(got, want) {
			t.Errorf("the answers are %v, want %v", got, want)
		}
		// No more of them are recorded than are counted, and one of those that had to wait.
		if recorded := s.value(t, `SELECT COUNT(*) || ' ' || SUM(CASE WHEN kind = 'login_failed' THEN 1 ELSE 0 END) FROM events WHERE kind LIKE 'login_%'`); recorded != "101 100" {
			t.Errorf("%s refused logins are recorded", recorded)
		}
		s.do(t, from("203.0.113.7", passwordGrant("ann", horse))).throttled(1)
		s.do(t, from("203.0.113.7", passwordGrant("nobody", horse))).throttled(1)
		s.do(t, from("203.0.113.8", passwordGrant("ann", horse))).want(200)
		// L5: nor does it hold up those who have logged in from there before.
		s.do(t, from("203.0.113.7", passwordGrant("bob", horse))).want(200)
		s.clock.advance(time.Hour)
		s.do(t, from("203.0.113.7", passwordGrant("ann", horse))).want(200)
	}, proxied)
}

// L5: a stranger's guesses do not throttle a login from an address from which the account has logged in before; and
// that address has no more free tries than any other.
func TestAStrangerLocksNobodyOut(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		for home, neighbour := range map[string]string{"198.51.100.1": "198.51.100.1", "2001:db8:1:2::1": "2001:db8:1:2:ffff::2"} {
			s.do(t, from(home, passwordGrant("ann", horse))).want(200)
			s.spend(t, "ann", "203.0.113.1")
			for _, stranger := range []string{"203.0.113.1", "203.0.113.2", "198.51.100.2", "2001:db8:1:3::1"} {
				s.do(t, from(stranger, passwordGrant("ann", horse))).throttled(1)
			}
			s.do(t, from(home, passwordGrant("ann", horse))).want(200)
			s.do(t, from("203.0.113.1", passwordGrant("ann", horse))).throttled(1) // which cleared the owner's own lane alone
			s.do(t, from(neighbour, passwordGrant("ann", horse))).want(200)
			s.spend(t, "ann", home)
			s.do(t, from(neighbour, passwordGrant("ann", horse))).throttled(1)
			s.clock.advance(12 * time.Hour)
		}
		if known := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM known_addresses`); known != "2" {
			t.Errorf("%s addresses are known, want 2", known)
		}
		s.do(t, from("198.51.100.1", passwordGrant("ann", horse))).want(200)
		s.spend(t, "ann", "203.0.113.1")
		s.clock.advance(time.Hour)
		s.do(t, from("203.0.113.1", passwordGrant("ann", wrong))).want(400)
		s.clock.advance(181 * 24 * time.Hour) // long not seen there
		s.spend(t, "ann", "203.0.113.1")
		s.do(t, from("198.51.100.1", passwordGrant("ann", horse))).throttled(1)
	}, proxied)
}

// L6: correct logins are not throttled, however many come at once.
func TestParallelLoginsAllSucceed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		for range 4 {
			s.do(t, passwordGrant("ann", wrong)).want(400)
		}
		if got := inParallel(t, []*server{s}, slices.Repeat([]request{passwordGrant("ann", horse)}, 20)); got[200] != 20 {
			t.Errorf("the answers are %v", got)
		}
	})
}

// L6: a throttled login is answered alike whether the password was right, but for the date and the
// request id; it starts no session and is itself not counted.
func TestAThrottledLoginTellsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		s.spend(t, "ann", "")
		first := s.do(t, passwordGrant("ann", wrong)).throttled(1)
		for _, again := range []request{passwordGrant("ann", horse), passwordGrant("ann", wrong), passwordGrant("ANN", horse)} {
			a := s.do(t, again).throttled(1)
			if string(a.body) != string(first.body) {
				t.Errorf("%s, then %s", first.body, a.body)
			}
			for name := range first.header {
				if name != "Date" && name != "X-Request-Id" && a.header.Get(name) != first.header.Get(name) {
					t.Errorf("header %s differs", name)
				}
			}
		}
		if sessions := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`); sessions != "0" {
			t.Errorf("there are %s sessions", sessions)
		}
		s.clock.advance(time.Second)
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// L6: a login, or a change of the password, is not told whether its password was correct if others use up the free
// tries while it is hashed.
func TestARightPasswordThatComesTooLate(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		logsIn := func(password string) func(string) request {
			return func(string) request { return from("203.0.113.2", passwordGrant("ann", password)) }
		}
		changes := func(password string) func(string) request {
			return func(token string) request { return changePassword(token, password, "a bigger wooden horse") }
		}
		spendLogins := func(string) { s.spend(t, "ann", "203.0.113.1") }
		spendChanges := func(token string) { s.spendCurrent(t, token) }
		for name, c := range map[string]struct {
			late      func(token string) request
			meanwhile func(token string)
		}{
			"a login with the correct password":  {logsIn(horse), spendLogins},
			"a login with a wrong password":      {logsIn(wrong), spendLogins},
			"a change with the correct password": {changes(horse), spendChanges},
			"a change with a wrong password":     {changes(wrong), spendChanges},
		} {
			token := s.login(t, "ann").AccessToken
			s.hashes.during(func() { c.meanwhile(token) })
			if a := s.do(t, c.late(token)); a.status != 429 {
				t.Errorf("%s: got %d %s", name, a.status, a.body)
			}
			s.clock.advance(12 * time.Hour)
		}
	}, proxied)
}

// L4: the current password cannot be guessed either, and who tries does not hold up a login.
func TestGuessesAtTheCurrentPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		token := s.newcomer(t, "ann").AccessToken
		next := "a bigger wooden horse"
		for range 5 {
			s.do(t, changePassword(token, wrong, next)).want(422, "wrong_password")
		}
		blocked := s.do(t, changePassword(token, wrong, next)).throttled(1)
		if right := s.do(t, changePassword(token, horse, next)).throttled(1); !sameButForID(t, blocked, right) {
			t.Errorf("%s, then %s", blocked.body, right.body)
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
		s.clock.advance(time.Second)
		s.do(t, changePassword(token, horse, next)).want(204)
		s.do(t, changePassword(token, wrong, horse)).want(422, "wrong_password")
		if left := s.value(t, `SELECT CAST(MAX(failures) AS TEXT) FROM throttles`); left != "1" {
			t.Errorf("%s failures are left of 1", left)
		}
	})
}

// A wrong name may be a password, typed into the wrong field: neither the name nor the address is stored, nor a hash
// of them that could be found by trying.
func TestThrottlesSayNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.do(t, passwordGrant("knock-knack", wrong)).want(400)
		one := s.value(t, `SELECT MIN(key) || MAX(key) FROM throttles`)
		if len(one) != 64 || strings.Contains(one, "knock") || strings.Contains(one, "127.0.0.1") {
			t.Errorf("the keys are %s", one)
		}
	})
}
