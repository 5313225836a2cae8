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
	done  bool
}

// Export begins an export. Errors: ValidationFailed for fields that exclude each other.
func (l *Log) Export(query Query) (*Export, error) {
	q, err := query.stored()
	if err != nil {
		return nil, err
	}
	settled := firstID(l.now().Add(-Settles))
	if q.Before == "" || q.Before > settled {
		q.Before = settled
	}
	if query.After != "" {
		q.From = max(q.From, next(query.After))
	}
	q.Oldest, q.Limit = true, exportBatch
	return &Export{db: l.db, query: q}, nil
}

// next returns a text that is greater than an id and not greater than any later one.
func next(id string) string { return id + "0" }

// Next returns the next batch; an empty one is the end.
func (e *Export) Next(ctx context.Context) ([]store.Event, error) {
	if e.done {
		return nil, nil
	}
	events, err := e.db.ListEvents(ctx, e.query)
	if err != nil {
		return nil, err
	}
	if e.done = len(events) < exportBatch; !e.done {
		e.query.From = next(events[len(events)-1].ID)
	}
	return events, nil
}
