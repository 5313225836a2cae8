package problem

import (
	"fmt"
	"net/http"
)

// statuses is the error table: the HTTP status of every code. Package httpapi adds the names that RFC 6749 §5.2 has for some
// of them.
var statuses = map[Code]int{
	BadRequest:           http.StatusBadRequest,
	Unauthenticated:      http.StatusUnauthorized,
	InvalidToken:         http.StatusUnauthorized,
	StaleLogin:           http.StatusUnauthorized,
	InsufficientScope:    http.StatusForbidden,
	RegistrationClosed:   http.StatusForbidden,
	NotFound:             http.StatusNotFound,
	MethodNotAllowed:     http.StatusMethodNotAllowed,
	UsernameTaken:        http.StatusConflict,
	ClientNameTaken:      http.StatusConflict,
	ProviderTaken:        http.StatusConflict,
	LastWayIn:            http.StatusConflict,
	LastAdministrator:    http.StatusConflict,
	EmailTaken:           http.StatusConflict,
	NothingToConfirm:     http.StatusConflict,
	HasPassword:          http.StatusConflict,
	NoAddress:            http.StatusConflict,
	NoSecondFactor:       http.StatusConflict,
	NoConfirmedEmail:     http.StatusConflict,
	PayloadTooLarge:      http.StatusRequestEntityTooLarge,
	UnsupportedMediaType: http.StatusUnsupportedMediaType,
	ValidationFailed:     http.StatusUnprocessableEntity,
	WrongPassword:        http.StatusUnprocessableEntity,
	InvalidCode:          http.StatusUnprocessableEntity,
	PasswordRequired:     http.StatusUnprocessableEntity,
	AccountRequired:      http.StatusUnprocessableEntity,
	TooManyRequests:      http.StatusTooManyRequests,
	Internal:             http.StatusInternalServerError,
	Unavailable:          http.StatusServiceUnavailable,

	InvalidRequest:       http.StatusBadRequest,
	InvalidClient:        http.StatusUnauthorized,
	InvalidGrant:         http.StatusBadRequest,
	UnauthorizedClient:   http.StatusBadRequest,
	UnsupportedGrantType: http.StatusBadRequest,
	InvalidScope:         http.StatusBadRequest,
	InvalidTarget:        http.StatusBadRequest,
	AuthorizationPending: http.StatusBadRequest,
	SlowDown:             http.StatusBadRequest,
	AccessDenied:         http.StatusBadRequest,
	ExpiredToken:         http.StatusBadRequest,

	InvalidRedirectURI:    http.StatusBadRequest,
	InvalidClientMetadata: http.StatusBadRequest,

	MFARequired:             http.StatusBadRequest,
	MFAEnrollmentRequired:   http.StatusBadRequest,
	UnsupportedResponseType: http.StatusBadRequest,
}

// Status returns the HTTP status of the code.
func (c Code) Status() int { return statuses[c] }

// Title returns the title of the code in an answer (RFC 9457 §3.1.4).
func (c Code) Title() string { return http.StatusText(c.Status()) }

// Type returns the type of the code in an answer (RFC 9457 §3.1.1).
func (c Code) Type() string { return "urn:sesame:problem:" + string(c) }

// Challenge returns the WWW-Authenticate header of the answer (RFC 6750 §3, RFC 9470 §3), or "".
func (e *Error) Challenge() string {
	const bearer = `Bearer realm="sesame"`
	reason := fmt.Sprintf(`, error="%s", error_description="%s"`, e.Code, e.Detail)
	switch e.Code {
	case Unauthenticated:
		return bearer // no error, since the request had no token
	case InvalidToken:
		return bearer + reason
	case StaleLogin:
		if e.ACR != "" {
			reason += fmt.Sprintf(`, acr_values="%s"`, e.ACR)
		}
		if e.MaxAge > 0 {
			reason += fmt.Sprintf(`, max_age="%d"`, int(e.MaxAge.Seconds()))
		}
		return bearer + reason
	case InsufficientScope:
		return bearer + reason + fmt.Sprintf(`, scope="%s"`, e.Scope)
	case RegistrationClosed:
		return bearer + fmt.Sprintf(`, error="%s", scope="%s"`, InsufficientScope, e.Scope)
	case InvalidClient:
		return `Basic realm="sesame", charset="UTF-8"`
	}
	return ""
}
