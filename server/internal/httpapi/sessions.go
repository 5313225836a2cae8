package httpapi

import (
	"context"
	"strings"

	"github.com/oapi-codegen/nullable"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/store"
	"sesame/server/internal/token/atjwt"
)

// ListSessions is GET /users/me/sessions. All of an account's sessions fit on one page.
func (s *Server) ListSessions(ctx context.Context, _ api.ListSessionsRequestObject) (api.ListSessionsResponseObject, error) {
	page, err := s.sessionsOf(ctx, caller(ctx).User.ID)
	return api.ListSessions200JSONResponse(page), err
}

func (s *Server) sessionsOf(ctx context.Context, userID string) (api.SessionPage, error) {
	sessions, err := s.Identity.Sessions(ctx, userID)
	items := make([]api.Session, len(sessions))
	for i, session := range sessions {
		items[i] = sessionOf(ctx, session)
	}
	return api.SessionPage{Items: items, NextCursor: nullable.NewNullNullable[string]()}, err
}

// EndSession is DELETE /users/me/sessions/{session_id}.
func (s *Server) EndSession(ctx context.Context, request api.EndSessionRequestObject) (api.EndSessionResponseObject, error) {
	return api.EndSession204Response{}, s.Identity.EndSession(ctx, caller(ctx), idOf(request.SessionID))
}

// EndSessions is DELETE /users/me/sessions.
func (s *Server) EndSessions(ctx context.Context, _ api.EndSessionsRequestObject) (api.EndSessionsResponseObject, error) {
	return api.EndSessions204Response{}, s.Identity.EndSessions(ctx, caller(ctx))
}

// sessionOf converts a session to the type of the contract.
func sessionOf(ctx context.Context, session store.Session) api.Session {
	methods := identity.MethodsOf(session)
	return api.Session{
		ID: session.ID, Current: session.ID == caller(ctx).SessionID, ClientID: session.ClientID, Scopes: strings.Fields(session.Scope),
		Acr: atjwt.LevelOf(methods), Amr: methods,
		IPAddress: session.IPAddress, UserAgent: session.UserAgent,
		CreatedAt: session.CreatedAt, LastUsedAt: session.LastUsedAt, ExpiresAt: session.ExpiresAt,
	}
}
