package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fillEvents records many events: of three accounts, four actors and two clients, and one of them of a rare kind.
func fillEvents(t *testing.T, db *DB, n int) (all []Event) {
	t.Helper()
	db.mustExec(t, `INSERT INTO events (id, at, kind, user_id, username, actor, client_id, session_id, ip_address, user_agent)
		WITH RECURSIVE n(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < 100000 + `+fmt.Sprint(n)+`)
		SELECT 'e' || i, i, CASE WHEN i = 100007 THEN 'rare' WHEN i % 5 = 0 THEN 'logout' WHEN i % 7 = 0 THEN 'wrong_code' ELSE 'login' END,
			'u' || (i % 3), '', 'a' || (i % 4), 'c' || (i % 2), '', '', '' FROM n`)
	db.mustExec(t, `ANALYZE`)
	page, err := db.ListEvents(t.Context(), EventQuery{Limit: 1_000_000, Oldest: true})
	if err != nil || len(page.Events) != n+1 || page.Next != "" {
		t.Fatalf("%v: there are %d events", err, len(page.Events))
	}
	return page.Events
}

// eventQueries are queries with each filter and their combinations.
func eventQueries() (queries []EventQuery) {
	for _, owner := range []EventQuery{
		{},
		{UserID: "u1"},
		{Actor: "a2"},
		{Actor: "nobody"},
		{ClientID: "c1"},
		{UserID: "u1", Actor: "a2"},
		{UserID: "u2", ClientID: "c1"},
		{Actor: "a3", ClientID: "c1"},
		{Actor: "a2", ClientID: "c1"},
		{UserID: "u0", Actor: "a0", ClientID: "c0"},
	} {
		for _, kinds := range [][]string{nil, {"login"}, {"rare"}, {"none"}, {"logout", "rare"}, {"login", "logout", "rare", "wrong_code", "none"}} {
			for _, oldest := range []bool{false, true} {
				for _, bounds := range [][2]string{{"", ""}, {"e100003", "e100050"}, {"e100001", ""}, {"", "e100020"}} {
					query := owner
					query.Kinds, query.Oldest, query.From, query.Before = kinds, oldest, bounds[0], bounds[1]
					queries = append(queries, query)
				}
			}
		}
	}
	return queries
}

// Each query returns what a reading of all events would select, with any limit.
func TestListsOfEventsSelectWhatTheySay(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		all := fillEvents(t, db, 300)
		for _, query := range eventQueries() {
			want := query.selects(all)
			for _, query.Limit = range []int{1, 7, 1000} {
				got, err := db.ListEvents(t.Context(), query)
				expected := want[:min(len(want), query.Limit)]
				may := query.compares() && len(expected) == query.Limit // go on, if none of the rest matches
				if err != nil || !slices.Equal(got.Events, expected) || (got.Next != "") != (len(want) > len(expected)) && !may {
					t.Fatalf("%+v: %v: got %d events and the next %q, want %d", query, err, len(got.Events), got.Next, len(expected))
				}
			}
		}
	})
}

// selects is what a query should return of all events, without its limit.
func (query *EventQuery) selects(all []Event) []Event {
	want := slices.DeleteFunc(slices.Clone(all), func(e Event) bool {
		return query.UserID != "" && e.UserID != query.UserID || query.Actor != "" && e.Actor != query.Actor || query.ClientID != "" && e.ClientID != query.ClientID ||
			len(query.Kinds) > 0 && !slices.Contains(query.Kinds, e.Kind) || e.ID < query.From || query.Before != "" && e.ID >= query.Before
	})
	if !query.Oldest {
		slices.Reverse(want)
	}
	return want
}

// A page looks at so many events at most, however few match, and the pages together have what one reading of all events selects.
func TestPagesOfEventsLookAtFew(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		all := fillEvents(t, db, 20_000)
		for _, query := range []EventQuery{
			{UserID: "u1", Actor: "a2"}, {Actor: "a2", ClientID: "c1"}, {Actor: "a1", ClientID: "c1", Kinds: []string{"logout", "rare"}}, {UserID: "u1", ClientID: "c2", From: "e100050"},
		} {
			for _, query.Oldest = range []bool{false, true} {
				want, looks := query.selects(all), EventQuery{UserID: query.UserID, Oldest: query.Oldest, Kinds: query.Kinds, From: query.From}
				if query.UserID == "" {
					looks.Actor = query.Actor
				}
				looked, pages := looks.selects(all), 0
				query.Limit = 100
				for rest := query; ; pages++ {
					page, err := db.ListEvents(t.Context(), rest)
					if err != nil || len(page.Events) > len(want) || !slices.Equal(page.Events, want[:len(page.Events)]) {
						t.Fatalf("%+v, page %d: %v: %d events", query, pages, err, len(page.Events))
					}
					if want = want[len(page.Events):]; page.Next == "" {
						break
					}
					at := slices.IndexFunc(looked, func(e Event) bool { return e.ID == page.Next }) + 1
					if at == 0 || at > 2000 || len(page.Events) < 100 && at < 2000 {
						t.Fatalf("%+v, page %d of %d events looked at %d", query, pages, len(page.Events), at)
					}
					looked, rest = looked[at:], rest.After(page.Next)
				}
				if len(want) > 0 {
					t.Errorf("%+v: %d events are missing after %d pages", query, len(want), pages)
				}
			}
		}
	})
}

// Every page reads ranges of an index in their order, so that it costs the same however many events there are, and however rare
// those are that it looks for.
func TestPagesOfEventsReadRangesOfAnIndex(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		fillEvents(t, db, 20_000)
		explain, bad := `EXPLAIN `, []string{"Seq Scan", "Bitmap", "Filter:"}
		if db.engine.dialect == "sqlite3" {
			explain, bad = `EXPLAIN QUERY PLAN `, []string{"SCAN events", "USE TEMP B-TREE FOR ORDER BY"}
		}
		for _, query := range eventQueries() {
			query.Limit = 50
			of, _ := query.owner()
			index := map[string]string{"": "", "user_id": "events_user_kind", "actor": "events_actor", "client_id": "events_client"}[of]
			kinds := query.Kinds
			switch {
			case of == "" && len(kinds) == 0:
				index = "events_"
			case of == "":
				index = "events_kind"
			case of == "user_id" && len(kinds) == 0:
				index = "events_user"
			case len(kinds) == 0:
				kinds = []string{"login", "logout", "wrong_code"}
			}
			text, args := query.statement(kinds, db.engine.dialect == "sqlite3")
			plan := db.plan(t, explain+text, args...)
			if of+strings.Join(kinds, "") != "" && !strings.Contains(plan, index) {
				t.Errorf("%+v does not use %s:\n%s", query, index, plan)
			}
			for _, part := range bad {
				if part == "Filter:" && strings.Contains(plan, "Subquery") || part == "USE TEMP B-TREE FOR ORDER BY" && len(kinds) > 1 {
					continue // at most a page of each kind is sorted
				}
				if strings.Contains(plan, part) {
					t.Errorf("%+v: %s\n%s", query, part, plan)
				}
			}
		}
	})
}

// plan is how the database answers a query.
func (db *DB) plan(t *testing.T, query string, args ...any) string {
	t.Helper()
	rows, err := db.read.QueryContext(t.Context(), query, args...)
	var unused any
	lines, err := collect(rows, err, func(line *string) []any {
		if db.engine.dialect == "sqlite3" {
			return []any{&unused, &unused, &unused, line}
		}
		return []any{line}
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.Join(lines, "\n")
}

// A program of the version before works with the table of mails that this one has.
func TestOlderProgramsWriteMails(t *testing.T) {
	migrated(t, func(t *testing.T, db *DB) {
		now := micros(time.Now())
		db.mustExec(t, `INSERT INTO mails (id, kind, payload, attempts, next_try_at, claimed_until, created_at) VALUES ('a', 'k', 'p', 0, $1, 0, $1)`, now)
		db.mustExec(t, `UPDATE mails SET claimed_until = 0, next_try_at = $3 WHERE id = $1 AND claimed_until = $2`, "a", 0, now+1)
		if mails, err := db.ListMails(t.Context(), "g", 10); err != nil || len(mails) != 1 || mails[0].LastError != "" {
			t.Errorf("%v: %v", err, mails)
		}
	})
}
