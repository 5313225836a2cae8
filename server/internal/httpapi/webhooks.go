package httpapi

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/store"
	"sesame/server/internal/webhook"
	"sesame/server/secret"
)

// ListWebhooks is GET /webhooks.
func (s *Server) ListWebhooks(ctx context.Context, request api.ListWebhooksRequestObject) (api.ListWebhooksResponseObject, error) {
	page, next, err := s.Webhooks.List(ctx, text(request.Params.Cursor), limit(request.Params.Limit))
	items := make([]api.Webhook, len(page))
	for i, w := range page {
		items[i] = webhookOf(w)
	}
	return api.ListWebhooks200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// CreateWebhook is POST /webhooks.
func (s *Server) CreateWebhook(ctx context.Context, request api.CreateWebhookRequestObject) (api.CreateWebhookResponseObject, error) {
	b := request.Body
	w, made, err := s.Webhooks.Create(ctx, caller(ctx), webhook.NewWebhook{
		URL: b.URL, Description: text(b.Description), Kinds: kindsOf(b.Kinds), Disabled: isTrue(b.Disabled),
	})
	return api.CreateWebhook201JSONResponse(webhookWithSecret(w, made)), err
}

// GetWebhook is GET /webhooks/{webhook_id}.
func (s *Server) GetWebhook(ctx context.Context, request api.GetWebhookRequestObject) (api.GetWebhookResponseObject, error) {
	w, err := s.Webhooks.Webhook(ctx, idOf(request.WebhookID))
	return api.GetWebhook200JSONResponse(webhookOf(w)), err
}

// UpdateWebhook is PATCH /webhooks/{webhook_id}: absent keeps.
func (s *Server) UpdateWebhook(ctx context.Context, request api.UpdateWebhookRequestObject) (api.UpdateWebhookResponseObject, error) {
	b := request.Body
	change := webhook.Change{URL: b.URL, Description: b.Description, Kinds: kindsOf(b.Kinds), Disabled: b.Disabled}
	w, err := s.Webhooks.Update(ctx, caller(ctx), idOf(request.WebhookID), change)
	return api.UpdateWebhook200JSONResponse(webhookOf(w)), err
}

// DeleteWebhook is DELETE /webhooks/{webhook_id}.
func (s *Server) DeleteWebhook(ctx context.Context, request api.DeleteWebhookRequestObject) (api.DeleteWebhookResponseObject, error) {
	return api.DeleteWebhook204Response{}, s.Webhooks.Delete(ctx, caller(ctx), idOf(request.WebhookID))
}

// ReplaceWebhookSecret is POST /webhooks/{webhook_id}/secret.
func (s *Server) ReplaceWebhookSecret(ctx context.Context, request api.ReplaceWebhookSecretRequestObject) (api.ReplaceWebhookSecretResponseObject, error) {
	keep := time.Duration(request.Body.KeepOldFor) * time.Second
	w, made, err := s.Webhooks.ReplaceSecret(ctx, caller(ctx), idOf(request.WebhookID), keep)
	return api.ReplaceWebhookSecret200JSONResponse(webhookWithSecret(w, made)), err
}

// TestWebhook is POST /webhooks/{webhook_id}/test.
func (s *Server) TestWebhook(ctx context.Context, request api.TestWebhookRequestObject) (api.TestWebhookResponseObject, error) {
	d, err := s.Webhooks.Test(ctx, caller(ctx), idOf(request.WebhookID))
	return api.TestWebhook202JSONResponse(deliveryOf(d)), err
}

// ListDeliveries is GET /webhooks/{webhook_id}/deliveries.
func (s *Server) ListDeliveries(ctx context.Context, request api.ListDeliveriesRequestObject) (api.ListDeliveriesResponseObject, error) {
	query := webhook.Query{WebhookID: idOf(request.WebhookID), Cursor: text(request.Params.Cursor), Limit: limit(request.Params.Limit)}
	if state := request.Params.State; state != nil {
		query.State = string(*state)
	}
	page, next, err := s.Webhooks.Deliveries(ctx, query)
	items := make([]api.Delivery, len(page))
	for i, d := range page {
		items[i] = deliveryOf(d)
	}
	return api.ListDeliveries200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// GetDelivery is GET /webhooks/{webhook_id}/deliveries/{event_id}.
func (s *Server) GetDelivery(ctx context.Context, request api.GetDeliveryRequestObject) (api.GetDeliveryResponseObject, error) {
	d, e, err := s.Webhooks.Delivery(ctx, idOf(request.WebhookID), idOf(request.EventID))
	if err != nil {
		return nil, err
	}
	details := api.GetDelivery200JSONResponse{Delivery: deliveryOf(d)}
	if e != nil {
		details.Payload = &api.WebhookPayload{Type: api.EventKind(e.Kind), Timestamp: e.At, Data: eventOf(*e)}
	}
	return details, nil
}

// ResendDelivery is POST /webhooks/{webhook_id}/deliveries/{event_id}/resend.
func (s *Server) ResendDelivery(ctx context.Context, request api.ResendDeliveryRequestObject) (api.ResendDeliveryResponseObject, error) {
	d, err := s.Webhooks.Resend(ctx, idOf(request.WebhookID), idOf(request.EventID))
	return api.ResendDelivery202JSONResponse(deliveryOf(d)), err
}

// kindsOf returns the kinds of a request; nil if they are absent.
func kindsOf(list []api.EventKind) []string {
	if list == nil {
		return nil
	}
	kinds := make([]string, len(list))
	for i, kind := range list {
		kinds[i] = string(kind)
	}
	return kinds
}

func webhookOf(w webhook.Webhook) api.Webhook {
	kinds := make([]api.EventKind, len(w.Kinds))
	for i, kind := range w.Kinds {
		kinds[i] = api.EventKind(kind)
	}
	return api.Webhook{
		ID: w.ID, URL: w.URL, Description: w.Description, Kinds: kinds, Disabled: w.Disabled, OldSecretUntil: orNullTime(w.OldSecretUntil),
		FailingSince: orNullTime(w.FailingSince), FullSince: orNullTime(w.FullSince), CreatedAt: w.CreatedAt,
	}
}

func webhookWithSecret(w webhook.Webhook, made secret.Text) api.WebhookWithSecret {
	shown := webhookOf(w)
	return api.WebhookWithSecret{
		ID: shown.ID, URL: shown.URL, Description: shown.Description, Kinds: shown.Kinds, Disabled: shown.Disabled, OldSecretUntil: shown.OldSecretUntil,
		FailingSince: shown.FailingSince, FullSince: shown.FullSince, CreatedAt: shown.CreatedAt, Secret: made.Reveal(),
	}
}

func deliveryOf(d store.Delivery) api.Delivery {
	shown := api.Delivery{
		EventID: d.EventID, Kind: api.EventKind(d.Kind), State: api.DeliveryState(d.State), Attempts: int32(min(d.Attempts, 1_000_000)), QueuedAt: d.QueuedAt, //nolint:gosec // bounded
		AttemptedAt: orNullTime(d.AttemptedAt), DurationMs: int32(min(d.Duration, time.Hour).Milliseconds()), Fault: orNull(d.Fault), //nolint:gosec // bounded
		Status: nullable.NewNullNullable[int32](), NextAttemptAt: nullable.NewNullNullable[time.Time](),
	}
	if d.Status != 0 {
		shown.Status.Set(int32(d.Status)) //nolint:gosec // net/http accepts three digits
	}
	if d.State == store.DeliveryPending {
		shown.NextAttemptAt.Set(d.DueAt)
	}
	return shown
}
