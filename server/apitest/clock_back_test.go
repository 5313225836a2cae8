package apitest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
)

// exercise tries what depends on the time: it works as at any other moment, whatever the clock said before.
func (s *server) exercise(t *testing.T, post *smtptest.Server, name, address string) {
	t.Helper()
	do := func(r request) *answer { t.Helper(); return s.do(t, from(address, r)) }
	do(get("/readyz")).want(200)
	do(request{method: "POST", path: "/users", json: map[string]any{"username": name, "password": horse, "email": name + "@example.com"}}).want(201)
	do(confirmEmail(s.mailedCode(t, post, name+"@example.com", 1))).want(204)
	tokens := decode[api.Token](do(passwordGrant(name+"@example.com", horse)).want(200))
	do(me(tokens.AccessToken)).want(200)
	next := decode[api.Token](do(refreshGrant(tokens.RefreshToken)).want(200))
	do(refreshGrant(tokens.RefreshToken)).want(200) // within the grace period
	do(me(next.AccessToken)).want(200)
	s.clock.advance(time.Minute) // since the last mail
	do(requestReset(name + "@example.com")).want(202)
	do(resetPassword(s.mailedCode(t, post, name+"@example.com", 2), nextHorse)).want(204)
	for range 5 {
		do(passwordGrant(name, wrong)).want(400, "invalid_grant")
	}
	a := do(passwordGrant(name, wrong))
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != 429 || err != nil || wait < 1 || wait > 900 {
		t.Errorf("%d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	s.clock.advance(time.Second)
	do(passwordGrant(name, nextHorse)).want(200)
}

// A clock that is set back and forth under a running server breaks nothing that begins after it was set: logins, refreshes, codes,
// mails and throttles work as before, and so does a session that began before and has not expired. Tokens and codes of a clock that
// was ahead do not outlive their time by more than it was ahead; access tokens not at all.
func TestAClockThatIsSetBackAndForth(t *testing.T) {
	const day = 24 * time.Hour
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.clock.stop()
		session := s.newcomer(t, "first")
		keys := s.states(t)
		for i, jump := range []time.Duration{day, -day, -day, day, time.Hour, -2 * time.Hour, time.Hour, -40 * day, 40 * day} {
			before := s.newcomer(t, fmt.Sprint("before", i))
			s.clock.advance(jump)
			s.untilCalled(t, "(*Worker[...]).claim") // a mail that it claims by the time before is sent twice
			s.exercise(t, post, fmt.Sprint("ann", i), fmt.Sprintf("192.0.2.%d", i+1))
			if a := s.do(t, me(before.AccessToken)); a.status != 401 {
				t.Errorf("after %v, a token that has expired or is of a time to come is answered with %d", jump, a.status)
			}
			if jump < 20*day {
				session = decode[api.Token](s.do(t, refreshGrant(session.RefreshToken)).want(200))
				s.do(t, me(session.AccessToken)).want(200)
			}
		}
		if now := s.states(t); len(now) != len(keys) {
			t.Errorf("the keys were %v, and are %v", keys, now)
		}
	}, proxied)
}

// Keys are rotated as far as the clock has come, and not again each time that it comes there.
func TestKeysWhileTheClockIsSetBackAndForth(t *testing.T) {
	const ahead = 40 * 24 * time.Hour
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		var second []string
		for i := range 3 {
			s.clock.advance(ahead)
			s.maintained(t)
			published := func(n int) func() bool { return func() bool { return len(inState(s.states(t), "published")) == n } }
			if i == 0 {
				until(t, "a key is published", published(1))
			}
			s.clock.advance(11 * time.Minute) // a key that was published then signs
			s.maintained(t)
			until(t, "the published key signs", published(0))
			s.do(t, me(s.login(t, "ann").AccessToken)).want(200)
			s.clock.advance(-ahead - 11*time.Minute)
			s.maintained(t)
			s.do(t, me(s.login(t, "ann").AccessToken)).want(200)
			now := s.states(t)
			signing := inState(now, "signing")
			if i == 0 {
				second = signing
			}
			if len(now) != 2 || len(inState(now, "retired")) != 1 || !slices.Equal(signing, second) {
				t.Fatalf("after %d jumps the keys are %v", i+1, now)
			}
		}
	}, "SESAME_KEY_ROTATION=720h")
}

// maintained waits until the server has read its keys after the clock was set, and has taken the step that was due.
func (s *server) maintained(t *testing.T) {
	t.Helper()
	s.untilCalled(t, "readLocked", "Maintain") // which is called again after the step
}

// untilCalled waits until each of some functions of the server asks for the time, one after the other.
func (s *server) untilCalled(t *testing.T, functions ...string) {
	t.Helper()
	for _, function := range functions {
		called := make(chan struct{})
		s.clock.during(function, func() { close(called) })
		select {
		case <-called:
		case <-time.After(30 * time.Second):
			t.Fatalf("the server does not call %s", function)
		}
	}
}

// A clock that is ahead for a day, with a cleanup meanwhile, deletes what has expired by it, such as a session that would have ended
// within the day. It deletes nothing else, and what was revoked or used stays so.
func TestWhatACleanupDeletesAheadOfTime(t *testing.T) {
	const day = 24 * time.Hour
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		c := s.makeClient(t, "billing", "--scope", "users:read")
		short := s.newcomer(t, "short")
		s.clock.advance(6*day + time.Hour) // a session lasts a week without a refresh
		ann := s.newcomer(t, "ann")
		used := ann.RefreshToken
		ann = decode[api.Token](s.do(t, refreshGrant(used)).want(200))
		access := decode[api.Token](s.do(t, c.sends(clientGrant("users:read"))).want(200)).AccessToken
		s.do(t, c.sends(request{method: "POST", path: "/token/revoke", form: url.Values{"token": {access}}})).want(200)
		s.mustEnqueue(t, s.resetMail("ann@example.com"))
		counted := func() string {
			return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) || ' ' || CAST((SELECT COUNT(*) FROM known_addresses) AS TEXT) || ' ' || CAST((SELECT COUNT(*) FROM events WHERE kind = 'login' AND username = 'ann') AS TEXT) FROM users WHERE email IS NOT NULL`)
		}
		before := counted()

		s.clock.advance(day)
		job := cleanupJob(s.open(t), s.clock.now)
		job.EventRetention = 90 * day
		if _, err := job.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.clock.advance(-day)

		if now := counted(); now != before {
			t.Errorf("there were %s accounts, networks and events, and are %s", before, now)
		}
		s.do(t, refreshGrant(short.RefreshToken)).want(400, "invalid_grant")
		s.do(t, me(ann.AccessToken)).want(200)
		s.do(t, request{method: "GET", path: "/users", token: access}).want(401)
		s.do(t, refreshGrant(ann.RefreshToken)).want(200)
		s.clock.advance(time.Minute)
		s.do(t, refreshGrant(used)).want(400, "invalid_grant") // and ends the session
		s.do(t, refreshGrant(ann.RefreshToken)).want(400, "invalid_grant")
	})
}
