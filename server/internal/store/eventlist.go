package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
)

// EventQuery selects events. An empty field does not narrow the list. The first that is given of UserID, Actor and ClientID chooses the
// index, of which a page is one range for each kind. If more are given, they are compared with each event of the range.
type EventQuery struct {
	UserID   string
	Actor    string
	ClientID string
	Kinds    []string
	From     string // only events with this id or a greater one
	Before   string // only events with a smaller id
	Oldest   bool   // the oldest first, in place of the latest
	Limit    int
}

// endOfIDs is greater than every id of an event.
const endOfIDs = "g"

// EventPage is a page of the events that a query selects.
type EventPage struct {
	Events []Event
	Next   string // the id of the last event that was looked at, after which the list may go on; "" if it does not
}

// scannedAtOnce is how many events are read at once, if each is compared.
const scannedAtOnce = 500

// ListEvents lists events, the latest first unless the query says otherwise. It returns fewer than the limit, perhaps none, where the list
// may go on and the others that it has looked at do not match.
func (q *Queries) ListEvents(ctx context.Context, query EventQuery) (page EventPage, err error) {
	limit, compares := query.Limit, query.compares()
	if compares {
		query.Limit = scannedAtOnce
	}
	for looked := 0; ; {
		events, err := q.eventRange(ctx, query)
		if err != nil {
			return EventPage{}, err
		}
		more := len(events) > query.Limit
		events = events[:min(len(events), query.Limit)]
		looked += len(events)
		for i, e := range events {
			if compares && !query.matches(e) {
				continue
			}
			if page.Events = append(page.Events, e); len(page.Events) == limit {
				if more || i+1 < len(events) {
					page.Next = e.ID
				}
				return page, nil
			}
		}
		if !more {
			return page, nil
		}
		last := events[len(events)-1].ID
		if looked >= maxScanned {
			page.Next = last
			return page, nil
		}
		query = query.After(last)
	}
}

// After returns the query for the rest of a list, after an event that it selects.
func (query EventQuery) After(id string) EventQuery {
	if query.Oldest {
		query.From = max(query.From, id+"0") // greater than the id, and not greater than any later one
	} else {
		query.Before = id
	}
	return query
}

// compares reports whether an index does not select the events alone.
func (query *EventQuery) compares() bool {
	return query.UserID != "" && query.Actor+query.ClientID != "" || query.Actor != "" && query.ClientID != ""
}

func (query *EventQuery) matches(e Event) bool {
	return (query.UserID == "" || e.UserID == query.UserID) && (query.Actor == "" || e.Actor == query.Actor) && (query.ClientID == "" || e.ClientID == query.ClientID)
}

// eventRange reads the first events of ranges of an index, and one more than the limit if there is one.
//
// Conditions and order are row values of all columns of an index. So no planner has a choice: with an equation in place of them
// PostgreSQL may read the primary key backwards and filter, which for a rare kind is the whole table.
func (q *Queries) eventRange(ctx context.Context, query EventQuery) ([]Event, error) {
	of, value := query.owner()
	kinds := query.Kinds
	if of != "" && of != "user_id" && len(kinds) == 0 { // the index has the kind before the id
		var err error
		if kinds, err = q.kindsOf(ctx, of, value); err != nil || len(kinds) == 0 {
			return nil, err
		}
	}
	text, args := query.statement(kinds, q.skipLocked == "")
	rows, err := q.read.QueryContext(ctx, text, args...)
	return collect(rows, err, (*Event).fields)
}

// limit is the limit of the statements, which is more than that of the query, and a number of their text: a plan of PostgreSQL that fits every value of a parameter takes it for a
// tenth of the table, and compiles the statement, which takes milliseconds. Few numbers make few statements, which stay prepared.
func (query *EventQuery) limit() string {
	for _, size := range []int{21, 51, 101, 501} {
		if query.Limit < size {
			return strconv.Itoa(size)
		}
	}
	return strconv.Itoa(query.Limit + 1)
}

// eventIndexes are the indexes whose last column is the id, by the others.
var eventIndexes = map[string]string{
	"kind": "events_kind", "user_id": "events_user", "user_id, kind": "events_user_kind", "actor, kind": "events_actor", "client_id, kind": "events_client",
}

// statement returns the statement that reads the events of kinds, or of all. SQLite must be told the index: where an operator has run
// ANALYZE, it may skip the first column of another one, and then sort.
func (query *EventQuery) statement(kinds []string, sqlite bool) (text string, args []any) {
	of, value := query.owner()
	args = []any{query.From, cmp.Or(query.Before, endOfIDs)}
	var columns []string
	if of != "" {
		args, columns = append(args, value), append(columns, of)
	}
	if len(kinds) > 0 {
		columns = append(columns, "kind")
	}
	from := "events"
	if index := eventIndexes[strings.Join(columns, ", ")]; sqlite && index != "" {
		from += " INDEXED BY " + index
	}
	for _, kind := range padded(kinds) {
		args = append(args, kind)
	}
	if len(kinds) <= 1 {
		return query.branch(eventColumns, from, columns, len(args)), args
	}
	return query.union(from, columns, len(args)), args
}

// owner returns the column of the index beside the kind, and its value; "" for none.
func (query *EventQuery) owner() (column, value string) {
	switch {
	case query.UserID != "":
		return "user_id", query.UserID
	case query.Actor != "":
		return "actor", query.Actor
	case query.ClientID != "":
		return "client_id", query.ClientID
	}
	return "", ""
}

func (query *EventQuery) direction() string {
	if query.Oldest {
		return ""
	}
	return " DESC"
}

// branch reads one range of the index on columns and the id. The first two parameters are the bounds of the id. The
// values of the columns follow, that of the last one at the end.
func (query *EventQuery) branch(selected, from string, columns []string, end int) string {
	names, low, high, order := "", "", "", ""
	for i, column := range columns {
		at := 3 + i
		if i == len(columns)-1 {
			at = end
		}
		parameter := "$" + strconv.Itoa(at) + ", "
		names, low, high, order = names+column+", ", low+parameter, high+parameter, order+column+query.direction()+", "
	}
	return `SELECT ` + selected + ` FROM ` + from + ` WHERE (` + names + `id) >= (` + low + `$1) AND (` + names + `id) < (` + high + `$2)
		ORDER BY ` + order + `id` + query.direction() + ` LIMIT ` + query.limit()
}

// union reads a range for each kind, and returns the first events of all. The kinds are the last parameters.
func (query *EventQuery) union(from string, columns []string, parameters int) string {
	var branches []string
	for at := 2 + len(columns); at <= parameters; at++ {
		branches = append(branches, `SELECT id FROM (`+query.branch("id", from, columns, at)+`) AS k`+strconv.Itoa(at))
	}
	return `WITH page AS MATERIALIZED (` + strings.Join(branches, " UNION ALL ") + ` ORDER BY id` + query.direction() + ` LIMIT ` + query.limit() + `)
		SELECT ` + eventColumns + ` FROM events WHERE id IN (SELECT id FROM page) ORDER BY id` + query.direction()
}

// padded fills kinds up with one that no event has until their number is a power of two: each number is a statement of its own,
// and statements stay prepared.
func padded(kinds []string) []string {
	all := slices.Clone(kinds)
	for len(all)&(len(all)-1) != 0 {
		all = append(all, "")
	}
	return all
}

// kindsOf lists the kinds of the events with a value in a column. It reads one entry of the index for each kind, however many events
// there are.
func (q *Queries) kindsOf(ctx context.Context, column, value string) ([]string, error) {
	rows, err := q.read.QueryContext(ctx, `
		WITH RECURSIVE kinds(kind) AS (
			SELECT MIN(kind) FROM events WHERE `+column+` = $1
			UNION ALL SELECT (SELECT MIN(e.kind) FROM events e WHERE e.`+column+` = $1 AND e.kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL)
		SELECT kind FROM kinds WHERE kind IS NOT NULL`, value)
	return collect(rows, err, func(kind *string) []any { return []any{kind} })
}
