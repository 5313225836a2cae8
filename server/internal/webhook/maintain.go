package webhook

import (
	"context"
	"time"

	"sesame/server/internal/store"
)

const (
	// maintainEvery is the time between two looks at the queues.
	maintainEvery = 10 * time.Second
	// maxWaiting bounds the deliveries of a webhook that wait. Where there are more, no further event is queued until half of them are
	// gone. The trigger that queues reads a mark of the webhook, and counts nothing, so the bound is exceeded by the events of
	// maintainEvery.
	maxWaiting = 100_000
	// disableAfter is how long every attempt must fail before the webhook is disabled. It is longer than the life of a delivery, so that
	// a receiver that is down for a weekend loses nothing else.
	disableAfter = 5 * 24 * time.Hour
)

// maintain looks after the queues every maintainEvery.
func (s *Service) maintain(ctx context.Context, now time.Time) {
	if now.Sub(s.maintained).Abs() < maintainEvery {
		return
	}
	s.maintained = now
	webhooks, err := s.db.ListWebhooks(ctx, "", maxWebhooks)
	active := false
	for _, w := range webhooks {
		if err == nil && !w.Disabled {
			active = true
			err = s.maintainOne(ctx, w, now)
		}
	}
	s.active.Store(active)
	s.forgetDeleted(webhooks)
	if err != nil && ctx.Err() == nil {
		s.Log.Error("looking after the queues of webhooks failed", "error", err)
	}
}

func (s *Service) maintainOne(ctx context.Context, w store.Webhook, now time.Time) error {
	waiting, err := s.db.CountPendingDeliveries(ctx, w.ID, maxWaiting+1)
	if err != nil {
		return err
	}
	log := s.Log.With("webhook", w.ID)
	switch full := !w.FullSince.IsZero(); {
	case !full && waiting > maxWaiting:
		log.Error("the queue of a webhook is full; events are not queued for it until half of the deliveries are gone", "waiting", waiting)
		err = s.db.SetWebhookFull(ctx, w.ID, now)
	case full && waiting <= maxWaiting/2:
		log.Info("events are queued for the webhook again", "waiting", waiting, "full_since", w.FullSince)
		err = s.db.SetWebhookFull(ctx, w.ID, time.Time{})
	}
	if err != nil {
		return err
	}
	if err = s.db.ReleaseDeliveries(ctx, w.ID, now); err != nil {
		return err
	}
	s.mu.Lock()
	r := s.receiver(w.ID)
	succeeded, failed, dropped := r.succeeded, r.failed, r.dropped
	r.succeeded, r.failed, r.dropped = 0, 0, 0
	s.mu.Unlock()
	if failed > 0 {
		log.Warn("delivering events to a webhook failed", "failed", failed, "dropped", dropped, "succeeded", succeeded, "waiting", waiting)
	}
	switch {
	case succeeded > 0 && !w.FailingSince.IsZero():
		return s.db.SetWebhookFailing(ctx, w.ID, time.Time{})
	case succeeded > 0 || failed == 0:
		return nil
	case w.FailingSince.IsZero():
		return s.db.SetWebhookFailing(ctx, w.ID, now)
	case now.Sub(w.FailingSince) >= disableAfter:
		log.Error("the webhook is disabled, since every delivery failed for days; enable it when its receiver works", "failing_since", w.FailingSince)
		return s.disable(ctx, w)
	}
	return nil
}

// forgetDeleted forgets the receivers of webhooks that there are no more.
func (s *Service) forgetDeleted(webhooks []store.Webhook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	exists := map[string]bool{}
	for _, w := range webhooks {
		exists[w.ID] = true
	}
	for id, r := range s.receivers {
		if !exists[id] && r.busy == 0 {
			delete(s.receivers, id)
		}
	}
}
