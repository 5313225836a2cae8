package httpapi

import (
	"context"

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
		query.UserID = idOf(*id)
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
		page.Items[i] = eventOf(e)
	}
	return page, nil
}

func eventOf(e store.Event) api.Event {
	return api.Event{
		ID: e.ID, At: e.At, Kind: api.EventKind(e.Kind), UserID: orNull(e.UserID), Username: orNull(e.Username), Actor: orNull(e.Actor),
		ClientID: orNull(e.ClientID), SessionID: orNull(e.SessionID), IPAddress: orNull(e.IPAddress), UserAgent: orNull(e.UserAgent),
	}
}
