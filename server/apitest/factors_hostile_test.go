package apitest

import (
	"testing"
	"time"
)

// A wrong recovery code is recorded and counted for the network, as a wrong code of an app is: the owner sees the guesses. It does not
// disable an app.
func TestWrongRecoveryCodesAreRecorded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.enroll(t, s.newcomer(t, "ann").AccessToken)
		s.do(t, passwordGrantWith("ann", horse, "AAAA-AAAA-AAAA-AAAA")).want(400, "invalid_grant")
		s.do(t, passwordGrantWith("ann", horse, "AAAA")).want(400, "invalid_grant")
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'wrong_code'`); n != "2" {
			t.Errorf("%s wrong codes are recorded", n)
		}
		if n := s.value(t, `SELECT CAST(MAX(failures) AS TEXT) FROM throttles WHERE free = 100`); n != "2" {
			t.Errorf("%s failures of the network", n)
		}
		if n := s.value(t, `SELECT CAST(failures AS TEXT) FROM factors`); n != "0" {
			t.Errorf("%s failures of the app", n)
		}
	})
}

// F11: the failures that disable an app are consecutive: a success with one app ends the count of the others, which the same
// failures have counted for.
func TestASuccessEndsTheCountOfEveryApp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		app, added := s.enroll(t, s.newcomer(t, "ann").AccessToken)
		s.sql(t, `INSERT INTO factors (id, user_id, kind, name, secret, created_at) SELECT 'second', id, 'totp', 'Tablet', '', 9999999999999999 FROM users WHERE username = 'ann'`)
		s.sql(t, `INSERT INTO factors (id, user_id, kind, name, secret, created_at, failures) SELECT 'disabled', id, 'totp', 'Old', '', 1, 100 FROM users WHERE username = 'ann'`)
		s.sql(t, `UPDATE factors SET failures = 99 WHERE id <> 'disabled'`)
		s.clock.advance(time.Minute)
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(200)
		for id, want := range map[string]string{added.Factor.ID: "0", "second": "0", "disabled": "100"} {
			if got := s.value(t, `SELECT CAST(failures AS TEXT) FROM factors WHERE id = '`+id+`'`); got != want {
				t.Errorf("%s: %s failures after a success, want %s", id, got, want)
			}
		}
	})
}
