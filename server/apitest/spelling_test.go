package apitest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/smtptest"
)

// addressed registers an account with any address.
func (s *server) addressed(t *testing.T, username, email string) api.User {
	t.Helper()
	return decode[api.User](s.create(t, map[string]any{"username": username, "password": horse, "email": email}).want(201))
}

// N5: two spellings of one mailbox have one owner, who logs in by either, and mail goes to the domain's A-labels.
func TestSpellingsOfOneMailboxHaveOneOwner(t *testing.T) {
	for _, pair := range [][2]string{
		{"ann@bücher.example", "ann@xn--bcher-kva.example"}, {"ann@XN--BCHER-KVA.example", "Ann@BÜCHER.example"}, {"ann@example.com", "ANN@Example.COM"},
	} {
		t.Run(pair[0], func(t *testing.T) {
			withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
				ann := s.addressed(t, "ann", pair[0])
				s.untilNoneWaits(t)
				_, code := linkIn(t, post.Mails()[0])
				if to := post.Mails()[0].To; strings.ContainsFunc(to, func(r rune) bool { return r > '~' }) {
					t.Errorf("the mail server is given %s", to)
				}
				s.do(t, confirmEmail(code)).want(204)
				eve := s.addressed(t, "eve", pair[1])
				s.untilNoneWaits(t)
				if told := post.Mails()[1]; told.Subject != "Your e-mail address was given for another account" || told.To != post.Mails()[0].To {
					t.Errorf("%s is mailed %s", told.To, told.Subject)
				}
				s.plantCodeFor(t, "x", eve.ID, pair[1])
				s.do(t, confirmEmail("x")).want(409, "email_taken")
				for _, login := range pair {
					if me := s.me(t, decode[api.Token](s.do(t, passwordGrant(login, horse)).want(200)).AccessToken); me.ID != ann.ID {
						t.Errorf("%s logs %s in", login, me.Username)
					}
				}
				s.do(t, requestReset(pair[1])).want(202)
				s.untilNoneWaits(t)
				_, code = linkIn(t, post.Mails()[2])
				s.do(t, resetPassword(code, "a bigger wooden horse")).want(204)
				s.do(t, passwordGrant(pair[1], "a bigger wooden horse")).want(200)
			})
		})
	}
}

// plantCodeFor is plantCode for the confirmation of an address whose folded form is another text.
func (s *server) plantCodeFor(t *testing.T, code, userID, email string) {
	t.Helper()
	s.plantCode(t, code, account.ToConfirm, userID, email)
	s.sql(t, `UPDATE one_time_codes SET email_key = (SELECT email_key FROM users WHERE id = '`+userID+`') WHERE email = '`+email+`'`)
}

// N5: two mailboxes are two, however alike: neither account gets what is the other's.
func TestTwoMailboxesHaveTwoOwners(t *testing.T) {
	for _, pair := range [][2]string{
		{"mike@example.com", "mİke@example.com"},
		{"mike@example.com", "mıke@example.com"},
		{"ann@example.com", "ａnn@example.com"},
		{"strasse@example.com", "straße@example.com"},
		{"ann@strasse.example", "ann@straße.example"},
		{"é@example.com", "É@example.com"},
	} {
		t.Run(pair[1], func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				for i, email := range pair {
					name := fmt.Sprint("name", i)
					user := s.addressed(t, name, email)
					s.plantCodeFor(t, name, user.ID, email)
				}
				for i := range pair {
					s.do(t, confirmEmail(fmt.Sprint("name", 1-i))).want(204) // the second first
				}
				for i, email := range pair {
					if me := s.me(t, decode[api.Token](s.do(t, passwordGrant(email, horse)).want(200)).AccessToken); me.Username != fmt.Sprint("name", i) {
						t.Errorf("%s logs %s in", email, me.Username)
					}
				}
			})
		})
	}
}

// N5: an address that is not what it looks like is refused everywhere, and logs in like an unknown one.
func TestAddressesThatNobodyCanHave(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann")
		token := s.login(t, "ann").AccessToken
		_, root := s.administrator(t, "root")
		e := environment{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}
		unknown := s.do(t, passwordGrant("nobody@example.com", horse)).want(400, "invalid_grant")
		for i, email := range []string{
			"an\u200bn@example.com", "an\u00adn@example.com", "ann\u202e@example.com", "an\tn@example.com", "ann@exam\u00adple.com", "e\u0301@example.com",
			"ann@xn--a.example", "ann@example-.xn--", "ann\ufe0f@example.com", "\u3164@example.com", "ann@exa mple.com", "ann@localhost",
		} {
			for _, r := range []request{
				{method: "POST", path: "/users", json: map[string]any{"username": "eve", "password": horse, "email": email}},
				changeEmail(token, email, horse), amend(root, ann, map[string]any{"email": email}), requestReset(email),
			} {
				s.do(t, r).want(422, "validation_failed").pointsAt("/email")
			}
			fails(t, horse, e, "--email ", "user", "create", "eve", "--email", email)
			if _, stderr, code := s.sesame(t, fmt.Sprintf(`{"username":"eve","email":%q}`, email), "user", "import", "-"); code != 1 || !strings.Contains(stderr, "the email") {
				t.Errorf("an import of %+q ends with %d: %s", email, code, stderr)
			}
			grant := request{method: "POST", path: "/token", form: url.Values{"grant_type": {"password"}, "username": {email}, "password": {horse}}}
			if a := s.do(t, grant).want(400, "invalid_grant"); string(a.body) != string(unknown.body) {
				t.Errorf("%d: %s", i, a.body)
			}
		}
		if n := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); n != "2" {
			t.Errorf("there are %s accounts", n)
		}
	})
}

// N5: if an administrator changes the spelling of a confirmed address, it is no longer confirmed, and the old one is
// notified.
func TestAnotherSpellingByAnAdministratorIsNotConfirmed(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		ann := s.register(t, "ann")
		s.do(t, confirmEmail(s.mailedCode(t, post, "ann@example.com", 1))).want(204)
		_, root := s.administrator(t, "root")
		s.do(t, requestReset("ann@example.com")).want(202)
		reset := s.mailedCode(t, post, "ann@example.com", 2)
		changed := decode[api.User](s.do(t, amend(root, ann, map[string]any{"email": "Ann@example.com"})).want(200))
		if changed.EmailVerified || changed.Email.MustGet() != "Ann@example.com" {
			t.Errorf("%+v", changed)
		}
		if told := s.mailsTo(t, post, "ann@example.com", 3)[2]; told.Subject != "Your e-mail address was changed" {
			t.Errorf("the old address is mailed %s", told.Subject)
		}
		s.do(t, passwordGrant("ann@example.com", horse)).want(400)
		s.do(t, resetPassword(reset, "a bigger wooden horse")).want(422, "invalid_code")
		confirm := s.mailedCode(t, post, "Ann@example.com", 1)
		s.clock.advance(time.Second)
		s.do(t, amend(root, ann, map[string]any{"email": "Ann@example.com", "full_name": "Ann"})).want(200) // not one byte of the address
		s.do(t, confirmEmail(confirm)).want(204)
		s.do(t, passwordGrant("ann@example.com", horse)).want(200)
		// The spelling of the domain counts as well.
		if changed = decode[api.User](s.do(t, amend(root, ann, map[string]any{"email": "Ann@EXAMPLE.com"})).want(200)); changed.EmailVerified {
			t.Errorf("%+v", changed)
		}
	})
}

// Accounts are found by the beginning of an address in any spelling.
func TestAccountsAreFoundByAnySpellingOfTheAddress(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		s.addressed(t, "bob", "Ann@Bücher.example")
		s.addressed(t, "cas", "İnge@example.com")
		for query, want := range map[string]string{
			"ann@b": "", "ANN@": "bob", "ann@bücher": "bob", "ann@BÜCHER.ex": "bob", "ann@xn--b": "bob", "İnge": "cas", "inge": "", "i": "", "İnge@example.com": "cas",
		} {
			if got := strings.Join(s.list(t, root, url.Values{"q": {query}}.Encode(), nil), " "); got != want {
				t.Errorf("%q finds %q, want %q", query, got, want)
			}
		}
	})
}
