package apitest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/network"
	"sesame/server/internal/oauth"
	"sesame/server/internal/password"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

const stranger = "203.0.113.77"

// acceptedFrom says how many events say that the correct password of an account was given at an address.
func (s *server) acceptedFrom(t *testing.T, userID, address string) string {
	t.Helper()
	return s.value(t, fmt.Sprintf(`SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'password_accepted' AND user_id = '%s' AND ip_address = '%s'`, userID, address))
}

// guesses are requests from a new place with the correct password of ann, who has logged in at home. Each fails for a
// reason of its own; some reasons arise while the password is hashed.
var guesses = map[string]struct {
	prepare func(t *testing.T, s *server, id, token string)
	request func(token string) request
	status  int
}{
	"a scope that the account lacks": {nil, func(string) request { return withScope(passwordGrant("ann", horse), "users:write") }, 400},
	"an unknown scope":               {nil, func(string) request { return withScope(passwordGrant("ann", horse), "invented") }, 400},
	"a disabled account": {func(t *testing.T, s *server, _, _ string) {
		s.must(t, "", "user", "disable", "ann")
	}, logsIn, 400},
	"an account that others throttle meanwhile": {func(t *testing.T, s *server, _, _ string) {
		s.hashes.during(func() { s.spend(t, "ann", "203.0.113.1") })
	}, logsIn, 429},
	"an account that is disabled meanwhile": {func(t *testing.T, s *server, _, _ string) {
		s.hashes.during(func() { s.must(t, "", "user", "disable", "ann") })
	}, logsIn, 400},
	"a password that is changed meanwhile": {func(t *testing.T, s *server, _, _ string) {
		s.hashes.during(func() { s.must(t, "a bigger wooden horse\n", "user", "set-password", "ann") })
	}, logsIn, 400},
	"a database that fails": {func(t *testing.T, s *server, _, _ string) {
		s.sql(t, `ALTER TABLE sessions RENAME TO lost`)
	}, logsIn, 500},
	"a change of the address": {nil, func(token string) request { return changeEmail(token, "lee@example.org", horse) }, 202},
	"a change of the address that fails": {func(t *testing.T, s *server, _, _ string) {
		s.sql(t, `ALTER TABLE one_time_codes RENAME TO lost`)
	}, func(token string) request { return changeEmail(token, "lee@example.org", horse) }, 500},
	"a change of the password that fails": {func(t *testing.T, s *server, _, _ string) {
		s.sql(t, `ALTER TABLE one_time_codes RENAME TO lost`)
	}, changesPassword, 500},
	"a change of the password that others throttle meanwhile": {func(t *testing.T, s *server, _, token string) {
		s.hashes.during(func() { s.spendCurrent(t, token) })
	}, changesPassword, 429},
}

func logsIn(string) request { return passwordGrant("ann", horse) }

func changesPassword(token string) request {
	return changePassword(token, horse, "a bigger wooden horse")
}

// N6: whatever becomes of a request with the correct password, the password's owner finds it in the record, with
// where it came from, and is mailed that it was given at a new place.
func TestACorrectPasswordIsNeverCheckedInSilence(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(guesses)) {
		guess := guesses[name]
		t.Run(name, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				s.createVerified(t, "ann")
				session := decode[api.Token](s.do(t, from(home, passwordGrant("ann", horse))).want(200))
				id := s.access(t, session.AccessToken).Subject
				if guess.prepare != nil {
					guess.prepare(t, s, id, session.AccessToken)
				}
				s.do(t, from(stranger, guess.request(session.AccessToken))).want(guess.status)
				until(t, "it is recorded", func() bool { return s.acceptedFrom(t, id, stranger) == "1" })
				s.untilNoneWaits(t)
				warned := slices.DeleteFunc(post.Mails(), func(m smtptest.Mail) bool { return m.Subject != "A login from a new place" })
				if len(warned) != 1 || warned[0].To != "ann@example.com" || !strings.Contains(warned[0].Text, stranger) {
					t.Errorf("the owner is warned with %+v", warned)
				}
			}, proxied)
		})
	}
}

// N6: the reader of a mistyped address, who has a code for the account, cannot check its password in silence either.
func TestAConfirmationChecksNoPasswordInSilence(t *testing.T) {
	const address = "lee@example.org"
	for name, fails := range map[string]struct {
		prepare func(t *testing.T, s *server, code string)
		status  int
	}{
		"others fail meanwhile": {func(t *testing.T, s *server, code string) {
			s.hashes.during(func() {
				for range 5 {
					s.do(t, confirmWith(code, "", wrong)).want(422, "wrong_password")
				}
			})
		}, 429},
		"the address is another account's": {func(t *testing.T, s *server, _ string) {
			s.create(t, map[string]any{"username": "lee", "password": horse})
			s.sql(t, `UPDATE users SET email = '`+address+`', email_key = '`+address+`', email_verified = TRUE WHERE username = 'lee'`)
		}, 409},
		"the database fails": {func(t *testing.T, s *server, _ string) {
			s.hashes.during(func() { s.sql(t, `ALTER TABLE one_time_codes RENAME TO lost`) })
		}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				s.createVerified(t, "ann")
				session := decode[api.Token](s.do(t, from(home, passwordGrant("ann", horse))).want(200))
				id := s.access(t, session.AccessToken).Subject
				s.do(t, from(home, changeEmail(session.AccessToken, address, horse))).want(202)
				code := s.mailedCode(t, post, address, 1)
				fails.prepare(t, s, code)
				s.do(t, from(stranger, confirmWith(code, "", horse))).want(fails.status)
				until(t, "it is recorded", func() bool { return s.acceptedFrom(t, id, stranger) == "1" })
			}, proxied)
		})
	}
}

// N6: a refused login does not make its address a known one, so that the owner is warned of the next login from there
// as well.
func TestARefusedLoginMakesNoPlaceKnown(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.createVerified(t, "ann")
		s.do(t, from(stranger, withScope(passwordGrant("ann", horse), "users:write"))).want(400, "invalid_scope")
		s.stop() // which waits for the record
		if known := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM known_addresses`); known != "0" {
			t.Errorf("%s places are known", known)
		}
		if recorded := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'password_accepted'`); recorded != "1" {
			t.Errorf("%s events are recorded at the server's end", recorded)
		}
	}, proxied)
}

// N6, P7: a stranger who knows the password cannot fill the event log: of one network the first five tries are
// recorded, and then one after each wait. Each network is counted apart.
func TestAcceptedPasswordsDoNotFloodTheRecord(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		id := s.register(t, "ann").ID
		try := func(n int, address string) {
			t.Helper()
			r := from(address, withScope(passwordGrant("ann", horse), "users:write"))
			if got := inParallel(t, []*server{s}, slices.Repeat([]request{r}, n)); got[400] != n {
				t.Errorf("the answers are %v", got)
			}
		}
		try(20, stranger)
		until(t, "five are recorded", func() bool { return s.acceptedFrom(t, id, stranger) == "5" })
		try(1, "203.0.113.78")
		until(t, "another network is recorded", func() bool { return s.acceptedFrom(t, id, "203.0.113.78") == "1" })
		s.clock.advance(time.Second)
		try(5, stranger)
		until(t, "one more is recorded", func() bool { return s.acceptedFrom(t, id, stranger) == "6" })
		s.stop()
		if n := s.acceptedFrom(t, id, stranger); n != "6" {
			t.Errorf("%s are recorded of 25, want 6", n)
		}
	}, proxied)
}

// N6: the login goes on and is recorded if the client disconnects once its password was verified, and if the queue is
// full when an old hash is to be replaced.
func TestWhatFollowsACorrectPasswordDoesNotStopTheLogin(t *testing.T) {
	for name, meanwhile := range map[string]func(ctx context.Context, hasher *password.Hasher, hashes *gate, hangUp func()){
		"the client hangs up": func(_ context.Context, _ *password.Hasher, _ *gate, hangUp func()) { hangUp() },
		"the queue is full": func(ctx context.Context, hasher *password.Hasher, hashes *gate, _ func()) {
			t.Cleanup(hashes.close())
			for range queueSize + inProgress() {
				go hasher.Verify(ctx, network.Network{}, "", wrong)
			}
			until(t, "the queue is full", func() bool { return hasher.Busy(network.Network{}) != nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				c := newSeeder(t, s)
				a := c.addUser(t)
				s.sql(t, `UPDATE users SET password_hash = '`+hashOf(t, password.Bcrypt, horse)+`' WHERE id = '`+a.userID+`'`)
				hashes := &gate{}
				hasher, err := password.NewForTests(password.Argon2id, password.NewPolicy(8, nil), hashes.pass)
				if err != nil {
					t.Fatal(err)
				}
				ctx, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				asks := 0
				id, _, service := domain(c.db, hasher, c.issuer, identity.Settings{
					RefreshIdle: time.Hour, RefreshTTL: time.Hour,
					Now: func() time.Time {
						if asks++; asks == 2 { // after the hash
							meanwhile(t.Context(), hasher, hashes, hangUp)
						}
						return time.Now()
					},
				})
				tokens, err := service.PasswordGrant(ctx, oauth.Client{ID: token.FirstParty, BuiltIn: true, PasswordGrant: true}, a.userID, secret.New(horse), secret.Text{}, oauth.Wanted{})
				if err != nil || tokens.AccessToken.Empty() {
					t.Errorf("the login: %v", err)
				}
				if logins := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = 'login' AND user_id = '`+a.userID+`'`); logins != "1" {
					t.Errorf("%s logins are recorded", logins)
				}
				id.Close()
			})
		})
	}
}

func hashOf(t *testing.T, scheme, plain string) string {
	t.Helper()
	hasher, err := password.NewForTests(scheme, password.NewPolicy(8, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hasher.Hash(t.Context(), network.Network{}, plain)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// N6: the mail is true of a login and of a try alike.
func TestTheMailOfANewPlaceSpeaksOfThePassword(t *testing.T) {
	t.Parallel()
	templates, err := mailer.NewTemplates("", "https://login.example")
	if err != nil {
		t.Fatal(err)
	}
	message, err := templates.Render("x", mailer.Mail{Kind: mailer.NewLogin, To: "ann@example.com", Fields: mailer.Fields{Username: "ann"}}, time.Now())
	if err != nil || !strings.Contains(message.Text.Reveal(), "logged in, or tried to, with the correct password") {
		t.Errorf("%v: %s", err, message.Text.Reveal())
	}
}
