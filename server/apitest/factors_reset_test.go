package apitest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/cleanup"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/token"
)

// completeResets does what the cleanup of the server does every ten minutes.
func (s *server) completeResets(t *testing.T) {
	t.Helper()
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	db := s.open(t)
	_, accounts, _ := domain(db, nil, nil, identity.Settings{Now: s.clock.now, Outbox: mailer.NewOutbox(master, s.clock.now)})
	job := &cleanup.Job{DB: db, Accounts: accounts, EventRetention: 24 * time.Hour * 365, Now: s.clock.now}
	if _, err := job.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A reset ends all sessions, mails the owner at once, and takes effect after a day: until then the account needs its factor.
func TestAResetOfFactors(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		_, root := s.administrator(t, "root")
		id := s.value(t, `SELECT id FROM users WHERE username = 'ann'`)
		reset := request{method: "POST", path: "/users/" + id + "/factor-reset", token: root}
		s.do(t, reset).want(409, "no_second_factor")
		tokens := s.login(t, "ann")
		_, added := s.enroll(t, tokens.AccessToken)
		reset.token = tokens.AccessToken
		s.do(t, reset).want(403)
		reset.token = root
		begun := decode[api.FactorReset](s.do(t, reset).want(202)).ResetAt
		if wait := begun.Sub(s.clock.now()); wait > day || wait < day-time.Minute {
			t.Errorf("the reset is in %v", wait)
		}
		s.do(t, refreshGrant(tokens.RefreshToken)).want(400, "invalid_grant")
		mails := s.mailsTo(t, post, "ann@example.com", 2)
		s.clock.advance(time.Hour)
		root = decode[api.Token](s.do(t, withScope(passwordGrant("root", horse), "users:read users:write")).want(200)).AccessToken
		reset.token = root
		if again := decode[api.FactorReset](s.do(t, reset).want(202)).ResetAt; !again.Equal(begun) {
			t.Errorf("a second request moves the time from %v to %v", begun, again)
		}
		if text := mails[1].Text; !strings.Contains(text, "An administrator has begun a reset") || !strings.Contains(text, begun.UTC().Format("2 January 2006, 15:04 UTC")) {
			t.Errorf("the mail is\n%s", text)
		}
		s.clock.advance(22 * time.Hour)
		s.completeResets(t)
		s.do(t, passwordGrant("ann", horse)).want(400, "mfa_required")
		s.clock.advance(time.Hour)
		s.completeResets(t)
		s.do(t, passwordGrantWith("ann", horse, added.RecoveryCodes[0])).want(200) // the code is ignored
		fresh := s.login(t, "ann").AccessToken
		if list := s.factors(t, fresh); len(list.Items) != 0 || list.RecoveryCodesLeft != 0 || !list.ResetAt.IsNull() {
			t.Errorf("the account has %+v", list)
		}
		if text := s.mailsTo(t, post, "ann@example.com", 3)[2].Text; !strings.Contains(text, "were removed on") {
			t.Errorf("the mail is\n%s", text)
		}
	}, "SESAME_NEW_LOGIN_MAILS=off")
}

// The owner cancels a reset by a sign-in with the factor, or with a recovery code. A wrong code, and the password, cancel nothing.
func TestAResetOfFactorsIsCancelled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		app, added := s.enroll(t, s.newcomer(t, "ann").AccessToken)
		s.clock.advance(time.Minute)
		for _, code := range []func() string{app.code, func() string { return added.RecoveryCodes[0] }} {
			s.must(t, "", "user", "reset-factors", "ann")
			s.do(t, passwordGrant("ann", horse)).want(400, "mfa_required")
			s.do(t, passwordGrantWith("ann", horse, app.wrongCode())).want(400, "invalid_grant")
			if s.value(t, `SELECT CASE WHEN factors_reset_at IS NULL THEN 'none' ELSE 'some' END FROM users WHERE username = 'ann'`) != "some" {
				t.Error("there is no reset")
			}
			token := decode[api.Token](s.do(t, passwordGrantWith("ann", horse, code())).want(200)).AccessToken
			if list := s.factors(t, token); !list.ResetAt.IsNull() {
				t.Errorf("the reset is at %v", list.ResetAt)
			}
			s.clock.advance(25 * time.Hour)
			s.completeResets(t)
			s.do(t, passwordGrant("ann", horse)).want(400, "mfa_required")
		}
	})
}

// F3: a password reset by mail never skips the factor: it starts no session, and the new password needs the code as well.
func TestAPasswordResetNeverSkipsTheFactor(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.createVerified(t, "ann")
		app, _ := s.enroll(t, s.login(t, "ann").AccessToken)
		const next = "a bigger wooden horse"
		s.plantCode(t, "a code", account.ToReset, "", "ann@example.com")
		a := s.do(t, resetPassword("a code", next)).want(204)
		if a.header.Get("Set-Cookie") != "" || s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM sessions`) != "0" {
			t.Error("the reset starts a session")
		}
		s.do(t, passwordGrant("ann", next)).want(400, "mfa_required")
		b := s.newBrowser()
		s.plantCode(t, "another", account.ToReset, "", "ann@example.com")
		page := b.send(t, open("/reset-password", "another")).want(200)
		b.submit(t, page.formWith("", ""), "new_password", horse).want(200)
		if b.cookie != "" {
			t.Error("the page starts a session")
		}
		b.lands(t, b.send(t, get("/account")), "/sign-in").want(200)
		s.clock.advance(time.Minute)
		s.do(t, passwordGrantWith("ann", horse, app.code())).want(200)
	})
}

// F5: administrators begin a reset, and choose no password: no field of what they send takes one.
func TestAdministratorsChooseNoPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		_, root := s.administrator(t, "root")
		for _, field := range []string{"password", "new_password", "password_hash"} {
			s.change(t, root, ann.ID, map[string]any{field: "a bigger wooden horse"}).want(422, "validation_failed")
		}
		for _, op := range rules.Operations() {
			// That of createUser is for an account that nobody has used yet.
			if !strings.Contains(fmt.Sprint(op.Scopes()), "users:") || op.Document.RequestBody == nil || op.ID == "createUser" {
				continue
			}
			for name := range op.Document.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties {
				if strings.Contains(name, "password") {
					t.Errorf("%s takes %s", op.ID, name)
				}
			}
		}
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// The owner is mailed about each change of the factors, and about a recovery code that was used.
func TestChangesOfFactorsAreMailed(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		s.createVerified(t, "ann")
		app, added := s.enroll(t, s.login(t, "ann").AccessToken)
		s.do(t, passwordGrantWith("ann", horse, added.RecoveryCodes[0])).want(200)
		s.mailsTo(t, post, "ann@example.com", 2) // before the clock moves: one that is under way would be sent again
		fresh := app.loginWith(t, "ann").AccessToken
		codes := decode[api.RecoveryCodes](s.do(t, replaceCodes(fresh)).want(200))
		s.do(t, request{method: "DELETE", path: "/users/me/factors/" + added.Factor.ID, token: fresh}).want(204)
		mails := s.mailsTo(t, post, "ann@example.com", 4)
		for i, want := range []string{"“Phone” was added", "Recovery codes left: 9.", "got new recovery codes", "“Phone” was removed"} {
			if !strings.Contains(mails[i].Text, want) {
				t.Errorf("mail %d does not say %q:\n%s", i, want, mails[i].Text)
			}
			for _, code := range codes.RecoveryCodes {
				if strings.Contains(mails[i].Text+mails[i].HTML, code) {
					t.Errorf("mail %d shows a recovery code", i)
				}
			}
		}
	}, "SESAME_NEW_LOGIN_MAILS=off")
}

func replaceCodes(token string) request { return post("/users/me/recovery-codes", token, nil) }

// The command line lists the factors of an account with the field names of the contract, and begins a reset.
func TestCommandsOfFactors(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		_, stderr, code := s.sesame(t, "", "user", "reset-factors", "ann")
		if code != 1 || !strings.Contains(stderr, "the account ann has no second factor") {
			t.Errorf("%d: %s", code, stderr)
		}
		_, added := s.enroll(t, token)
		if shown := s.must(t, "", "user", "factors", "ann"); !strings.Contains(shown, added.Factor.ID) || !strings.Contains(shown, "Recovery codes left: 10.") {
			t.Errorf("it shows\n%s", shown)
		}
		item := itemsOf(t, s.must(t, "", "user", "factors", "ann", "--json"))[0]
		for _, name := range []string{"id", "kind", "name", "disabled", "created_at", "last_used_at"} {
			if _, ok := item[name]; !ok {
				t.Errorf("an item has no %s: %v", name, item)
			}
		}
		if shown := s.must(t, "", "user", "reset-factors", "ann"); !strings.Contains(shown, "unless a sign-in") {
			t.Errorf("it says %s", shown)
		}
		if shown := s.must(t, "", "user", "factors", "ann"); !strings.Contains(shown, "A reset removes the second factors at") {
			t.Errorf("it shows\n%s", shown)
		}
		s.do(t, request{method: "GET", path: "/users/me/factors", token: token}).want(401)
	})
}

// While the master key is replaced, every server seals the secrets again at its start, in batches. Afterwards the app and the
// recovery codes are still valid without the old key.
func TestFactorsOutliveTheMasterKey(t *testing.T) {
	old, next := testKey(), newMasterKey()
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dbURL := databaseURL(t)
			s := start(t, dbURL, keyed(old, "")...)
			app, added := s.enroll(t, s.newcomer(t, "ann").AccessToken)
			s.sql(t, `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1001)
				INSERT INTO factors (id, user_id, kind, name, secret, created_at)
				SELECT '00' || n, f.user_id, 'totp', 'x', 'broken', 1 FROM numbers CROSS JOIN factors f WHERE f.id = '`+added.Factor.ID+`'`) // in the batches before
			before := s.value(t, `SELECT secret FROM factors WHERE id = '`+added.Factor.ID+`'`)
			s.stop()
			s = start(t, dbURL, keyed(next, old)...)
			if s.value(t, `SELECT secret FROM factors WHERE id = '`+added.Factor.ID+`'`) == before {
				t.Error("the secret is sealed as before")
			}
			s.stop()
			s.sql(t, `DELETE FROM factors WHERE name = 'x'`)
			s = start(t, dbURL, keyed(next, "")...)
			app.s = s
			app.loginWith(t, "ann")
			s.do(t, passwordGrantWith("ann", horse, added.RecoveryCodes[0])).want(200)
		})
	}
}
