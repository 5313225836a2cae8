package apitest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// An operator ends the waits of an account, wherever its owner is: at a network that is known or not, by name or by address, and
// within a session. Those of other accounts stay.
func TestAnOperatorUnlocksAnAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		const office, abroad = "203.0.113.7", "2001:db8:1:2::3"
		s.createVerified(t, "ann")
		s.createVerified(t, "bea")
		attempts := []request{
			from(office, passwordGrant("ann", horse)), from(abroad, passwordGrant("ann", horse)), from(abroad, passwordGrant("ann@example.com", horse)),
		}
		for range 2 { // abroad is unknown at first, and then known
			token := decode[api.Token](s.do(t, attempts[0]).want(200)).AccessToken
			s.spend(t, "ann", office)
			s.spend(t, "ann", abroad)
			s.spend(t, "bea@example.com", "198.51.100.2")
			s.spendCurrent(t, token)
			for _, r := range append(attempts, changePassword(token, horse, "a bigger wooden horse"), from(office, passwordGrant("bea", horse))) {
				s.do(t, r).want(429)
			}
			s.must(t, "", "user", "unlock", "ann")
			s.do(t, from(office, passwordGrant("bea", horse))).want(429)
			for _, r := range attempts {
				s.do(t, r).want(200)
			}
			s.do(t, changePassword(token, wrong, "a bigger wooden horse")).want(422, "wrong_password")
			s.must(t, "", "user", "unlock", "bea@example.com")
			s.do(t, from("192.0.2.9", passwordGrant("bea", horse))).want(200)
			s.do(t, from("192.0.2.9", passwordGrant("bea@example.com", horse))).want(200)
			s.must(t, "", "user", "unlock", "ann")
			s.clock.advance(time.Hour)
		}
	}, proxied)
}

// The command line lists the events of an account as GET /events does.
func TestEventsAtTheCommandLine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		ann := s.register(t, "ann")
		s.register(t, "bea")
		s.spend(t, "ann", "203.0.113.1")
		s.login(t, "bea")
		s.must(t, "", "user", "disable", "ann")
		over := eventPage(t, s, root, "/events?limit=100&user_id="+ann.ID)
		var here struct{ Items []json.RawMessage }
		if err := json.Unmarshal([]byte(s.must(t, "", "user", "events", "ann", "--json")), &here); err != nil {
			t.Fatal(err)
		}
		if len(here.Items) != 7 || len(over.Items) != len(here.Items) {
			t.Fatalf("%d events, and %d over HTTP", len(here.Items), len(over.Items))
		}
		for i, item := range here.Items {
			if text, err := json.Marshal(over.Items[i]); err != nil || !sameJSON(t, text, item) {
				t.Errorf("got %s, want %s", item, text)
			}
		}
		table := strings.Split(strings.TrimSpace(s.must(t, "", "user", "events", "ann", "--kind", "login_failed", "--limit", "3")), "\n")
		if len(table) != 4 || !strings.HasPrefix(table[0], "AT ") || strings.Count(strings.Join(table, "\n"), "login_failed") != 3 {
			t.Errorf("%q", table)
		}
		if all := s.must(t, "", "user", "events", "ann", "--limit", "0"); strings.Count(all, "\n") != 8 {
			t.Error(all)
		}
		for _, args := range [][]string{{"--kind", "logins"}, {"--limit", "-1"}} {
			if _, stderr, code := s.sesame(t, "", append([]string{"user", "events", "ann"}, args...)...); code != 2 || !strings.Contains(stderr, args[0]) {
				t.Errorf("%v: %d %s", args, code, stderr)
			}
		}
	}, proxied)
}

// sameJSON compares two objects, whatever the order of their members.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	canonical := func(text []byte) string {
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		sorted, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return string(sorted)
	}
	return canonical(a) == canonical(b)
}
