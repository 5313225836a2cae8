package apitest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// granted makes an account with scopes, without hashing a password.
func (c *seeder) granted(t *testing.T, scopes string) (id string) {
	t.Helper()
	id = newID()
	err := c.db.CreateUser(t.Context(), store.User{
		ID: id, Username: id, UsernameKey: id, PasswordHash: secret.New(c.hash), Scopes: scopes, CreatedAt: time.Now(), UpdatedAt: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// administration is the domain as the command line has it.
func (c *seeder) administration(t *testing.T) *account.Service {
	t.Helper()
	master, err := token.ParseMasterKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	_, accounts, _ := domain(c.s.open(t), nil, nil, identity.Settings{Now: time.Now, Outbox: mailer.NewOutbox(master, time.Now)})
	return accounts
}

func (s *server) clientToken(t *testing.T, scopes ...string) string {
	t.Helper()
	var args []string
	for _, scope := range scopes {
		args = append(args, "--scope", scope)
	}
	return decode[api.Token](s.do(t, s.makeClient(t, "operator "+newID(), args...).sends(clientGrant(""))).want(200)).AccessToken
}

// N8: a deletion sees the grant that was under way when it began, and by which the account became the last
// administrator.
func TestADeletionReadsTheAccountUnderTheLock(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		root, heir := c.granted(t, "users:write"), c.granted(t, "")
		operator := s.clientToken(t, "users:write") // whose own rights nobody takes away here
		set := func(q *store.Queries, id string, change store.UserChange) error {
			_, err := q.UpdateUser(t.Context(), id, change, time.Now())
			return err
		}
		s.meanwhile(t, request{method: "DELETE", path: "/users/" + heir, token: operator}, func(q *store.Queries) error {
			if err := q.LockAdministration(t.Context()); err != nil {
				return err
			}
			return set(q, heir, store.UserChange{Scopes: new("users:write")})
		}, func(q *store.Queries) error {
			return set(q, root, store.UserChange{Disabled: new(true)})
		}).want(409, "last_administrator")
	})
}

// N8: however grants, revocations, disablings and deletions race, over HTTP and at the command line, one
// enabled administrator is left.
func TestAnAdministratorAlwaysStays(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		operator, shell := s.clientToken(t, "users:write"), c.administration(t)
		var refusals, left int
		for round := range 60 {
			root, heir := c.granted(t, "users:write"), c.granted(t, "")
			s.sql(t, fmt.Sprintf(`UPDATE users SET scopes = '' WHERE id NOT IN ('%s', '%s')`, root, heir))
			patch := func(id string, fields map[string]any) request {
				return request{method: "PATCH", path: "/users/" + id, token: operator, json: fields}
			}
			requests := []request{
				patch(heir, map[string]any{"scopes": []string{"users:write"}}),
				{method: "DELETE", path: "/users/" + heir, token: operator},
				{method: "DELETE", path: "/users/" + root, token: operator},
				patch(root, map[string]any{"disabled": true}),
				patch(root, map[string]any{"scopes": []string{}}),
				patch(heir, map[string]any{"disabled": round%2 == 0}),
			}
			var wait sync.WaitGroup
			wait.Go(func() {
				for _, change := range []account.UserChange{{Grant: []string{"users:write"}}, {Revoke: []string{"users:write"}}} {
					_, _ = shell.UpdateUser(t.Context(), nil, heir, change) // it may be refused, or the account be gone
				}
			})
			statuses := inParallel(t, []*server{s}, requests)
			wait.Wait()
			if refusals += statuses[409]; statuses[500] > 0 {
				t.Errorf("the answers are %v", statuses)
			}
			if s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE NOT disabled AND scopes LIKE '%users:write%'`) == "0" {
				left++
			}
		}
		if left > 0 || refusals == 0 {
			t.Errorf("no administrator was left in %d rounds of 60; %d requests were refused", left, refusals)
		}
	})
}

// N8: a grant at the command line does not restore a scope that was revoked meanwhile, and a revocation does not
// remove another grant.
func TestGrantsAndRevocationsAtOnceAllCount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		c.granted(t, "users:write")
		for range 40 {
			ann := c.granted(t, "users:write")
			var wait sync.WaitGroup
			begin := make(chan struct{})
			for _, change := range []account.UserChange{{Grant: []string{"users:read"}}, {Revoke: []string{"users:write"}}} {
				shell := c.administration(t)
				wait.Go(func() {
					<-begin
					if _, err := shell.UpdateUser(t.Context(), nil, ann, change); err != nil {
						t.Error(err)
					}
				})
			}
			close(begin)
			wait.Wait()
			if got := s.value(t, `SELECT scopes FROM users WHERE id = '`+ann+`'`); got != "users:read" {
				t.Fatalf("the scopes are %q, want users:read", got)
			}
		}
	})
}

// N9: a scope that was revoked and granted again is in no older session, however it was granted: not in its access
// tokens, its refreshed ones, or what introspection says. A new login has it.
func TestARevokedScopeStaysOutOfOldSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann").ID
		_, root := s.administrator(t, "root")
		asking := s.makeClient(t, "asking", "--scope", "users:read")
		list := func(token string) request { return request{method: "GET", path: "/users", token: token} }
		grant := withScope(passwordGrant("ann", horse), "me:read users:read")
		changes := map[string]struct{ revoke, regrant func() }{
			"over HTTP": {
				func() { s.change(t, root, ann, map[string]any{"scopes": []string{}}).want(200) },
				func() { s.change(t, root, ann, map[string]any{"scopes": []string{"users:read"}}).want(200) },
			},
			"at the command line": {
				func() { succeed(t, s, "user", "grant", "ann", "users:read", "--revoke") },
				func() { succeed(t, s, "user", "grant", "ann", "users:read") },
			},
		}
		for name, change := range changes {
			change.regrant()
			old := decode[api.Token](s.do(t, grant).want(200))
			s.do(t, list(old.AccessToken)).want(200)
			change.revoke()
			s.do(t, list(old.AccessToken)).want(403, "insufficient_scope")
			change.regrant()
			s.do(t, list(old.AccessToken)).want(403, "insufficient_scope")
			s.do(t, me(old.AccessToken)).want(200)
			if told := decode[api.Introspection](s.do(t, asking.sends(introspection(old.AccessToken))).want(200)); told.Scope == nil || *told.Scope != "me:read" {
				t.Errorf("%s: others get %+v", name, told)
			}
			s.do(t, withScope(refreshGrant(old.RefreshToken), "users:read")).want(400, "invalid_scope")
			if fresh := decode[api.Token](s.do(t, refreshGrant(old.RefreshToken)).want(200)); fresh.Scope != "me:read" {
				t.Errorf("%s: a refresh gives %s", name, fresh.Scope)
			}
			s.do(t, list(decode[api.Token](s.do(t, grant).want(200)).AccessToken)).want(200)
		}
	})
}

// N9: nor is it in a session whose login was under way while the scope was revoked.
func TestALoginSeesARevocationThatIsUnderWay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.register(t, "ann").ID
		shell := newSeeder(t, s).administration(t)
		_, err := shell.UpdateUser(t.Context(), nil, ann, account.UserChange{Grant: []string{"users:read"}})
		if err != nil {
			t.Fatal(err)
		}
		got := s.meanwhile(t, withScope(passwordGrant("ann", horse), "me:read users:read"), func(q *store.Queries) error {
			_, err := q.UpdateUser(t.Context(), ann, store.UserChange{Scopes: new("")}, time.Now())
			return err
		}, nil)
		if tokens := decode[api.Token](got.want(200)); tokens.Scope != "me:read" {
			t.Errorf("the login got %s", tokens.Scope)
		}
		if scope := s.value(t, `SELECT scope FROM sessions`); scope != "me:read" {
			t.Errorf("the session has %s", scope)
		}
	})
}

// succeed runs a command on the server's database.
func succeed(t *testing.T, s *server, args ...string) {
	t.Helper()
	if _, stderr, code := s.sesame(t, "", args...); code != 0 {
		t.Fatalf("%s: %s", strings.Join(args, " "), stderr)
	}
}
