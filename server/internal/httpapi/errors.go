package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/internal/web"
)

const (
	noStore = "no-store"
	noCache = "no-cache"
	// retryAfter is in seconds: the time that a full queue of logins takes.
	retryAfter = "1"
)

// oauthNames maps codes to the names of RFC 6749 §5.2. oauthName finds the name of the other codes.
var oauthNames = map[problem.Code]api.OAuthErrorCode{
	problem.BadRequest:           api.OAuthErrorCodeInvalidRequest,
	problem.PayloadTooLarge:      api.OAuthErrorCodeInvalidRequest,
	problem.UnsupportedMediaType: api.OAuthErrorCodeInvalidRequest,
	problem.TooManyRequests:      api.OAuthErrorCodeTemporarilyUnavailable,
	problem.Internal:             api.OAuthErrorCodeServerError,
	problem.Unavailable:          api.OAuthErrorCodeTemporarilyUnavailable,
	problem.NotFound:             api.OAuthErrorCodeInvalidRequest, // of an operation that the operator has not turned on

	problem.InvalidRequest:       api.OAuthErrorCodeInvalidRequest,
	problem.InvalidClient:        api.OAuthErrorCodeInvalidClient,
	problem.InvalidGrant:         api.OAuthErrorCodeInvalidGrant,
	problem.UnauthorizedClient:   api.OAuthErrorCodeUnauthorizedClient,
	problem.UnsupportedGrantType: api.OAuthErrorCodeUnsupportedGrantType,
	problem.InvalidScope:         api.OAuthErrorCodeInvalidScope,
	problem.InvalidTarget:        api.OAuthErrorCodeInvalidTarget,
	problem.AuthorizationPending: api.OAuthErrorCodeAuthorizationPending,
	problem.SlowDown:             api.OAuthErrorCodeSlowDown,
	problem.AccessDenied:         api.OAuthErrorCodeAccessDenied,
	problem.ExpiredToken:         api.OAuthErrorCodeExpiredToken,

	problem.InvalidRedirectURI:    api.OAuthErrorCodeInvalidRedirectURI,
	problem.InvalidClientMetadata: api.OAuthErrorCodeInvalidClientMetadata,

	problem.MFARequired:             api.OAuthErrorCodeMfaRequired,
	problem.MFAEnrollmentRequired:   api.OAuthErrorCodeMfaEnrollmentRequired,
	problem.UnsupportedResponseType: api.OAuthErrorCodeUnsupportedResponseType,
}

// AnswerError answers every error: of the domain, the contract, the generated code and Echo.
func (m *Middleware) AnswerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p, op := asProblem(err), m.Operation(c)
	if op != nil && op.OAuthErrors && p.Code == problem.Unauthenticated { // RFC 7662 §2.1: a client must authenticate
		p = problem.New(problem.InvalidClient, "This needs a client's id and secret, in the Authorization header.")
	}
	status := p.Code.Status()
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, noStore) // in place of the value for a success
	if challenge := p.Challenge(); challenge != "" {
		header.Set(echo.HeaderWWWAuthenticate, challenge)
	}
	if allow := header.Get(echo.HeaderAllow); allow != "" {
		header.Set(echo.HeaderAllow, strings.TrimPrefix(allow, "OPTIONS, ")) // which Echo adds
	}
	switch status {
	case http.StatusServiceUnavailable:
		header.Set(echo.HeaderRetryAfter, retryAfter)
	case http.StatusTooManyRequests:
		header.Set(echo.HeaderRetryAfter, web.Seconds(p.RetryAfter))
	}
	asPage := op != nil && op.Pages || op == nil && m.Site.Name != "" && web.WantsPage(c.Request())
	if op == nil && m.Site.Name != "" {
		header.Add(echo.HeaderVary, echo.HeaderAccept)
	}
	switch {
	case op != nil && op.OAuthErrors:
		err = answerOAuth(c, p)
	case asPage:
		err = m.Site.ShowError(c, status, p)
	default:
		header.Set(echo.HeaderContentType, "application/problem+json")
		err = c.JSON(status, api.Problem{
			Type: p.Code.Type(), Title: p.Code.Title(),
			Status: int32(status), //nolint:gosec // one of the table's
			Detail: p.Detail, Code: api.ErrorCode(p.Code), RequestID: header.Get(echo.HeaderXRequestID), Errors: fieldErrors(p),
		})
	}
	if err != nil { // the client closed the connection
		m.Log.Debug("an error could not be answered", "error", err)
	}
}

// byStatus are the codes of errors that middleware of Echo returns.
var byStatus = map[int]problem.Code{
	http.StatusUnauthorized: problem.Unauthenticated, http.StatusForbidden: problem.InsufficientScope,
	http.StatusRequestEntityTooLarge: problem.PayloadTooLarge, http.StatusUnsupportedMediaType: problem.UnsupportedMediaType,
	http.StatusUnprocessableEntity: problem.ValidationFailed, http.StatusTooManyRequests: problem.TooManyRequests,
	http.StatusServiceUnavailable: problem.Unavailable,
}

// asProblem returns the public part of an error. Of an internal error the client learns nothing but that it happened.
func asProblem(err error) *problem.Error {
	if p, ok := errors.AsType[*problem.Error](err); ok {
		return p
	}
	if e, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch e.Code {
		case http.StatusNotFound:
			return problem.New(problem.NotFound, "There is nothing at this address.")
		case http.StatusMethodNotAllowed:
			return problem.New(problem.MethodNotAllowed, "This address does not take the method; Allow lists those that it takes.")
		case http.StatusBadRequest:
			return problem.Wrap(problem.BadRequest, "The request cannot be read.", err)
		}
		if code, ok := byStatus[e.Code]; ok {
			return problem.Wrap(code, http.StatusText(e.Code)+".", err)
		}
	}
	if errors.Is(err, context.Canceled) {
		return problem.Wrap(problem.Unavailable, "The request was given up.", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return problem.Wrap(problem.Unavailable, "The server could not answer in time. Try again shortly.", err)
	}
	return problem.Wrap(problem.Internal, "Something went wrong here. Quote the request id when you ask about it.", err)
}

func fieldErrors(p *problem.Error) []api.FieldError {
	fields := make([]api.FieldError, len(p.Fields))
	for i, f := range p.Fields {
		fields[i] = api.FieldError{Pointer: f.Pointer, Detail: f.Detail}
	}
	return fields
}

// answerOAuth answers in the format of RFC 6749 §5.2.
func answerOAuth(c echo.Context, p *problem.Error) error {
	status, name := p.Code.Status(), oauthNames[p.Code]
	if name == "" {
		status, name = http.StatusBadRequest, oauthName(p)
	}
	c.Response().Header().Set("Pragma", noCache)
	return c.JSON(status, api.OAuthError{Error: name, ErrorDescription: describe(p)})
}

// describe returns an error_description: ASCII without quotation marks and backslashes (RFC 6749 §5.2). It omits patterns,
// which would be changed by that.
func describe(p *problem.Error) string {
	description := p.Detail
	if len(p.Fields) > 0 {
		places := make([]string, len(p.Fields))
		for i, f := range p.Fields {
			detail, _, _ := strings.Cut(f.Detail, "; it must match ")
			places[i] = strings.TrimPrefix(f.Pointer, "/") + ": " + detail
		}
		description = strings.Join(places, "; ")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return -1
		}
		return r
	}, description)
}

// oauthName returns the OAuth error of a request that does not fit the contract.
func oauthName(p *problem.Error) api.OAuthErrorCode {
	for _, f := range p.Fields {
		name, _, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/"), "/")
		switch name {
		case "redirect_uris":
			return api.OAuthErrorCodeInvalidRedirectURI
		case "client_name", "grant_types", "response_types", "token_endpoint_auth_method":
			return api.OAuthErrorCodeInvalidClientMetadata
		}
	}
	if len(p.Fields) == 1 && p.Fields[0].Detail != contract.IsRequired {
		switch p.Fields[0].Pointer {
		case "/grant_type":
			return api.OAuthErrorCodeUnsupportedGrantType
		case "/scope":
			return api.OAuthErrorCodeInvalidScope
		case "/resource":
			return api.OAuthErrorCodeInvalidTarget
		}
	}
	return api.OAuthErrorCodeInvalidRequest
}
