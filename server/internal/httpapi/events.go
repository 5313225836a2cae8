package httpapi

import (
	"context"
	"time"

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
	p := request.Params
	query := eventQuery(api.ExportEventsParams{
		UserID: p.UserID, Actor: p.Actor, ClientID: p.ClientID, Kind: p.Kind, Since: p.Since, Until: p.Until, After: p.After,
	})
	query.Cursor, query.Limit = text(p.Cursor), limit(p.Limit)
	page, err := s.events(ctx, query)
	return api.ListEvents200JSONResponse(page), err
}

// eventQuery returns the filters of a request. Those of both operations are the same.
func eventQuery(p api.ExportEventsParams) audit.Query {
	query := audit.Query{
		UserID: idOf(text(p.UserID)), Actor: text(p.Actor), ClientID: text(p.ClientID), Since: moment(p.Since), Until: moment(p.Until), After: idOf(text(p.After)),
	}
	if p.Kind != nil {
		for _, kind := range p.Kind {
			query.Kinds = append(query.Kinds, string(kind))
		}
	}
	return query
}

// moment returns the zero time for nil.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
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
		ClientID: orNull(e.ClientID), SessionID: orNull(e.SessionID), TokenID: orNull(e.TokenID), IPAddress: orNull(e.IPAddress), UserAgent: orNull(e.UserAgent),
	}
}
