package webhook

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"sesame/server/internal/queue"
	"sesame/server/internal/store"
)

const (
	// lease is how long no other replica claims a delivery.
	lease = time.Minute
	// finishTime bounds the wait for deliveries that are being sent when the server stops.
	finishTime = 8 * time.Second
	// A delivery that fails is due again after firstPause, doubling to longestPause, and up to a fifth later, so that what has failed at
	// once does not come back at once. With that fifth it is store.LongestDeliveryPause: maintenance makes a delivery due at once whose
	// next attempt is later. The first attempt after it is life old is the last.
	firstPause   = 5 * time.Second
	longestPause = store.LongestDeliveryPause * 5 / 6
	life         = 3 * 24 * time.Hour
)

// Outcomes of an attempt to deliver an event.
const (
	delivered = "delivered"
	dropped   = "dropped" // it can never be delivered, or is too old
	retried   = "retried"
)

// Outcomes are the values of Settings.Attempted.
var Outcomes = []string{delivered, dropped, retried}

// item is a claimed delivery.
type item struct {
	store.Delivery
	webhook store.Webhook
	event   *store.Event // nil if it was deleted
}

// Run delivers events until ctx ends. It returns once the deliveries that are being sent are finished, or after finishTime; a replica
// repeats those that are not.
func (s *Service) Run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	worker := &queue.Worker[item]{
		What: "webhooks", Claim: s.claim, Max: maxWebhooks * maxSending, Lease: lease, WorkTime: sendTime, FinishTime: finishTime,
		Every: s.Every, Bell: s.bell, Now: s.Now, Log: s.Log,
	}
	worker.Do = func(ctx context.Context, i item) { s.deliver(ctx, worker, i) }
	worker.Run(ctx)
}

// claim claims deliveries of each webhook that has room for them.
func (s *Service) claim(ctx context.Context, now, lease time.Time, limit int) (items []item, err error) {
	s.maintain(ctx, now)
	webhooks, err := s.db.WebhooksDue(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, w := range webhooks {
		room := min(s.roomFor(w.ID, now), limit-len(items))
		if room == 0 {
			continue
		}
		claimed, err := s.claimOf(ctx, w, now, lease, room)
		if err != nil {
			return items, err
		}
		items = append(items, claimed...)
	}
	return items, nil
}

func (s *Service) counted(id string, f func(r *receiver)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.receiver(id))
}

func (s *Service) roomFor(id string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receiver(id).room(now)
}

// claimOf claims deliveries of one webhook, and reads their events.
func (s *Service) claimOf(ctx context.Context, w store.Webhook, now, lease time.Time, room int) ([]item, error) {
	deliveries, err := s.db.ClaimDeliveries(ctx, w.ID, now, lease, room)
	if err != nil || len(deliveries) == 0 {
		return nil, err
	}
	ids := make([]string, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.EventID
	}
	found, err := s.db.EventsByID(ctx, ids)
	if err != nil {
		return nil, err // they are due again when the lease ends
	}
	events := map[string]*store.Event{}
	for i := range found {
		events[found[i].ID] = &found[i]
	}
	items := make([]item, len(deliveries))
	for i, d := range deliveries {
		items[i] = item{d, w, events[d.EventID]}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.receiver(w.ID)
	r.busy, r.claimedAt = r.busy+len(items), time.Now()
	return items, nil
}

// deliver makes one attempt, and records the outcome.
func (s *Service) deliver(ctx context.Context, worker *queue.Worker[item], i item) {
	begun := time.Now()
	o := s.send(ctx, i.webhook, i.event)
	now, d := s.Now(), i.Delivery
	d.AttemptedAt, d.Duration, d.Status, d.Fault = now, time.Since(begun), o.status, o.fault
	result := delivered
	switch gone := o.status == http.StatusGone; {
	case o.fault == "":
		d.State = store.DeliveryDone
	case o.fault == faultNoEvent || gone || now.Sub(d.QueuedAt) >= life:
		d.State, result = store.DeliveryFailed, dropped
	default:
		result = retried
		pause := queue.Pause(d.Attempts, firstPause, longestPause)
		d.DueAt = now.Add(max(pause+rand.N(pause/5), o.retryAfter)) //nolint:gosec // spreads load, and hides nothing
	}
	if o.err != nil {
		s.Log.Debug("delivering an event to a webhook failed", "webhook", d.WebhookID, "event", d.EventID, "attempts", d.Attempts, "fault", o.fault, "status", o.status)
	}
	if s.Attempted != nil {
		s.Attempted(result)
	}
	s.counted(d.WebhookID, func(r *receiver) { r.attempted(now, result) })
	worker.Record(ctx, func(ctx context.Context) error { return s.db.RecordDelivery(ctx, d) })
	s.counted(d.WebhookID, func(r *receiver) { r.busy-- })
	if o.status == http.StatusGone { // Standard Webhooks: the receiver wants no more
		worker.Record(ctx, func(ctx context.Context) error { return s.disable(ctx, i.webhook) })
	}
}
