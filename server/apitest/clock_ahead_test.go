package apitest

import (
	"strconv"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
)

// A clock that was ahead for a day, and is right again, blocks nothing for longer than a right one does.
func TestAClockThatWasAhead(t *testing.T) {
	const day = 24 * time.Hour
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.createVerified(t, "ann")
		tokens := decode[api.Token](s.do(t, from("192.0.2.9", passwordGrant("ann", horse))).want(200))
		guessing, registering := "192.0.2.1", "198.51.100.1"
		register := func(i int) request {
			return from(registering, request{method: "POST", path: "/users", json: map[string]string{"username": "new" + strconv.Itoa(i), "password": horse}})
		}

		s.clock.advance(day)
		for range 7 { // until a wait is as long as a minute
			s.do(t, from(guessing, passwordGrant("ann", wrong)))
			s.clock.advance(20 * time.Second)
		}
		s.spend(t, "nobody", "192.0.2.2")
		s.spendCurrent(t, decode[api.Token](s.do(t, from("192.0.2.9", refreshGrant(tokens.RefreshToken))).want(200)).AccessToken)
		for i := range 2 {
			s.do(t, register(i)).want(201)
		}
		s.do(t, register(2)).want(429, "too_many_requests")
		s.clock.advance(-day - 7*20*time.Second)

		for i := range 2 { // the limit begins anew, and is kept
			s.do(t, register(10+i)).want(201)
		}
		s.do(t, register(12)).throttled(3600)
		s.do(t, from("192.0.2.3", passwordGrant("nobody", wrong))).want(400, "invalid_grant")
		s.do(t, from(guessing, passwordGrant("ann", horse))).want(200)
		fresh := decode[api.Token](s.do(t, from("192.0.2.9", passwordGrant("ann", horse))).want(200))
		s.do(t, changePassword(fresh.AccessToken, wrong, "a bigger wooden horse")).want(422, "wrong_password")

		// And guesses are counted as before.
		s.spend(t, "somebody", "192.0.2.4")
		s.do(t, from("192.0.2.4", passwordGrant("somebody", wrong))).throttled(1)
	}, proxied, "SESAME_REGISTRATION_LIMIT=2")
}

// A password that was changed while the clock was ahead can be reset when it is right again, by a code that is mailed then.
// A code that was mailed before the change stays invalid.
func TestAResetAfterTheClockWasAhead(t *testing.T) {
	const day = 24 * time.Hour
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.createVerified(t, "ann")
		s.clock.advance(day)
		s.plantCode(t, "before", account.ToReset, "", "ann@example.com")
		s.clock.advance(time.Minute)
		tokens := decode[api.Token](s.do(t, passwordGrant("ann", horse)).want(200))
		s.do(t, changePassword(tokens.AccessToken, horse, "a bigger wooden horse")).want(204)
		s.do(t, resetPassword("before", "a third wooden horse")).want(422, "invalid_code")
		s.clock.advance(-day)
		s.do(t, resetPassword("before", "a third wooden horse")).want(422, "invalid_code")
		s.plantCode(t, "after", account.ToReset, "", "ann@example.com")
		s.do(t, resetPassword("after", "a third wooden horse")).want(204)
		s.do(t, passwordGrant("ann", "a third wooden horse")).want(200)
	})
}
