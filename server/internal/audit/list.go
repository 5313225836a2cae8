package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Settles is how long after the time in its id an event may become visible: it is recorded in a transaction, which commits later,
// and the clocks of replicas differ. A transaction ends within seconds, since the store bounds each of its statements, and the
// replicas' clocks may be 30 s apart (package keys).
const Settles = time.Minute

// Log lists events.
type Log struct {
	db      *store.DB
	cursors token.Cursors
	now     func() time.Time
}

// NewLog makes a Log.
func NewLog(db *store.DB, cursors token.Cursors, now func() time.Time) *Log {
	return &Log{db, cursors, now}
}

// Query selects events. An empty field does not narrow it.
type Query struct {
	UserID   string
	Actor    string
	ClientID string
	Kinds    []string
	Since    time.Time // only events that were recorded at this time or later
	Until    time.Time // only events that were recorded before
	// After is the id of an event. For List: only later ones, and those that may have become visible since then. For Export: only
	// later ones.
	After  string
	Cursor string // for List; "" for the first page
	Limit  int    // for List
}

// stored returns what the store needs of a query.
func (query *Query) stored() store.EventQuery {
	kinds := slices.Clone(query.Kinds)
	slices.Sort(kinds)
	q := store.EventQuery{UserID: query.UserID, Actor: query.Actor, ClientID: query.ClientID, Kinds: slices.Compact(kinds)}
	if !query.Since.IsZero() {
		q.From = firstID(query.Since)
	}
	if !query.Until.IsZero() {
		q.Before = firstID(query.Until)
	}
	return q
}

// firstID returns the smallest id of an event that is recorded at a time: a UUIDv7 begins with the milliseconds since 1970.
func firstID(at time.Time) string {
	const first, last = 0, 1<<48 - 1
	text := fmt.Sprintf("%012x", min(max(at.UnixMilli(), first), last))
	return text[:8] + "-" + text[8:] + "-7000-8000-000000000000"
}

// recordedAt returns the time in the id of an event.
func recordedAt(id string) time.Time {
	var milliseconds int64
	_, _ = fmt.Sscanf(strings.ReplaceAll(id, "-", "")[:12], "%x", &milliseconds) // the contract has checked it
	return time.UnixMilli(milliseconds)
}

// List returns a page of events, the latest first, and the cursor of the next page, or "". A page with a cursor may have fewer events
// than the limit (see store.ListEvents). Errors: BadRequest for a cursor of another list.
func (l *Log) List(ctx context.Context, query Query) (events []store.Event, next string, err error) {
	q := query.stored()
	if query.After != "" {
		q.From = max(q.From, firstID(recordedAt(query.After).Add(-Settles)))
	}
	list := strings.Join([]string{"events", q.UserID, q.Actor, q.ClientID, strings.Join(q.Kinds, ","), q.From, q.Before}, " ")
	if query.Cursor != "" {
		before, err := l.cursors.Read(list, query.Cursor)
		if err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
		q.Before = cmp.Or(before, q.Before)
	}
	q.Limit = query.Limit
	page, err := l.db.ListEvents(ctx, q)
	if err == nil && page.Next != "" {
		next = l.cursors.Text(list, page.Next)
	}
	return page.Events, next, err
}
