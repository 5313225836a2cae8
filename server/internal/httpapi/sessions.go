package httpapi

import (
	"context"
	"strings"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/token/atjwt"
)

// ListSessions is GET /users/me/sessions. All of an account's sessions fit on one page.
func (s *Server) ListSessions(ctx context.Context, _ api.ListSessionsRequestObject) (api.ListSessionsResponseObject, error) {
	who := caller(ctx)
	sessions, err := s.Identity.Sessions(ctx, who)
	if err != nil {
		return nil, err
	}
	items := make([]api.Session, len(sessions))
	for i, session := range sessions {
		methods := identity.MethodsOf(session)
		items[i] = api.Session{
			ID: session.ID, Current: session.ID == who.SessionID, Scopes: strings.Fields(session.Scope),
			Acr: atjwt.LevelOf(methods), Amr: methods,
			IPAddress: session.IPAddress, UserAgent: session.UserAgent,
			CreatedAt: session.CreatedAt, LastUsedAt: session.LastUsedAt, ExpiresAt: session.ExpiresAt,
		}
	}
	return api.ListSessions200JSONResponse{Items: items, NextCursor: nullable.NewNullNullable[string]()}, nil
}

// EndSession is DELETE /users/me/sessions/{session_id}.
func (s *Server) EndSession(ctx context.Context, request api.EndSessionRequestObject) (api.EndSessionResponseObject, error) {
	return api.EndSession204Response{}, s.Identity.EndSession(ctx, caller(ctx), idOf(request.SessionID))
}

// EndSessions is DELETE /users/me/sessions.
func (s *Server) EndSessions(ctx context.Context, _ api.EndSessionsRequestObject) (api.EndSessionsResponseObject, error) {
	return api.EndSessions204Response{}, s.Identity.EndSessions(ctx, caller(ctx))
}
