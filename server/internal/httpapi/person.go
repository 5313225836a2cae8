package httpapi

import (
	"context"
	"strings"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/store"
)

// ListAllSessions is GET /sessions.
func (s *Server) ListAllSessions(ctx context.Context, request api.ListAllSessionsRequestObject) (api.ListAllSessionsResponseObject, error) {
	sessions, next, err := s.Identity.AllSessions(ctx, text(request.Params.Cursor), limit(request.Params.Limit))
	items := make([]api.PersonSession, len(sessions))
	for i, session := range sessions {
		o := sessionOf(ctx, session.Session)
		items[i] = api.PersonSession{
			UserID: session.UserID, Username: session.Username, ID: o.ID, Current: o.Current, ClientID: o.ClientID, Scopes: o.Scopes, Acr: o.Acr, Amr: o.Amr,
			IPAddress: o.IPAddress, UserAgent: o.UserAgent, CreatedAt: o.CreatedAt, LastUsedAt: o.LastUsedAt, ExpiresAt: o.ExpiresAt,
		}
	}
	return api.ListAllSessions200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// ListUserSessions is GET /users/{user_id}/sessions.
func (s *Server) ListUserSessions(ctx context.Context, request api.ListUserSessionsRequestObject) (api.ListUserSessionsResponseObject, error) {
	user, err := s.Accounts.User(ctx, idOf(request.UserID))
	if err != nil {
		return nil, err
	}
	page, err := s.sessionsOf(ctx, user.ID)
	return api.ListUserSessions200JSONResponse(page), err
}

// EndUserSessions is DELETE /users/{user_id}/sessions.
func (s *Server) EndUserSessions(ctx context.Context, request api.EndUserSessionsRequestObject) (api.EndUserSessionsResponseObject, error) {
	return api.EndUserSessions204Response{}, s.Identity.EndSessionsOf(ctx, caller(ctx), idOf(request.UserID))
}

// EndUserSession is DELETE /users/{user_id}/sessions/{session_id}.
func (s *Server) EndUserSession(ctx context.Context, request api.EndUserSessionRequestObject) (api.EndUserSessionResponseObject, error) {
	return api.EndUserSession204Response{}, s.Identity.EndSessionOf(ctx, caller(ctx), idOf(request.UserID), idOf(request.SessionID))
}

// ListUserFactors is GET /users/{user_id}/factors.
func (s *Server) ListUserFactors(ctx context.Context, request api.ListUserFactorsRequestObject) (api.ListUserFactorsResponseObject, error) {
	factors, err := s.Accounts.FactorsOf(ctx, idOf(request.UserID))
	return api.ListUserFactors200JSONResponse(factorsOf(factors)), identity.NoSuchUser(err)
}

// ListUserIdentities is GET /users/{user_id}/identities.
func (s *Server) ListUserIdentities(ctx context.Context, request api.ListUserIdentitiesRequestObject) (api.ListUserIdentitiesResponseObject, error) {
	user, err := s.Accounts.User(ctx, idOf(request.UserID))
	if err != nil {
		return nil, err
	}
	page, err := s.identitiesOf(ctx, user.ID)
	return api.ListUserIdentities200JSONResponse(page), err
}

// DeleteUserIdentity is DELETE /users/{user_id}/identities/{identity_id}.
func (s *Server) DeleteUserIdentity(ctx context.Context, request api.DeleteUserIdentityRequestObject) (api.DeleteUserIdentityResponseObject, error) {
	err := s.Accounts.UnlinkFrom(ctx, caller(ctx), idOf(request.UserID), idOf(request.IdentityID))
	return api.DeleteUserIdentity204Response{}, err
}

// UnlockUser is POST /users/{user_id}/unlock.
func (s *Server) UnlockUser(ctx context.Context, request api.UnlockUserRequestObject) (api.UnlockUserResponseObject, error) {
	return api.UnlockUser204Response{}, s.Identity.Unlock(ctx, caller(ctx), idOf(request.UserID))
}

// ListUserConsents is GET /users/{user_id}/consents.
func (s *Server) ListUserConsents(ctx context.Context, request api.ListUserConsentsRequestObject) (api.ListUserConsentsResponseObject, error) {
	user, err := s.Accounts.User(ctx, idOf(request.UserID))
	if err != nil {
		return nil, err
	}
	page, err := s.consentsOf(ctx, user.ID, request.Params.Cursor, request.Params.Limit)
	return api.ListUserConsents200JSONResponse(page), err
}

// WithdrawUserConsent is DELETE /users/{user_id}/consents/{client_id}.
func (s *Server) WithdrawUserConsent(ctx context.Context, request api.WithdrawUserConsentRequestObject) (api.WithdrawUserConsentResponseObject, error) {
	return api.WithdrawUserConsent204Response{}, s.OAuth.WithdrawOf(ctx, caller(ctx), idOf(request.UserID), idOf(request.ClientID))
}

// ListConsents is GET /users/me/consents.
func (s *Server) ListConsents(ctx context.Context, request api.ListConsentsRequestObject) (api.ListConsentsResponseObject, error) {
	page, err := s.consentsOf(ctx, caller(ctx).User.ID, request.Params.Cursor, request.Params.Limit)
	return api.ListConsents200JSONResponse(page), err
}

// WithdrawConsent is DELETE /users/me/consents/{client_id}.
func (s *Server) WithdrawConsent(ctx context.Context, request api.WithdrawConsentRequestObject) (api.WithdrawConsentResponseObject, error) {
	return api.WithdrawConsent204Response{}, s.OAuth.Withdraw(ctx, caller(ctx), idOf(request.ClientID))
}

func (s *Server) consentsOf(ctx context.Context, userID string, cursor *string, n *int32) (api.ConsentPage, error) {
	consents, next, err := s.OAuth.Consents(ctx, userID, text(cursor), limit(n))
	items := make([]api.Consent, len(consents))
	for i, c := range consents {
		items[i] = api.Consent{
			ClientID: c.ClientID, ClientName: c.ClientName, Scopes: strings.Fields(c.Scope), CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		}
	}
	return api.ConsentPage{Items: items, NextCursor: orNull(next)}, err
}

// ListClientConsents is GET /clients/{client_id}/consents. A username is what users:read is for.
func (s *Server) ListClientConsents(ctx context.Context, request api.ListClientConsentsRequestObject) (api.ListClientConsentsResponseObject, error) {
	consents, next, err := s.OAuth.ClientConsents(ctx, idOf(request.ClientID), text(request.Params.Cursor), limit(request.Params.Limit))
	items := make([]api.ClientConsent, len(consents))
	for i, c := range consents {
		items[i] = api.ClientConsent{
			UserID: c.UserID, Username: orNull(s.usernameFor(ctx, c)), Scopes: strings.Fields(c.Scope), CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		}
	}
	return api.ListClientConsents200JSONResponse{Items: items, NextCursor: orNull(next)}, err
}

// usernameFor is the username of a consent for callers that may read accounts, and empty for others.
func (s *Server) usernameFor(ctx context.Context, c store.GrantedConsent) string {
	if caller(ctx).HasScope(s.Contract.Operation("listUsers").Scopes()[0]) {
		return c.Username
	}
	return ""
}
