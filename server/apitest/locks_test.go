package apitest

import (
	"fmt"
	"sync"
	"testing"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/store"
)

// patiently makes PostgreSQL give statements, and transactions that do nothing, more time than a test needs. A deadlock is
// then a failure, and not a retry. At the default isolation level the transaction of the test is not retried either.
func patiently(databaseURL string) string {
	return databaseURL + "&statement_timeout=60000&idle_in_transaction_session_timeout=60000&deadlock_timeout=60000&default_transaction_isolation=read%20committed"
}

// N19, N8: while the change of one account hangs, say because its replica is cut off, every other account can be reset,
// confirmed and administered.
func TestAChangeThatHangsBlocksNoOtherAccount(t *testing.T) {
	t.Parallel()
	const next = "a bigger wooden horse"
	endsSessions := func(q *store.Queries, ann, _ string) error { return q.EndSessionsOf(t.Context(), ann, "") }
	for name, test := range map[string]struct {
		ask   func(ann, root string) request
		holds func(q *store.Queries, ann, eve string) error // what the request needs while it holds its own locks
	}{
		"a reset":        {func(_, _ string) request { return resetPassword("reset-ann", next) }, endsSessions},
		"a confirmation": {func(_, _ string) request { return confirmEmail("confirm-ann") }, func(q *store.Queries, _, eve string) error { _, err := q.LockUser(t.Context(), eve); return err }},
		"a disabling": {func(ann, root string) request {
			return request{method: "PATCH", path: "/users/" + ann, token: root, json: map[string]any{"disabled": true}}
		}, endsSessions},
		"a deletion": {func(ann, root string) request { return request{method: "DELETE", path: "/users/" + ann, token: root} }, endsSessions},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, patiently(postgresURL(t)))
			_, root := s.administrator(t, "root")
			ann, eve := s.addressed(t, "ann", ownAddress), s.claims(t, "eve")
			s.login(t, "ann")
			s.plantCode(t, "reset-ann", account.ToReset, "", ownAddress)
			s.sql(t, `UPDATE users SET email_claimed_at = NULL WHERE id = '`+ann.ID+`'`) // so that the reset is for ann alone
			s.plantCode(t, "confirm-ann", account.ToConfirm, ann.ID, ownAddress)
			if name == "a reset" {
				s.sql(t, `UPDATE users SET email = NULL, email_key = NULL WHERE id = '`+eve.ID+`'`)
			}
			others := s.others(t, 3)
			s.meanwhile(t, test.ask(ann.ID, root), func(q *store.Queries) error {
				return test.holds(q, ann.ID, eve.ID)
			}, func(*store.Queries) error {
				for _, bob := range others {
					s.administer(t, root, bob)
				}
				if s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == "0" {
					t.Error("the request about ann did not wait any more")
				}
				return nil
			}).wantOneOf(200, 204)
		})
	}
}

func (a *answer) wantOneOf(statuses ...int) {
	a.t.Helper()
	for _, status := range statuses {
		if a.status == status {
			return
		}
	}
	a.t.Errorf("the answer is %d: %s", a.status, a.body)
}

// others makes accounts with an address and the codes for it.
func (s *server) others(t *testing.T, n int) (users []api.User) {
	t.Helper()
	for i := range n {
		name := fmt.Sprint("bob", i)
		bob := s.addressed(t, name, name+"@example.com")
		s.plantCode(t, "reset-"+name, account.ToReset, "", name+"@example.com")
		s.plantCode(t, "confirm-"+name, account.ToConfirm, bob.ID, name+"@example.com")
		users = append(users, bob)
	}
	return users
}

// administer does to an account what takes locks.
func (s *server) administer(t *testing.T, root string, bob api.User) {
	t.Helper()
	s.do(t, confirmEmail("confirm-"+bob.Username)).want(204)
	s.plantCode(t, "reset-again-"+bob.Username, account.ToReset, "", bob.Username+"@example.com")
	s.do(t, resetPassword("reset-again-"+bob.Username, "the biggest wooden horse")).want(204)
	for _, fields := range []map[string]any{
		{"disabled": true},
		{"disabled": false},
		{"scopes": []string{"users:write"}},
		{"scopes": []string{}}, // an administrator less
		{"email": "lee-" + bob.Username + "@example.org"},
	} {
		s.change(t, root, bob.ID, fields).want(200)
	}
	s.must(t, "", "user", "verify", bob.Username)
	s.do(t, request{method: "DELETE", path: "/users/" + bob.ID, token: root}).want(204)
}

// N3: two people who confirm, at once, addresses that the other one claims do not wait for each other forever.
func TestConfirmationsThatTakeEachOthersClaims(t *testing.T) {
	t.Parallel()
	s := start(t, patiently(postgresURL(t)))
	c := newSeeder(t, s)
	for round := range 30 {
		addresses := []string{fmt.Sprintf("a%d@example.com", round), fmt.Sprintf("b%d@example.com", round)}
		var ids, codes []string
		for i, address := range addresses { // each claims the address of which the other one has a code
			id, code := c.granted(t, ""), fmt.Sprint("code ", round, i)
			s.sql(t, fmt.Sprintf(`UPDATE users SET email = '%[1]s', email_key = '%[1]s', email_claimed_at = 1 WHERE id = '%[2]s'`, address, id))
			s.plantCode(t, code, account.ToConfirm, id, addresses[1-i])
			ids, codes = append(ids, id), append(codes, code)
		}
		begin := make(chan struct{})
		var wait sync.WaitGroup
		for _, code := range codes {
			wait.Go(func() {
				<-begin
				if a, err := s.try(confirmEmail(code)); err != nil || a.status != 204 {
					t.Errorf("round %d: %v, %+v", round, err, a)
				}
			})
		}
		close(begin)
		wait.Wait()
		for i, id := range ids {
			if got := s.value(t, `SELECT COALESCE(email, 'none') FROM users WHERE email_verified AND id = '`+id+`'`); got != addresses[1-i] {
				t.Fatalf("round %d: account %d has %s", round, i, got)
			}
		}
	}
}

// N3: an account whose address changes while a confirmation waits for it is confirmed under the locks of the new one.
func TestAConfirmationFollowsAnAccountThatMoves(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		ann := s.addressed(t, "ann", "old@example.com")
		s.plantCode(t, "x", account.ToConfirm, ann.ID, ownAddress)
		s.meanwhile(t, confirmEmail("x"), func(q *store.Queries) error {
			return readdressed(t.Context(), q, ann.ID)
		}, nil).want(204)
		s.owns(t, "ann", horse)
	})
}

// N8: the change of an administrator that hangs holds up only changes that take an administrator away.
func TestOnlyTheLossOfAnAdministratorWaitsForAnother(t *testing.T) {
	t.Parallel()
	s := start(t, patiently(postgresURL(t)))
	_, root := s.administrator(t, "root")
	c := newSeeder(t, s)
	heir, bob := c.granted(t, "users:write"), c.granted(t, "")
	patch := func(id string, fields map[string]any) request {
		return request{method: "PATCH", path: "/users/" + id, token: root, json: fields}
	}
	s.meanwhile(t, patch(heir, map[string]any{"disabled": true}), func(q *store.Queries) error {
		return q.LockAdministration(t.Context())
	}, func(*store.Queries) error {
		s.do(t, patch(bob, map[string]any{"disabled": true})).want(200)
		s.do(t, patch(bob, map[string]any{"disabled": false, "scopes": []string{"users:write"}})).want(200)
		s.do(t, patch(bob, map[string]any{"full_name": "Bob"})).want(200)
		return nil
	}).want(200)
	s.sql(t, `UPDATE users SET disabled = TRUE WHERE id NOT IN ('`+bob+`', (SELECT id FROM users WHERE username = 'root'))`)
	begin, got := make(chan struct{}), make(chan int, 2)
	for _, id := range []string{bob, s.value(t, `SELECT id FROM users WHERE username = 'root'`)} {
		go func() {
			<-begin
			a, err := s.try(patch(id, map[string]any{"scopes": []string{"users:read"}}))
			if err != nil {
				t.Error(err)
			}
			got <- a.status
		}()
	}
	close(begin)
	if first, second := <-got, <-got; first+second != 200+409 && first+second != 200+403 { // the other one, or root's token without the scope
		t.Errorf("the answers are %d and %d", first, second)
	}
}
