package webhook

import (
	"context"
	"errors"
	"strings"
	"time"

	"sesame/server/internal/audit"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// Retention is how long a delivery is kept after it was queued, whatever became of it. It is longer than its life.
const Retention = 7 * 24 * time.Hour

// Query selects a page of the deliveries of a webhook. An empty State does not narrow it.
type Query struct {
	WebhookID string
	State     string
	Cursor    string // "" for the first page
	Limit     int
}

// Deliveries returns a page of deliveries, those of the latest events first, and the cursor of the next page, or "". Errors: NotFound,
// BadRequest for a cursor of another list.
func (s *Service) Deliveries(ctx context.Context, query Query) (page []store.Delivery, next string, err error) {
	list := strings.Join([]string{"deliveries", query.WebhookID, query.State}, " ")
	before := ""
	if query.Cursor != "" {
		if before, err = s.cursors.Read(list, query.Cursor); err != nil {
			return nil, "", problem.InvalidCursor(err)
		}
	}
	if _, err = s.db.WebhookByID(ctx, query.WebhookID); err != nil {
		return nil, "", explain(err)
	}
	page, err = s.db.ListDeliveries(ctx, store.DeliveryQuery{WebhookID: query.WebhookID, State: query.State, Before: before, Limit: query.Limit + 1})
	if len(page) > query.Limit {
		page = page[:query.Limit]
		next = s.cursors.Text(list, page[query.Limit-1].EventID)
	}
	return page, next, err
}

// Delivery returns a delivery and its event, nil if that was deleted. Errors: NotFound.
func (s *Service) Delivery(ctx context.Context, webhookID, eventID string) (d store.Delivery, e *store.Event, err error) {
	if _, err = s.db.WebhookByID(ctx, webhookID); err != nil {
		return d, nil, explain(err)
	}
	if d, err = s.db.DeliveryByID(ctx, webhookID, eventID); err != nil {
		return d, nil, explainDelivery(err)
	}
	found, err := s.db.EventsByID(ctx, []string{eventID})
	if len(found) > 0 {
		e = &found[0]
	}
	return d, e, err
}

func explainDelivery(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "The webhook has no delivery of this event.")
	}
	return err
}

// Resend makes a delivery due, whatever became of it before. One that is being sent stays as it is. Errors: NotFound.
func (s *Service) Resend(ctx context.Context, webhookID, eventID string) (d store.Delivery, err error) {
	if _, err = s.db.WebhookByID(ctx, webhookID); err != nil {
		return d, explain(err)
	}
	d, err = s.db.ResendDelivery(ctx, webhookID, eventID, s.Now())
	if errors.Is(err, store.ErrNotFound) {
		d, err = s.db.DeliveryByID(ctx, webhookID, eventID) // it may be in work
	}
	if err == nil {
		s.bell.Ring()
	}
	return d, explainDelivery(err)
}

// Test records an event webhook_tested, and queues it for the webhook, whatever kinds it has chosen. Errors: NotFound.
func (s *Service) Test(ctx context.Context, by By, id string) (d store.Delivery, err error) {
	var e store.Event
	err = s.db.Tx(ctx, func(q *store.Queries) (err error) {
		if _, err = q.LockWebhook(ctx, id); err != nil { // so that it is not deleted meanwhile
			return err
		}
		if e, err = audit.New(ctx, audit.WebhookTested, event(ctx, by.Actor(), id), s.Now()); err != nil {
			return err
		}
		if err = q.RecordEvent(ctx, e); err != nil {
			return err
		}
		return q.QueueDelivery(ctx, id, e)
	})
	if err != nil {
		return d, explain(err)
	}
	s.bell.Ring()
	return s.db.DeliveryByID(ctx, id, e.ID)
}
