package apitest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

// recordLogins records that many logins of somebody, as of then.
func recordLogins(t *testing.T, db *store.DB, userID string, n int, at time.Time) {
	t.Helper()
	err := db.Tx(t.Context(), func(q *store.Queries) error {
		for range n {
			if err := q.RecordEvent(t.Context(), store.Event{ID: newID(), At: at, Kind: "login", UserID: userID}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) open(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), s.dbURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Pages of events neither miss nor repeat one while others are added.
func TestPagesOfEventsStayAsTheyAre(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, ann := s.open(t), s.newcomer(t, "ann").AccessToken
		_, root := s.administrator(t, "root")
		id := s.access(t, ann).Subject
		recordLogins(t, db, id, 105, time.Now())
		for path, token := range map[string]string{
			"/users/me/events?": ann, "/events?": root, "/events?user_id=" + id + "&": root, "/events?user_id=" + id + "&kind=login&": root,
		} {
			var want []api.Event
			page := eventPage(t, s, token, path+"limit=100")
			want = append(want, page.Items...)
			want = append(want, eventPage(t, s, token, path+"limit=100&cursor="+said(page.NextCursor)).Items...)
			if page := eventPage(t, s, token, path); len(page.Items) != 50 {
				t.Errorf("%s: without a limit there are %d", path, len(page.Items))
			}
			var got []api.Event
			for cursor := ""; ; {
				page := eventPage(t, s, token, path+"limit=36"+cursor)
				if got = append(got, page.Items...); page.NextCursor.IsNull() {
					break
				}
				cursor = "&cursor=" + url.QueryEscape(said(page.NextCursor))
				recordLogins(t, db, id, 3, time.Now())
			}
			ids := func(events []api.Event) (ids []string) {
				for _, e := range events {
					ids = append(ids, e.ID)
				}
				return ids
			}
			if !slices.Equal(ids(got), ids(want)) || len(got) < 106 {
				t.Errorf("%s: got %d, want %d others", path, len(got), len(want))
			}
			if !slices.IsSortedFunc(got, func(a, b api.Event) int { return strings.Compare(b.ID, a.ID) }) {
				t.Errorf("%s: they are not sorted", path)
			}
		}
		exact := eventPage(t, s, root, "/events?kind=account_created&limit=2")
		if len(exact.Items) != 2 || !exact.NextCursor.IsNull() {
			t.Errorf("a full last page names a next one: %+v", exact)
		}
	})
}

// H6: a cursor that is made up, or of another list, is refused.
func TestForgedCursorsAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, ann, bob := s.open(t), s.newcomer(t, "ann").AccessToken, s.newcomer(t, "bob").AccessToken
		_, root := s.administrator(t, "root")
		id := s.access(t, ann).Subject
		recordLogins(t, db, id, 3, time.Now())
		genuine := said(eventPage(t, s, ann, "/users/me/events?limit=1").NextCursor)
		all := said(eventPage(t, s, root, "/events?limit=1").NextCursor)
		logins := said(eventPage(t, s, root, "/events?limit=1&kind=login").NextCursor)
		flipped := []byte(genuine)
		flipped[0] = map[bool]byte{true: 'B', false: 'A'}[flipped[0] == 'A']
		for _, c := range []struct{ token, path, cursor string }{
			{ann, "/users/me/events", string(flipped)},
			{ann, "/users/me/events", genuine + "A"},
			{ann, "/users/me/events", genuine[:len(genuine)-1]},
			{ann, "/users/me/events", "x"},
			{ann, "/users/me/events", newID()},
			{ann, "/users/me/events", "ÿ'; DROP TABLE events; --"},
			{ann, "/users/me/events", "\x00"},
			{ann, "/users/me/events", strings.Repeat("A", 600)},
			{bob, "/users/me/events", genuine},
			{ann, "/users/me/events", all},
			{root, "/events", genuine},
			{root, "/events", logins},
			{root, "/events?kind=logout", logins},
			{root, "/events?kind=login", all},
			{root, "/events?user_id=" + id + "&kind=login", logins},
		} {
			separator := "?"
			if strings.Contains(c.path, "?") {
				separator = "&"
			}
			r := get(c.path + separator + "cursor=" + url.QueryEscape(c.cursor))
			r.token = c.token
			s.do(t, r).want(400, "bad_request").pointsAt("/cursor")
		}
	})
}

// A query is read as strictly as a body.
func TestQueriesAreReadStrictly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		for query, want := range map[string]struct {
			status  int
			pointer string
		}{
			"limit=1": {200, ""}, "limit=100": {200, ""}, "": {200, ""}, "kind=login&limit=5": {200, ""}, "user_id=" + newID(): {200, ""}, "k%69nd=login": {200, ""},
			"limit=0": {422, "/limit"}, "limit=101": {422, "/limit"}, "limit=-1": {422, "/limit"}, "limit=ten": {422, "/limit"}, "limit=1.0": {422, "/limit"},
			"limit=": {422, "/limit"}, "limit": {422, "/limit"}, "limit=0x10": {422, "/limit"}, "limit=99999999999999999999": {422, "/limit"}, "limit=5%20": {422, "/limit"},
			"kind=": {422, "/kind"}, "kind=LOGIN": {422, "/kind/0"}, "kind=login,logout": {200, ""}, "kind=login,LOGIN": {422, "/kind/1"}, "kind=login,": {422, "/kind/1"}, "actor=": {422, "/actor"}, "since=yesterday": {422, "/since"}, "until=": {422, "/until"}, "after=x": {422, "/after"}, "user_id=" + newID() + "&actor=schedule": {200, ""}, "kind=%00": {422, "/kind/0"},
			"user_id=me": {422, "/user_id"}, "user_id=%7B" + newID() + "%7D": {422, "/user_id"}, "user_id=": {422, "/user_id"},
			"cursor=": {200, ""}, "cursor=" + strings.Repeat("A", 601): {422, "/cursor"},
			"limit=1&limit=1": {400, "/limit"}, "kind=login&kind=logout": {400, "/kind"}, "kind=login&k%69nd=login": {400, "/kind"}, "cursor=a&cursor=": {400, "/cursor"},
			"kind=%ff": {400, "/kind"}, "kind=%zz": {400, ""}, "kind=login;limit=1": {400, ""}, "limit=1;limit=2": {400, ""},
			"kinds=login": {422, ""}, "KIND=login": {422, ""}, "kind[]=login": {422, ""}, "=": {422, ""}, "password=" + canary: {422, ""}, canary: {422, ""},
			"access_token=" + canary: {400, ""},
		} {
			r := get("/events?" + query)
			r.token = root
			a := s.do(t, r)
			if a.status != want.status {
				t.Errorf("%q: got %d %s, want %d", query, a.status, a.body, want.status)
			} else if want.pointer != "" {
				a.pointsAt(want.pointer)
			}
			if strings.Contains(string(a.body), canary) {
				t.Errorf("%q: the answer has it: %s", query, a.body)
			}
		}
		// Where an operation has no parameters the query is not looked at.
		s.do(t, me(root)).want(200)
		r := get("/users/me?_=1&_=2")
		r.token = root
		s.do(t, r).want(200)
	})
}

// P7, L2: refused logins are recorded no more often than they are counted, and throttled ones once for each wait; for
// unknown names as for known ones.
func TestRefusedLoginsDoNotFloodTheRecord(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.register(t, "ann")
		recorded := func(kind string) string {
			return s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE kind = '`+kind+`'`)
		}
		for _, name := range []string{"ann", canary, canary + "@example.com"} {
			s.sql(t, `DELETE FROM events`)
			guesses := slices.Repeat([]request{from("203.0.113.1", passwordGrant(name, wrong))}, 40)
			if got := inParallel(t, []*server{s}, guesses); got[400] != 5 {
				t.Errorf("%s: %v", name, got)
			}
			if failed, throttled := recorded("login_failed"), recorded("login_throttled"); failed != "5" || throttled != "1" {
				t.Errorf("%s: %s failed and %s throttled logins are recorded, want 5 and 1", name, failed, throttled)
			}
			for wait := range 3 {
				s.clock.advance(time.Second << wait)
				s.do(t, from("203.0.113.1", passwordGrant(name, wrong))).want(400)
				turnedAway := slices.Repeat([]request{from("203.0.113.2", passwordGrant(name, horse))}, 30)
				if got := inParallel(t, []*server{s}, turnedAway); got[429] != 30 {
					t.Errorf("%s: %v", name, got)
				}
			}
			if failed, throttled := recorded("login_failed"), recorded("login_throttled"); failed != "8" || throttled != "4" {
				t.Errorf("%s: %s failed and %s throttled logins are recorded, want 8 and 4", name, failed, throttled)
			}
			if name != "ann" {
				users := s.value(t, `SELECT MAX(user_id) || MAX(username) || MAX(actor) || MAX(session_id) FROM events`)
				if users != "" {
					t.Errorf("a name that nobody has is recorded as %q", users)
				}
			}
		}
	}, proxied)
}

// A2: events hold no secret, no text that was typed as a username, and no control characters.
func TestEventsHoldNoSecrets(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		tokens := s.newcomer(t, "ann")
		c := s.makeClient(t, "shop")
		throughClient := c.login(t, s, "ann")
		newer := decode[api.Token](s.do(t, refreshGrant(tokens.RefreshToken)).want(200))
		s.do(t, passwordGrant(canary, wrong)).want(400)
		s.do(t, passwordGrant(canary+"@example.com", wrong)).want(400)
		s.do(t, passwordGrant("ann", canary)).want(400)
		s.do(t, changePassword(newer.AccessToken, canary, canary+canary)).want(422)
		s.do(t, changePassword(newer.AccessToken, horse, canary+canary)).want(204)
		login := passwordGrant("ann", canary+canary)
		login.header = map[string]string{"User-Agent": "\xff\xc0\t\u0085\u202e" + strings.Repeat("é", 300)}
		last := decode[api.Token](s.do(t, login).want(200))
		s.do(t, revocation(last.RefreshToken)).want(200)
		hash := s.value(t, `SELECT password_hash FROM users WHERE username = 'ann'`)
		page := eventPage(t, s, root, "/events?limit=100")
		text, err := json.Marshal(page)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range map[string]string{
			"the canary": canary, "a password": horse, "a wrong password": wrong, "a hash": hash, "a client's secret": c.Secret,
			"an access token": newer.AccessToken[strings.LastIndex(newer.AccessToken, ".")+1:], "a refresh token": tokens.RefreshToken,
			"the client's refresh token": throughClient.RefreshToken, "an address": "ann@example.com", "the master key": testKey(), "a tab": `\t`,
		} {
			if strings.Contains(string(text), secret) {
				t.Errorf("the record has %s:\n%s", name, text)
			}
		}
		if len(page.Items) < 10 {
			t.Errorf("there are only %v", kindsOf(page.Items))
		}
	})
}

// A deed and its event are there together, or neither is.
func TestNothingIsDoneUnrecorded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		tokens := s.loginToDelete(t, "ann")
		session := s.access(t, tokens.AccessToken).SessionID
		state := func() string {
			return s.value(t, `SELECT MAX(id) || MAX(password_hash) || (SELECT MAX(id) FROM sessions) || (SELECT COUNT(*) FROM sessions) || COUNT(*) FROM users`)
		}
		before := state()
		s.sql(t, `ALTER TABLE events RENAME TO lost`)
		for _, r := range []request{
			{method: "POST", path: "/users", json: map[string]string{"username": "bob", "password": horse}},
			changePassword(tokens.AccessToken, horse, "a bigger wooden horse"),
			{method: "DELETE", path: "/users/me/sessions/" + session, token: tokens.AccessToken},
			{method: "DELETE", path: "/users/me/sessions", token: tokens.AccessToken},
			{method: "DELETE", path: "/users/me", token: tokens.AccessToken},
			passwordGrant("ann", horse), revocation(tokens.AccessToken), revocation(tokens.RefreshToken),
		} {
			if a := s.do(t, r); a.status != 500 {
				t.Errorf("%s %s: got %d %s", r.method, r.path, a.status, a.body)
			}
		}
		if after := state(); after != before {
			t.Errorf("something was done unrecorded: %s, then %s", before, after)
		}
		s.sql(t, `ALTER TABLE lost RENAME TO events`)
		s.do(t, passwordGrant("ann", horse)).want(200)
	})
}

// Events are kept for as long as is set, and removed in small batches, while people log in.
func TestOldEventsAreRemoved(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db, now := s.open(t), time.Now()
		recordLogins(t, db, newID(), 1203, now.Add(-25*time.Hour))
		recordLogins(t, db, newID(), 7, now.Add(-23*time.Hour))
		ann := s.newcomer(t, "ann").AccessToken
		service := cleanupJob(db, func() time.Time { return now })
		done := make(chan error, 1)
		go func() {
			_, err := service.Cleanup(t.Context())
			done <- err
		}()
		s.login(t, "ann")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if left := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events`); left != "10" { // with ann's three
			t.Errorf("%s are left of 10", left)
		}
		if mine := kindsOf(eventPage(t, s, ann, "/users/me/events").Items); len(mine) != 3 {
			t.Errorf("of ann's there are %v", mine)
		}
		if n, err := service.Cleanup(t.Context()); n != 0 || err != nil {
			t.Errorf("%d more are removed: %v", n, err)
		}
	})
}
