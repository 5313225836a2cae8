package cli

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/store"
	"sesame/server/internal/webhook"
)

type webhookDeliveriesCommand struct {
	ID    string `arg:"" help:"The id of the webhook."`
	State string `placeholder:"pending|delivered|failed" help:"Only deliveries in this state. (default: every state)"`
	Limit int    `default:"50" help:"Maximum number of deliveries, 1 to 1000."`
	JSON  bool   `help:"Print JSON."`
}

// Run lists the deliveries of a webhook, those of the latest events first.
func (c *webhookDeliveriesCommand) Run(p *program) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return usagef("--limit is from 1 to 1000\nexample: sesame webhook deliveries ID --limit 100")
	}
	if !slices.Contains([]string{"", store.DeliveryPending, store.DeliveryDone, store.DeliveryFailed}, c.State) {
		return usagef("--state is pending, delivered or failed\nexample: sesame webhook deliveries ID --state failed")
	}
	return p.withService(func(s *app.Services) error {
		page, _, err := s.Webhooks.Deliveries(p.ctx, webhook.Query{WebhookID: strings.ToLower(c.ID), State: c.State, Limit: c.Limit})
		if err != nil {
			return webhookFault(c.ID, err)
		}
		list := p.newListing(c.JSON, "EVENT ID", "KIND", "STATE", "ATTEMPTS", "STATUS", "FAULT", "ATTEMPTED AT", "NEXT ATTEMPT AT")
		for _, d := range page {
			status := ""
			if d.Status != 0 {
				status = strconv.Itoa(d.Status)
			}
			err = list.add(deliveryObject(d), d.EventID, d.Kind, d.State, strconv.Itoa(d.Attempts), status, d.Fault, moment(orNoTime(d.AttemptedAt)), moment(nextAttempt(d)))
			if err != nil {
				return err
			}
		}
		return list.end("")
	})
}

// deliveryObject is a delivery as JSON, with the field names of the contract.
func deliveryObject(d store.Delivery) map[string]any {
	shown := map[string]any{
		"event_id": d.EventID, "kind": d.Kind, "state": d.State, "attempts": d.Attempts, "queued_at": d.QueuedAt, "attempted_at": orNoTime(d.AttemptedAt),
		"duration_ms": d.Duration.Milliseconds(), "status": nil, "fault": orNil(d.Fault), "next_attempt_at": nil,
	}
	if d.Status != 0 {
		shown["status"] = d.Status
	}
	if next := nextAttempt(d); next != nil {
		shown["next_attempt_at"] = next
	}
	return shown
}

// nextAttempt is when a delivery that waits is due; nil for another one.
func nextAttempt(d store.Delivery) *time.Time {
	if d.State != store.DeliveryPending {
		return nil
	}
	return &d.DueAt
}

type webhookResendCommand struct {
	ID    string `arg:"" help:"The id of the webhook."`
	Event string `arg:"" help:"The id of the event."`
	JSON  bool   `help:"Print the delivery as JSON."`
}

// Run sends a delivery again: a running server does, within a second.
func (c *webhookResendCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		d, err := s.Webhooks.Resend(p.ctx, strings.ToLower(c.ID), strings.ToLower(c.Event))
		if err != nil {
			return explain(err)
		}
		return p.printDelivery(d, c.JSON)
	})
}

type webhookTestCommand struct {
	ID   string `arg:"" help:"The id of the webhook."`
	JSON bool   `help:"Print the delivery as JSON."`
}

// Run sends a test event to a webhook: a running server does, within a second.
func (c *webhookTestCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		d, err := s.Webhooks.Test(p.ctx, nil, strings.ToLower(c.ID))
		if err != nil {
			return webhookFault(c.ID, err)
		}
		return p.printDelivery(d, c.JSON)
	})
}

func (p *program) printDelivery(d store.Delivery, asJSON bool) error {
	return p.printOne(asJSON, deliveryObject(d), [2]string{"event_id", d.EventID}, [2]string{"kind", d.Kind}, [2]string{"state", d.State}, [2]string{"next_attempt_at", moment(nextAttempt(d))})
}
