package audit

import (
	"context"

	"sesame/server/internal/store"
)

// exportBatch is how many events an export reads at once, and so has in memory.
const exportBatch = 500

// Export reads the events of a query, the oldest first, in batches. Each batch is a query of its own, so no transaction lasts longer
// than one.
//
// It ends before the events that were recorded in the last minute, because others may still become visible among them (Settles). So
// an export that begins after the last event of another one misses none and repeats none.
type Export struct {
	db    *store.DB
	query store.EventQuery
}

// Export begins an export.
func (l *Log) Export(query Query) *Export {
	q := query.stored()
	settled := firstID(l.now().Add(-Settles))
	if q.Before == "" || q.Before > settled {
		q.Before = settled
	}
	q.Oldest, q.Limit = true, exportBatch
	if query.After != "" {
		q = q.After(query.After)
	}
	return &Export{l.db, q}
}

// Next returns the next batch, which may be empty, and whether the export goes on after it.
func (e *Export) Next(ctx context.Context) (events []store.Event, more bool, err error) {
	page, err := e.db.ListEvents(ctx, e.query)
	e.query = e.query.After(page.Next)
	return page.Events, page.Next != "", err
}
