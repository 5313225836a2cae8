package apitest

import (
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/smtptest"
	"sesame/server/internal/store"
)

func deleteMe(token string) request {
	return request{method: "DELETE", path: "/users/me", token: token}
}

func registration(username string) request {
	return request{method: "POST", path: "/users", json: map[string]string{"username": username, "password": horse}}
}

// N7: no token deletes its account unless its login asked for that by name, and no refresh adds it. A service client
// passes the scope on only if it was given it, and never has it for itself.
func TestADefaultTokenCannotDeleteTheAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		tokens := s.newcomer(t, "ann")
		refuses := func(token string) {
			t.Helper()
			challenge := s.do(t, deleteMe(token)).want(403, "insufficient_scope").header.Get("WWW-Authenticate")
			if !strings.Contains(challenge, `scope="me:delete"`) {
				t.Errorf("the challenge is %s", challenge)
			}
		}
		refuses(tokens.AccessToken)
		s.do(t, withScope(refreshGrant(tokens.RefreshToken), "me:delete")).want(400, "invalid_scope")
		refuses(decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200)).AccessToken)

		plain, trusted := s.makeClient(t, "plain", "--scope", "users:read"), s.makeClient(t, "trusted", "--scope", "me:delete")
		s.do(t, plain.sends(withScope(passwordGrant("ann", horse), "me:delete"))).want(400, "invalid_scope")
		got := decode[api.Token](s.do(t, plain.sends(withScope(passwordGrant("ann", horse), "me:read me:delete"))).want(200))
		if got.Scope != "me:read" {
			t.Errorf("a client without me:delete passes on %s", got.Scope)
		}
		refuses(got.AccessToken)
		s.do(t, trusted.sends(clientGrant("me:delete"))).want(400, "invalid_scope")
		s.do(t, trusted.sends(clientGrant(""))).want(400, "invalid_scope")
		refuses(decode[api.Token](s.do(t, trusted.sends(passwordGrant("ann", horse))).want(200)).AccessToken)
		alone := decode[api.Token](s.do(t, trusted.sends(withScope(passwordGrant("ann", horse), "me:delete"))).want(200))
		s.do(t, me(alone.AccessToken)).want(403, "insufficient_scope")
		s.do(t, deleteMe(alone.AccessToken)).want(204)
	})
}

// N7: the owner of a confirmed address is mailed when the account is deleted, no matter by whom; an address that was
// only claimed is not.
func TestTheOwnerIsMailedADeletion(t *testing.T) {
	withMail(t, smtptest.Options{}, func(t *testing.T, s *server, post *smtptest.Server) {
		_, root := s.administrator(t, "root")
		for _, name := range []string{"ann", "bob"} {
			s.createVerified(t, name)
		}
		s.do(t, request{method: "POST", path: "/users", token: root, json: map[string]string{
			"username": "eve", "password": horse, "email": "lee@example.com",
		}}).want(201)
		s.mailsTo(t, post, "lee@example.com", 1) // to confirm it
		s.do(t, from("203.0.113.9", deleteMe(s.loginToDelete(t, "ann").AccessToken))).want(204)
		s.do(t, deleteMe(s.loginToDelete(t, "eve").AccessToken)).want(204)
		bob := s.value(t, `SELECT id FROM users WHERE username = 'bob'`)
		s.do(t, request{method: "DELETE", path: "/users/" + bob, token: root}).want(204)
		told := s.mailsTo(t, post, "ann@example.com", 1)[0]
		if told.Subject != "Your account was deleted" || !strings.Contains(told.Text, "203.0.113.9") || !strings.Contains(told.HTML, "203.0.113.9") {
			t.Errorf("the owner is mailed: %s\n%s", told.Subject, told.Text)
		}
		s.mailsTo(t, post, "bob@example.com", 1)
		s.untilNoneWaits(t)
		wantRecipients(t, post, "ann@example.com", "bob@example.com", "lee@example.com")
	}, proxied)
}

// N7: for 30 days the name of a deleted account, in whatever spelling, is answered to strangers as one that is taken.
// An administrator and the command line may give it away.
func TestTheNameOfADeletedAccountRests(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		client := s.makeClient(t, "directory", "--scope", "users:write")
		s.register(t, "taken")
		for _, name := range []string{"ann", "bob", "cat"} {
			s.register(t, name)
			s.do(t, deleteMe(s.loginToDelete(t, name).AccessToken)).want(204)
		}
		mine := s.login(t, "taken").AccessToken
		taken := s.do(t, registration("taken")).want(409, "username_taken")
		for _, name := range []string{"ann", "ANN", "Ａｎｎ"} {
			if got := s.do(t, registration(name)).want(409, "username_taken"); !sameButForID(t, got, taken) {
				t.Errorf("%s is answered otherwise than a name that is taken: %s", name, got.body)
			}
		}
		byOther := registration("ann")
		byOther.token = mine // who is no administrator
		s.do(t, byOther).want(409, "username_taken")
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users`); left != "1" {
			t.Errorf("there are %s accounts, want 1", left)
		}
		byClient := registration("bob")
		byClient.token = decode[api.Token](s.do(t, client.sends(clientGrant(""))).want(200)).AccessToken
		s.do(t, byClient).want(201)
		if _, stderr, code := s.sesame(t, horse+"\n", "user", "create", "cat"); code != 0 {
			t.Error(stderr)
		}
		s.clock.advance(30*24*time.Hour - time.Minute)
		s.do(t, registration("ann")).want(409, "username_taken")
		s.clock.advance(time.Minute)
		s.do(t, registration("ann")).want(201)
	})
}

// N7: a registration does not get a name whose deletion is not committed yet.
func TestARegistrationDoesNotOvertakeADeletion(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann").ID
		s.meanwhile(t, registration("ann"), func(q *store.Queries) error {
			if err := q.ReserveUsername(t.Context(), "ann", time.Now().Add(time.Hour)); err != nil {
				return err
			}
			return q.DeleteUser(t.Context(), ann)
		}, nil).want(409, "username_taken")
	})
}
