package apitest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
)

// follower follows the event log as the contract says.
type follower struct {
	s     *server
	token string
	query string
	last  string          // the greatest id that it has seen
	seen  map[string]bool // ids
	late  int             // events that appeared with a smaller id than the greatest
}

// poll asks for new events once, and reads all pages.
func (f *follower) poll(t *testing.T) {
	t.Helper()
	path, last := "/events?limit=7"+f.query, f.last
	if last != "" {
		path += "&after=" + last
	}
	for cursor := ""; ; {
		page := eventPage(t, f.s, f.token, path+cursor)
		for _, e := range page.Items {
			if !f.seen[e.ID] && e.ID < last {
				f.late++
			}
			f.seen[e.ID], f.last = true, max(f.last, e.ID)
		}
		next := said(page.NextCursor)
		if next == "" {
			return
		}
		cursor = "&cursor=" + next
	}
}

// A program that follows the log gets every event, whatever the order in which the transactions of concurrent writers are committed.
func TestAFollowerMissesNoEvent(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db := s.open(t)
		_, root := s.administrator(t, "root")
		f := &follower{s: s, token: root, query: "&kind=wrong_code,recovery_code_used", seen: map[string]bool{}}
		const rounds, each = 5, 12
		for range rounds {
			ids := make([]string, each) // in the order in which they are made
			for i := range ids {
				ids[i] = newID()
			}
			rand.Shuffle(each, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] }) // in that of the commits
			for i, id := range ids {
				kind := []string{"wrong_code", "recovery_code_used"}[i%2]
				if err := db.RecordEvent(t.Context(), store.Event{ID: id, At: time.Now(), Kind: kind}); err != nil {
					t.Fatal(err)
				}
				f.poll(t)
			}
		}
		if len(f.seen) != rounds*each {
			t.Errorf("it has seen %d events of %d", len(f.seen), rounds*each)
		}
		if f.late == 0 {
			t.Error("no event was late, so this has tested nothing")
		}
	})
}

// The same with parallel writers whose transactions stay open for different times.
func TestAFollowerOfParallelWritersMissesNoEvent(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		db := s.open(t)
		_, root := s.administrator(t, "root")
		f := &follower{s: s, token: root, query: "&actor=writer", seen: map[string]bool{}}
		const writers, each = 8, 25
		var working sync.WaitGroup
		var left atomic.Int64
		left.Store(writers)
		for range writers {
			working.Go(func() {
				defer left.Add(-1)
				for i := range each {
					err := db.Tx(t.Context(), func(q *store.Queries) error {
						for range 1 + i%3 {
							if err := q.RecordEvent(t.Context(), store.Event{ID: newID(), At: time.Now(), Kind: "logout", Actor: "writer"}); err != nil {
								return err
							}
							// It takes some time.
							if _, err := q.ListEvents(t.Context(), store.EventQuery{Kinds: []string{"logout"}, Limit: rand.IntN(50) + 1}); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for left.Load() > 0 {
			f.poll(t)
		}
		working.Wait()
		f.poll(t)
		want := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events WHERE actor = 'writer'`)
		if fmt.Sprint(len(f.seen)) != want {
			t.Errorf("it has seen %d events of %s", len(f.seen), want)
		}
	})
}

// Each filter selects the events that it names, alone and with others.
func TestEventsAreFiltered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		rootID, root := s.administrator(t, "root")
		ann := s.register(t, "ann").ID
		shop := s.makeClient(t, "shop")
		s.do(t, shop.posts(passwordGrant("ann", horse))).want(200)
		s.do(t, passwordGrant("ann", wrong)).want(400)
		s.change(t, root, ann, map[string]any{"disabled": true}).want(200)
		all := map[string]api.Event{}
		for _, e := range eventPage(t, s, root, "/events?limit=100").Items {
			all[e.ID] = e
		}
		for query, selects := range map[string]func(e api.Event) bool{
			"user_id=" + ann:                        func(e api.Event) bool { return said(e.UserID) == ann },
			"actor=" + rootID:                       func(e api.Event) bool { return said(e.Actor) == rootID },
			"actor=command%20line":                  func(e api.Event) bool { return said(e.Actor) == "command line" },
			"client_id=" + shop.ID:                  func(e api.Event) bool { return said(e.ClientID) == shop.ID },
			"kind=login,login_failed":               func(e api.Event) bool { return e.Kind == "login" || e.Kind == "login_failed" },
			"kind=login,login&client_id=" + shop.ID: func(e api.Event) bool { return e.Kind == "login" && said(e.ClientID) == shop.ID },
			"kind=account_disabled,login&actor=" + rootID: func(e api.Event) bool {
				return (e.Kind == "login" || e.Kind == "account_disabled") && said(e.Actor) == rootID
			},
			"actor=nobody":                                 func(api.Event) bool { return false },
			"since=2000-01-01T00:00:00Z":                   func(api.Event) bool { return true },
			"since=2100-01-01T00:00:00Z":                   func(api.Event) bool { return false },
			"until=2100-01-01T00:00:00%2B01:00":            func(api.Event) bool { return true },
			"until=2000-01-01T00:00:00Z&kind=login,logout": func(api.Event) bool { return false },
		} {
			got := eventPage(t, s, root, "/events?limit=100&"+query).Items
			want := 0
			for _, e := range all {
				if selects(e) {
					want++
				}
			}
			for _, e := range got {
				if !selects(all[e.ID]) {
					t.Errorf("%s has selected %+v", query, e)
				}
			}
			if len(got) != want || want == 0 && (query[:5] == "actor" && query != "actor=nobody") {
				t.Errorf("%s has selected %d events, want %d", query, len(got), want)
			}
		}
		// Two lists that meet at a time have every event once.
		middle := "2020-01-01T00:00:00Z"
		for _, id := range []string{"016f5e66-e7ff-7000-8000-000000000001", "016f5e66-e800-7000-8000-000000000001"} { // a millisecond before, and at it
			s.sql(t, `INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent) VALUES ('`+id+`', 0, 'logout', '', '', 'me', '', '', '', '')`)
		}
		before, from := eventPage(t, s, root, "/events?actor=me&until="+middle).Items, eventPage(t, s, root, "/events?actor=me&since="+middle).Items
		if len(before) != 1 || len(from) != 1 || before[0].ID > from[0].ID {
			t.Errorf("before the time are %v, and from it on %v", before, from)
		}
	})
}
