package apitest

import (
	"strings"
	"testing"
	"time"

	"sesame/server/internal/account"
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

// F2, F10: an account with a second factor is deleted only at its level, with the password on the page as well as over the API: the
// session of a browser may be older than the factor.
func TestTheDeletionOfAnAccountNeedsTheSecondFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		form := b.send(t, get("/account/delete")).want(200).formWith("", "")
		app := s.plantTOTP(t, "ann")
		again := b.lands(t, b.submit(t, form, "password", horse), "/sign-in").want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "1" {
			t.Fatal("the account was deleted without its second factor")
		}
		b.lands(t, b.send(t, get("/account/delete")), "/sign-in").want(200)
		page := b.submit(t, again.formWith("", ""), "username", "ann", "password", horse).want(200).shows("Second factor")
		deletion := b.lands(t, b.submit(t, page.formWith("", ""), "code", app.code()), "/account/delete").want(200)
		s.clock.advance(time.Hour) // the password is enough of a fresh login
		b.submit(t, deletion.formWith("", ""), "password", wrong).want(422)
		b.submit(t, deletion.formWith("", ""), "password", horse).want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "0" {
			t.Error("the account was not deleted")
		}
	})
}

// F10: with the password alone, a session that is older than the factor takes neither the address nor the password of the account.
func TestAnOldSessionDoesNotTakeTheAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		old, b := s.login(t, "ann").AccessToken, s.newBrowser()
		page := b.signInHere(t, "ann")
		app := s.plantTOTP(t, "ann")
		password := map[string]any{"current_password": horse, "new_password": "a bigger wooden horse"}
		email := map[string]any{"email": "thief@example.com", "password": horse}
		for path, body := range map[string]map[string]any{"/users/me/password": password, "/users/me/email": email} {
			a := s.do(t, request{method: "PUT", path: path, token: old, json: body}).want(401, "insufficient_user_authentication")
			if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `acr_values="2"`) || strings.Contains(challenge, "max_age") {
				t.Errorf("%s: the challenge is %s", path, challenge)
			}
		}
		b.lands(t, b.submit(t, page.formWith("do", "email"), "email", "thief@example.com", "password", horse), "/sign-in").want(200)
		again := b.lands(t, b.submit(t, page.formWith("do", "password"), "current_password", horse, "new_password", "a bigger wooden horse"), "/sign-in").want(200)
		second := b.submit(t, again.formWith("", ""), "username", "ann", "password", horse).want(200).shows("Second factor")
		page = b.lands(t, b.submit(t, second.formWith("", ""), "code", app.code()), "/account").want(200)
		b.lands(t, b.submit(t, page.formWith("do", "password"), "current_password", horse, "new_password", "a bigger wooden horse"), "/account").want(200)
	})
}

// F10: a login that a fast clock has recorded is not fresh until that time comes.
func TestALoginInTheFutureIsNotFresh(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		s.clock.advance(-20 * time.Second) // the clock of another replica
		b.send(t, get("/account/authenticator")).want(200)
		s.clock.advance(-time.Hour)
		b.lands(t, b.send(t, get("/account/authenticator")), "/sign-in").want(200)
	})
}

// A server that can have no passkeys, since its public URL has an IP address, does not link to their page.
func TestAServerWithoutPasskeysDoesNotOfferThem(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b := s.newBrowser()
		b.signInHere(t, "ann")
		b.send(t, get("/account/passkeys")).want(404)
		for _, path := range []string{"/account", "/account/security"} {
			if strings.Contains(string(b.send(t, get(path)).want(200).body), "account/passkeys") {
				t.Errorf("%s links to the passkeys", path)
			}
		}
	})
}

// C5, F15: a stranger who has registered an account with the address of another person, and has added a passkey, loses both when the
// owner of the address resets the password: the passkey alone would let the stranger in again, and the owner would need it.
func TestAResetRemovesTheFactorsOfAStranger(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		key := s.withKey(t, "ann") // nobody has confirmed the address
		s.newBrowser().withPasskey(t, key).want(303)
		const next = "a bigger wooden horse"
		s.plantCode(t, "a code", account.ToReset, "", "ann@example.com")
		s.do(t, resetPassword("a code", next)).want(204)
		s.newBrowser().withPasskey(t, key).want(422)
		s.do(t, passwordGrant("ann", next)).want(200)
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM recovery_codes`); n != "0" {
			t.Errorf("%s recovery codes are left", n)
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'factors_reset'`); n != "1" {
			t.Errorf("the removal is recorded %s times", n)
		}
	}, withPasskeys)
}

// C5, F15: so does the identity at a provider that the stranger has linked. An account whose address was confirmed, or given by an
// operator, keeps its identities and its factors.
func TestAResetUnlinksTheIdentitiesOfAStranger(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.createVerified(t, "bob")
		s.must(t, horse+"\n", "user", "create", "eve", "--email", "eve@example.com")
		for username, left := range map[string]string{"ann": "0 ", "bob": "1 totp", "eve": "1 totp"} {
			s.plantTOTP(t, username)
			s.sql(t, `INSERT INTO identities (id, user_id, issuer, subject, label, created_at)
				SELECT '`+username+`', id, 'https://idp.example', '`+username+`', '', 1 FROM users WHERE username = '`+username+`'`)
			s.plantCode(t, "code of "+username, account.ToReset, "", username+"@example.com")
			s.do(t, resetPassword("code of "+username, "a bigger wooden horse")).want(204)
			if got := s.value(t, `SELECT (SELECT CAST(COUNT(*) AS TEXT) FROM identities i WHERE i.user_id = u.id) || ' ' || factors FROM users u WHERE username = '`+username+`'`); got != left {
				t.Errorf("%s has %q left, want %q", username, got, left)
			}
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'identity_unlinked' AND username = 'ann'`); n != "1" {
			t.Errorf("the removal is recorded %s times", n)
		}
	})
}
