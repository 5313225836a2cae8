package httpapi

import (
	"context"
	"encoding/json"
	"net/url"

	"sesame/gen/api"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/web"
)

// Authorize is GET /authorize (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).
func (s *Server) Authorize(ctx context.Context, request api.AuthorizeRequestObject) (api.AuthorizeResponseObject, error) {
	p := request.Params
	return s.pages.Authorize(ctx, oauth.AuthorizationParameters{
		ResponseType: text(p.ResponseType), ClientID: text(p.ClientID), RedirectURI: text(p.RedirectURI), Scope: text(p.Scope),
		State: text(p.State), Nonce: text(p.Nonce), CodeChallenge: text(p.CodeChallenge), CodeChallengeMethod: text(p.CodeChallengeMethod),
		Prompt: text(p.Prompt), MaxAge: text(p.MaxAge), ACRValues: text(p.AcrValues), LoginHint: text(p.LoginHint), IDTokenHint: text(p.IDTokenHint),
		ResponseMode: text(p.ResponseMode), UILocales: text(p.UILocales), Request: text(p.Request), RequestURI: text(p.RequestURI),
		Resource: text(p.Resource), Claims: text(p.Claims),
	})
}

// AuthorizeWithForm is POST /authorize. Browsers send the cookie of this server with the GET that follows, and not with a POST
// of another site.
func (s *Server) AuthorizeWithForm(_ context.Context, request api.AuthorizeWithFormRequestObject) (api.AuthorizeWithFormResponseObject, error) {
	return s.toQuery("/authorize", request.Body)
}

// SignOut is GET /sign-out (OpenID Connect RP-Initiated Logout §2).
func (s *Server) SignOut(ctx context.Context, request api.SignOutRequestObject) (api.SignOutResponseObject, error) {
	p := request.Params
	return s.pages.SignOut(ctx, oauth.SignOutParameters{
		IDTokenHint: text(p.IDTokenHint), ClientID: text(p.ClientID), RedirectURI: text(p.PostLogoutRedirectURI), State: text(p.State),
		UILocales: text(p.UILocales),
	})
}

// SignOutWithForm is POST /sign-out.
func (s *Server) SignOutWithForm(_ context.Context, request api.SignOutWithFormRequestObject) (api.SignOutWithFormResponseObject, error) {
	return s.toQuery("/sign-out", request.Body)
}

// toQuery sends the browser to a path with the parameters of a form in the query.
func (s *Server) toQuery(path string, form any) (web.Answer, error) {
	var parameters map[string]string
	text, err := json.Marshal(form)
	if err == nil {
		err = json.Unmarshal(text, &parameters)
	}
	query := url.Values{}
	for name, value := range parameters {
		query.Set(name, value)
	}
	return web.Redirect(s.PublicURL + path + "?" + query.Encode()), err
}

// GetUserInfo is GET /userinfo (OpenID Connect Core §5.3).
func (s *Server) GetUserInfo(ctx context.Context, _ api.GetUserInfoRequestObject) (api.GetUserInfoResponseObject, error) {
	return api.GetUserInfo200JSONResponse{UserInfoFoundJSONResponse: userInfoOf(caller(ctx))}, nil
}

// PostUserInfo is POST /userinfo.
func (s *Server) PostUserInfo(ctx context.Context, _ api.PostUserInfoRequestObject) (api.PostUserInfoResponseObject, error) {
	return api.PostUserInfo200JSONResponse{UserInfoFoundJSONResponse: userInfoOf(caller(ctx))}, nil
}

func userInfoOf(c *identity.Caller) api.UserInfoFoundJSONResponse {
	p := oauth.UserInfo(c.User, c.Scopes, c.Claims)
	info := api.UserInfoFoundJSONResponse{
		Sub: c.User.ID, PreferredUsername: orAbsent(p.PreferredUsername), Name: orAbsent(p.Name),
		Email: orAbsent(p.Email), EmailVerified: p.EmailVerified, UserMetadata: metadataOf(string(p.Metadata)),
	}
	if p.UpdatedAt != 0 {
		info.UpdatedAt = &p.UpdatedAt
	}
	return info
}

// AuthorizeDevice is POST /device_authorization (RFC 8628 §3.1).
func (s *Server) AuthorizeDevice(ctx context.Context, request api.AuthorizeDeviceRequestObject) (api.AuthorizeDeviceResponseObject, error) {
	form := request.Body
	client, err := s.OAuth.AuthenticateClient(ctx, credentials(ctx, form.ClientID, form.ClientSecret))
	if err != nil {
		return nil, err
	}
	codes, err := s.OAuth.AuthorizeDevice(ctx, client, text(form.Scope))
	if err != nil {
		return nil, err
	}
	plain, complete := web.DeviceAddresses(s.PublicURL, codes.UserCode)
	return api.AuthorizeDevice200JSONResponse{
		Headers: api.AuthorizeDevice200ResponseHeaders{CacheControl: noStore, Pragma: noCache},
		Body: api.DeviceAuthorization{
			DeviceCode: codes.DeviceCode.Reveal(), UserCode: codes.UserCode, VerificationURI: plain, VerificationURIComplete: complete,
			ExpiresIn: int32(oauth.DeviceTTL.Seconds()), Interval: oauth.DeviceInterval,
		},
	}, nil
}

// PushAuthorizationRequest is POST /par (RFC 9126 §2).
func (s *Server) PushAuthorizationRequest(ctx context.Context, request api.PushAuthorizationRequestRequestObject) (api.PushAuthorizationRequestResponseObject, error) {
	p := request.Body
	client, err := s.OAuth.AuthenticateClient(ctx, credentials(ctx, p.ClientID, p.ClientSecret))
	if err != nil {
		return nil, err
	}
	requestURI, err := s.OAuth.Push(ctx, client, oauth.AuthorizationParameters{
		ResponseType: text(p.ResponseType), RedirectURI: text(p.RedirectURI), Scope: text(p.Scope),
		State: text(p.State), Nonce: text(p.Nonce), CodeChallenge: text(p.CodeChallenge), CodeChallengeMethod: text(p.CodeChallengeMethod),
		Prompt: text(p.Prompt), MaxAge: text(p.MaxAge), ACRValues: text(p.AcrValues), LoginHint: text(p.LoginHint), IDTokenHint: text(p.IDTokenHint),
		ResponseMode: text(p.ResponseMode), UILocales: text(p.UILocales), Request: text(p.Request), RequestURI: text(p.RequestURI),
		Resource: text(p.Resource), Claims: text(p.Claims),
	})
	if err != nil {
		return nil, err
	}
	return api.PushAuthorizationRequest201JSONResponse{
		Headers: api.PushAuthorizationRequest201ResponseHeaders{CacheControl: noStore, Pragma: noCache},
		Body:    api.PushedAuthorization{RequestURI: requestURI, ExpiresIn: int32(oauth.PushedTTL.Seconds())},
	}, nil
}
