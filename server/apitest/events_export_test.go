package apitest

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
)

// plantEvents records n events of somebody, long ago, of which each takes half a kilobyte.
func (s *server) plantEvents(t *testing.T, n int) {
	t.Helper()
	s.sql(t, `INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
		WITH RECURSIVE n(i) AS (SELECT CAST(100000000000 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000 + `+json.Number(itoa(n-1)).String()+`)
		SELECT '01900000-0000-7000-8000-' || i, 1717900000000000 + i, CASE WHEN i % 3 = 0 THEN 'logout' ELSE 'login' END,
			'01900000-0000-7000-8000-000000000000', 'planted', 'planted', 'first-party', '', '192.0.2.1', '`+strings.Repeat("x", 250)+`' FROM n`)
}

func itoa(n int) string { text, _ := json.Marshal(n); return string(text) }

// export gets an export, and returns its lines.
func (s *server) export(t *testing.T, token, query string) (lines []map[string]any) {
	t.Helper()
	r := get("/events/export?" + query)
	r.token = token
	a := s.do(t, r).want(200)
	if got := a.header.Get("Content-Type"); got != "application/jsonl" {
		t.Errorf("the Content-Type is %q", got)
	}
	for line := range strings.Lines(string(a.body)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%v: %q", err, line)
		}
		lines = append(lines, e)
	}
	return lines
}

// An export has every event that the filters select, oldest first, as the list shows it.
func TestAnExportHasEveryEvent(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		s.plantEvents(t, 1234) // two whole batches, and a part of one
		s.clock.advance(2 * time.Minute)
		all := s.listedEvents(t, root)
		for query, selects := range map[string]func(e map[string]any) bool{
			"":                                func(map[string]any) bool { return true },
			"kind=logout":                     func(e map[string]any) bool { return e["kind"] == "logout" },
			"kind=logout,login&actor=planted": func(e map[string]any) bool { return e["actor"] == "planted" },
			"actor=planted&client_id=nobody":  func(map[string]any) bool { return false }, // whole batches of nothing
			"client_id=first-party&user_id=01900000-0000-7000-8000-000000000000&actor=planted": func(e map[string]any) bool {
				return e["username"] == "planted" && e["client_id"] == "first-party" && e["actor"] == "planted"
			},
			"client_id=first-party":                        func(e map[string]any) bool { return e["client_id"] == "first-party" },
			"user_id=01900000-0000-7000-8000-000000000000": func(e map[string]any) bool { return e["username"] == "planted" },
			"until=2000-01-01T00:00:00Z":                   func(map[string]any) bool { return false },
		} {
			lines, last, want := s.export(t, root, query), "", 0
			for _, e := range lines {
				id := e["id"].(string)
				if id <= last || !selects(e) || !reflect.DeepEqual(e, all[id]) {
					t.Fatalf("%s: after %s comes %v, which the list shows as %v", query, last, e, all[id])
				}
				last = id
			}
			for _, e := range all {
				if selects(e) {
					want++
				}
			}
			if len(lines) != want {
				t.Errorf("%q has exported %d events, want %d", query, len(lines), want)
			}
		}
		half := s.export(t, root, "kind=login,logout&until=2025-01-01T00:00:00Z")
		rest := s.export(t, root, "actor=planted&after="+half[616]["id"].(string))
		if len(half) != 1234 || len(rest) != 1234-617 || !reflect.DeepEqual(half[617], rest[0]) {
			t.Errorf("continued after 617 of %d, it has %d", len(half), len(rest))
		}
		head := s.do(t, request{method: "HEAD", path: "/events/export", token: root}).want(200)
		if len(head.body) > 0 || head.header.Get("Content-Type") != "application/jsonl" {
			t.Errorf("HEAD is answered with %v", head.header)
		}
	})
}

// Exports that continue each other have every event once, although events become visible late.
func TestExportsThatContinueMissNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		db := s.open(t)
		late := newID() // of a transaction that is committed last
		s.register(t, "ann")
		if lines := s.export(t, root, ""); len(lines) > 0 {
			t.Errorf("the export has events of the last minute: %v", lines)
		}
		s.sql(t, `INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
			VALUES ('`+late+`', 1, 'logout', '', '', 'late', '', '', '', '')`)
		s.clock.advance(61 * time.Second)
		first := s.export(t, root, "")
		recordLogins(t, db, newID(), 5, time.Now())
		s.clock.advance(61 * time.Second)
		second := s.export(t, root, "after="+first[len(first)-1]["id"].(string))
		seen := map[string]bool{}
		for _, e := range append(first, second...) {
			if id := e["id"].(string); seen[id] {
				t.Errorf("%s comes twice", id)
			} else {
				seen[id] = true
			}
		}
		if want := s.value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM events`); itoa(len(seen)) != want || !seen[late] || len(second) != 5 {
			t.Errorf("the exports have %d events of %s, the second %d", len(seen), want, len(second))
		}
	})
}

// opens begins an export, whose body the test reads.
func (s *server) opens(t *testing.T, token, query string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/events/export?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// An export that fails is cut so that its client notices, and can be continued. Between two batches it holds no lock.
func TestAnExportThatIsCutIsRecognised(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		const n = 30_000
		s.plantEvents(t, n)
		response := s.opens(t, root, "actor=planted")
		lines := bufio.NewReader(response.Body)
		last, count := "", 0
		next := func() (err error) {
			line, err := lines.ReadBytes('\n')
			var e struct{ ID string }
			if err == nil {
				err = json.Unmarshal(line, &e)
			}
			if err != nil {
				return err
			}
			if e.ID <= last {
				t.Fatalf("after %s comes %s", last, e.ID)
			}
			last, count = e.ID, count+1
			return nil
		}
		if err := next(); err != nil {
			t.Fatal(err)
		}
		s.sql(t, `ALTER TABLE events RENAME TO events_elsewhere`) // waits for locks of the export, if there are any
		var err error
		for err == nil {
			err = next()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || count == n {
			t.Fatalf("after %d lines: %v", count, err)
		}
		s.untilLogged(t, "an export of events was cut", 1)
		s.sql(t, `ALTER TABLE events_elsewhere RENAME TO events`)
		response = s.opens(t, root, "actor=planted&after="+last)
		lines = bufio.NewReader(response.Body)
		for err = next(); err == nil; {
			err = next()
		}
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || count != n {
			t.Errorf("%d lines, and %v", count, err)
		}
	})
}

// Exports hold nobody up: neither writers, nor the exports of others. One whose client closes the connection ends.
func TestExportsHoldNobodyUp(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		_, other := s.administrator(t, "other")
		s.plantEvents(t, 30_000)
		first, second := s.opens(t, root, ""), s.opens(t, other, "kind=login,logout")
		if first.StatusCode != 200 || second.StatusCode != 200 {
			t.Fatalf("got %d and %d", first.StatusCode, second.StatusCode)
		}
		s.register(t, "ann") // which writes
		s.do(t, request{method: "GET", path: "/events/export", token: root}).want(503, "unavailable")
		first.Body.Close()
		until(t, "the first has ended", func() bool {
			a, err := s.try(request{method: "HEAD", path: "/events/export", token: root})
			return err == nil && a.status == 200
		})
		if n, err := io.Copy(io.Discard, second.Body); err != nil || n < 30_000*400 {
			t.Errorf("the second ends after %d bytes: %v", n, err)
		}
	})
}

// An event that two of the filters select together is found behind thousands that one of them selects.
func TestFiltersOfEventsAreCombined(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, root := s.administrator(t, "root")
		s.plantEvents(t, 5000)
		for _, id := range []string{"01900000-0000-7000-8000-100000000000", "01900000-0000-7000-8000-100000004999"} { // the oldest, and the latest
			s.sql(t, `UPDATE events SET client_id = 'rare' WHERE id = '`+id+`'`)
			if lines := s.export(t, root, "actor=planted&client_id=rare"); len(lines) != 1 || lines[0]["id"] != id {
				t.Errorf("the export has %v", lines)
			}
			var found []string
			pages := 0
			for cursor := ""; ; pages++ {
				r := get("/events?actor=planted&client_id=rare&cursor=" + cursor)
				r.token = root
				page := decode[api.EventPage](s.do(t, r).want(200))
				for _, e := range page.Items {
					found = append(found, e.ID)
				}
				if page.NextCursor.IsNull() {
					break
				}
				cursor = page.NextCursor.MustGet()
			}
			if len(found) != 1 || found[0] != id || pages != 2 {
				t.Errorf("%d pages have a cursor, and the list has %v", pages, found)
			}
			s.sql(t, `UPDATE events SET client_id = 'first-party' WHERE id = '`+id+`'`)
		}
	})
}
