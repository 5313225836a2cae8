// Package problem has the one error type that the domain and the contract return to clients, and the table of the HTTP
// status and the challenge of each error (answer.go).
//
//	return problem.New(problem.UsernameTaken, "This username is taken.").At("/username", "is taken")
//
// Code, Detail and Fields are for the client and never contain what it sent; Cause is for the log alone.
package problem

import (
	"fmt"
	"time"
)

// Code identifies an error for programs. The enum ErrorCode of openapi.yaml lists the codes that API clients see; those
// of the token endpoints are from RFC 6749 §5.2.
type Code string

// The codes of openapi.yaml's ErrorCode.
const (
	BadRequest           Code = "bad_request"
	Unauthenticated      Code = "unauthenticated"
	InvalidToken         Code = "invalid_token"
	StaleLogin           Code = "insufficient_user_authentication" // RFC 9470 §3
	InsufficientScope    Code = "insufficient_scope"
	RegistrationClosed   Code = "registration_closed"
	NotFound             Code = "not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	UsernameTaken        Code = "username_taken"
	ClientNameTaken      Code = "client_name_taken"
	ProviderTaken        Code = "provider_taken"
	LastWayIn            Code = "last_way_in"
	LastAdministrator    Code = "last_administrator"
	EmailTaken           Code = "email_taken"
	NothingToConfirm     Code = "nothing_to_confirm"
	HasPassword          Code = "has_password"
	NoAddress            Code = "no_address"
	NoSecondFactor       Code = "no_second_factor"
	NoConfirmedEmail     Code = "no_confirmed_email"
	PayloadTooLarge      Code = "payload_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	ValidationFailed     Code = "validation_failed"
	WrongPassword        Code = "wrong_password"
	InvalidCode          Code = "invalid_code"
	PasswordRequired     Code = "password_required"
	AccountRequired      Code = "account_required"
	TooManyRequests      Code = "too_many_requests"
	Internal             Code = "internal_error"
	Unavailable          Code = "unavailable"
)

// The codes of the token endpoints (RFC 6749 §5.2).
const (
	InvalidRequest       Code = "invalid_request"
	InvalidClient        Code = "invalid_client"
	InvalidGrant         Code = "invalid_grant"
	UnauthorizedClient   Code = "unauthorized_client"
	UnsupportedGrantType Code = "unsupported_grant_type"
	InvalidScope         Code = "invalid_scope"
	InvalidTarget        Code = "invalid_target"        // RFC 8707 §2
	AuthorizationPending Code = "authorization_pending" // RFC 8628 §3.5, and the three after it
	SlowDown             Code = "slow_down"
	AccessDenied         Code = "access_denied"
	ExpiredToken         Code = "expired_token"

	InvalidRedirectURI    Code = "invalid_redirect_uri" // RFC 7591 §3.2.2, like the one after it
	InvalidClientMetadata Code = "invalid_client_metadata"

	UnsupportedResponseType Code = "unsupported_response_type" // RFC 6749 §4.1.2.1, RFC 9126 §2.3
	MFARequired             Code = "mfa_required"              // the second factor is missing
	MFAEnrollmentRequired   Code = "mfa_enrollment_required"   // the account has none, and must have one
)

// FieldError points at one invalid field of the request (RFC 9457 §3.2).
type FieldError struct {
	Pointer string // RFC 6901, such as "/full_name"; for a parameter, a slash and its name
	Detail  string // the reason, without the value
}

// Error is an error for the client.
type Error struct {
	Code   Code
	Detail string       // one or two sentences for a person
	Fields []FieldError // the invalid fields, if any
	Scope  string       // the scopes that are needed, space-separated; for InsufficientScope
	ACR    string       // the acr that is needed; "" if only the time of the login is the reason; for StaleLogin
	// MaxAge is how old the login may be, for StaleLogin; 0 for any age.
	MaxAge time.Duration
	Cause  error // for the log only
	// RetryAfter is how long the client must wait before the next attempt, for TooManyRequests.
	RetryAfter time.Duration
}

// New makes an Error.
func New(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// Wrap makes an Error with a cause, which only the log shows.
func Wrap(code Code, detail string, cause error) *Error {
	return &Error{Code: code, Detail: detail, Cause: cause}
}

// InvalidCursor is the error for a cursor of another list.
func InvalidCursor(cause error) *Error {
	return Wrap(BadRequest, "The cursor does not belong to this list.", cause).At("/cursor", "does not belong to this list")
}

// Invalid is the error for a request that fits the contract's schemas and yet holds an invalid field. Add the fields
// with At.
func Invalid() *Error { return New(ValidationFailed, "The request does not fit the contract.") }

// At adds an invalid field of the request, and returns e.
func (e *Error) At(pointer, detail string) *Error {
	e.Fields = append(e.Fields, FieldError{Pointer: pointer, Detail: detail})
	return e
}

// Error is the text for the log. It is never sent to a client.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
