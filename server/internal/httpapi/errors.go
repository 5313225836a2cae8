package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/gen/api"
	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
)

const (
	noStore = "no-store"
	noCache = "no-cache"
	// retryAfter is in seconds; a full queue of logins is worked off in about one.
	retryAfter = "1"
)

// answers is the error table: for every code its status, and what RFC 6749 §5.2 calls it where the
// operation speaks OAuth. A code without an OAuth name is told apart by oauthName.
var answers = map[problem.Code]struct {
	status int
	oauth  api.OAuthErrorCode
}{
	problem.BadRequest:           {http.StatusBadRequest, api.OAuthErrorCodeInvalidRequest},
	problem.Unauthenticated:      {http.StatusUnauthorized, ""},
	problem.InvalidToken:         {http.StatusUnauthorized, ""},
	problem.StaleLogin:           {http.StatusUnauthorized, ""},
	problem.InsufficientScope:    {http.StatusForbidden, ""},
	problem.RegistrationClosed:   {http.StatusForbidden, ""},
	problem.NotFound:             {http.StatusNotFound, ""},
	problem.MethodNotAllowed:     {http.StatusMethodNotAllowed, ""},
	problem.UsernameTaken:        {http.StatusConflict, ""},
	problem.LastAdministrator:    {http.StatusConflict, ""},
	problem.EmailTaken:           {http.StatusConflict, ""},
	problem.NothingToConfirm:     {http.StatusConflict, ""},
	problem.PayloadTooLarge:      {http.StatusRequestEntityTooLarge, api.OAuthErrorCodeInvalidRequest},
	problem.UnsupportedMediaType: {http.StatusUnsupportedMediaType, api.OAuthErrorCodeInvalidRequest},
	problem.ValidationFailed:     {http.StatusUnprocessableEntity, ""},
	problem.WrongPassword:        {http.StatusUnprocessableEntity, ""},
	problem.InvalidCode:          {http.StatusUnprocessableEntity, ""},
	problem.PasswordRequired:     {http.StatusUnprocessableEntity, ""},
	problem.AccountRequired:      {http.StatusUnprocessableEntity, ""},
	problem.TooManyRequests:      {http.StatusTooManyRequests, api.OAuthErrorCodeTemporarilyUnavailable},
	problem.Internal:             {http.StatusInternalServerError, api.OAuthErrorCodeServerError},
	problem.Unavailable:          {http.StatusServiceUnavailable, api.OAuthErrorCodeTemporarilyUnavailable},

	problem.InvalidRequest:       {http.StatusBadRequest, api.OAuthErrorCodeInvalidRequest},
	problem.InvalidClient:        {http.StatusUnauthorized, api.OAuthErrorCodeInvalidClient},
	problem.InvalidGrant:         {http.StatusBadRequest, api.OAuthErrorCodeInvalidGrant},
	problem.UnauthorizedClient:   {http.StatusBadRequest, api.OAuthErrorCodeUnauthorizedClient},
	problem.UnsupportedGrantType: {http.StatusBadRequest, api.OAuthErrorCodeUnsupportedGrantType},
	problem.InvalidScope:         {http.StatusBadRequest, api.OAuthErrorCodeInvalidScope},
}

// AnswerError is the one place that answers an error, whoever made it.
func (m *Middleware) AnswerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p, op := asProblem(err), m.Operation(c)
	if op != nil && op.OAuthErrors && p.Code == problem.Unauthenticated { // RFC 7662 §2.1: it is a client that was wanted
		p = problem.New(problem.InvalidClient, "This needs a client's id and secret, in the Authorization header.")
	}
	status := answers[p.Code].status
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, noStore) // whatever the handler meant for its success
	if challenge := challengeFor(p); challenge != "" {
		header.Set(echo.HeaderWWWAuthenticate, challenge)
	}
	if allow := header.Get(echo.HeaderAllow); allow != "" {
		header.Set(echo.HeaderAllow, strings.TrimPrefix(allow, "OPTIONS, ")) // which Echo adds of itself
	}
	switch status {
	case http.StatusServiceUnavailable:
		header.Set(echo.HeaderRetryAfter, retryAfter)
	case http.StatusTooManyRequests:
		header.Set(echo.HeaderRetryAfter, seconds(p.RetryAfter))
	}
	if op != nil && op.OAuthErrors {
		err = answerOAuth(c, p)
	} else {
		header.Set(echo.HeaderContentType, "application/problem+json")
		err = c.JSON(status, api.Problem{
			Type: "urn:sesame:problem:" + string(p.Code), Title: http.StatusText(status),
			Status: int32(status), //nolint:gosec // one of the table's
			Detail: p.Detail, Code: api.ErrorCode(p.Code), RequestID: header.Get(echo.HeaderXRequestID), Errors: fieldErrors(p),
		})
	}
	if err != nil { // the client has gone
		m.Log.Debug("an error could not be answered", "error", err)
	}
}

// seconds writes a time of waiting for Retry-After.
func seconds(wait time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))) }

// byStatus are the codes of errors that middleware of Echo returns.
var byStatus = map[int]problem.Code{
	http.StatusUnauthorized: problem.Unauthenticated, http.StatusForbidden: problem.InsufficientScope,
	http.StatusRequestEntityTooLarge: problem.PayloadTooLarge, http.StatusUnsupportedMediaType: problem.UnsupportedMediaType,
	http.StatusUnprocessableEntity: problem.ValidationFailed, http.StatusTooManyRequests: problem.TooManyRequests,
	http.StatusServiceUnavailable: problem.Unavailable,
}

// asProblem finds what the caller may know of an error. A fault is told as a fault and no more.
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

// challengeFor is the WWW-Authenticate of an error (RFC 6750 §3, RFC 9470 §3), or "".
func challengeFor(p *problem.Error) string {
	const bearer = `Bearer realm="sesame"`
	reason := fmt.Sprintf(`, error="%s", error_description="%s"`, p.Code, p.Detail)
	switch p.Code {
	case problem.StaleLogin:
		return bearer + reason + `, max_age="600"`
	case problem.RegistrationClosed:
		return bearer + fmt.Sprintf(`, error="%s", scope="%s"`, problem.InsufficientScope, p.Scope)
	case problem.InvalidClient:
		return `Basic realm="sesame", charset="UTF-8"`
	}
	return contract.Challenge("sesame", p)
}

// answerOAuth answers as RFC 6749 §5.2 says.
func answerOAuth(c echo.Context, p *problem.Error) error {
	answer := answers[p.Code]
	if answer.oauth == "" {
		answer.status, answer.oauth = http.StatusBadRequest, oauthName(p)
	}
	c.Response().Header().Set("Pragma", noCache)
	return c.JSON(answer.status, api.OAuthError{Error: answer.oauth, ErrorDescription: describe(p)})
}

// describe is an error_description, which holds ASCII without quotation marks and backslashes (RFC 6749
// §5.2). A pattern does not survive that, and is left out.
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

// oauthName names a form that breaks the contract.
func oauthName(p *problem.Error) api.OAuthErrorCode {
	if len(p.Fields) == 1 && p.Fields[0].Detail != contract.IsRequired {
		switch p.Fields[0].Pointer {
		case "/grant_type":
			return api.OAuthErrorCodeUnsupportedGrantType
		case "/scope":
			return api.OAuthErrorCodeInvalidScope
		}
	}
	return api.OAuthErrorCodeInvalidRequest
}
