package httpapi

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/audit"
	"sesame/server/internal/store"
)

// ListMyEvents is GET /users/me/events.
func (s *Server) ListMyEvents(ctx context.Context, request api.ListMyEventsRequestObject) (api.ListMyEventsResponseObject, error) {
	page, err := s.events(ctx, audit.Query{
		UserID: caller(ctx).User.ID, Cursor: text(request.Params.Cursor), Limit: limit(request.Params.Limit),
	})
	return api.ListMyEvents200JSONResponse(page), err
}

// ListEvents is GET /events.
func (s *Server) ListEvents(ctx context.Context, request api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	query := audit.Query{Cursor: text(request.Params.Cursor), Limit: limit(request.Params.Limit)}
	if id := request.Params.UserID; id != nil {
		query.UserID = id.String()
	}
	if kind := request.Params.Kind; kind != nil {
		query.Kind = string(*kind)
	}
	page, err := s.events(ctx, query)
	return api.ListEvents200JSONResponse(page), err
}

func (s *Server) events(ctx context.Context, query audit.Query) (api.EventPage, error) {
	events, next, err := s.Audit.List(ctx, query)
	if err != nil {
		return api.EventPage{}, err
	}
	page := api.EventPage{Items: make([]api.Event, len(events)), NextCursor: orNull(next)}
	for i, e := range events {
		if page.Items[i], err = eventOf(e); err != nil {
			return api.EventPage{}, fmt.Errorf("the event %s: %w", e.ID, err)
		}
	}
	return page, nil
}

// eventOf converts an event to the type of the contract.
func eventOf(e store.Event) (shown api.Event, err error) {
	shown = api.Event{
		At: e.At, Kind: api.EventKind(e.Kind), Username: orNull(e.Username), Actor: orNull(e.Actor),
		ClientID: orNull(e.ClientID), IPAddress: orNull(e.IPAddress), UserAgent: orNull(e.UserAgent),
	}
	if shown.ID, err = uuid.Parse(e.ID); err != nil {
		return shown, err
	}
	if shown.UserID, err = orNullID(e.UserID); err != nil {
		return shown, err
	}
	shown.SessionID, err = orNullID(e.SessionID)
	return shown, err
}

// orNullID converts an empty id to null.
func orNullID(id string) (nullable.Nullable[uuid.UUID], error) {
	if id == "" {
		return nullable.NewNullNullable[uuid.UUID](), nil
	}
	parsed, err := uuid.Parse(id)
	return nullable.NewNullableWithValue(parsed), err
}
