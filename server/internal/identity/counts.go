package identity

import (
	"errors"

	"sesame/server/internal/problem"
)

// Counts are functions that count what happens, for metrics. A nil function counts nothing.
type Counts struct {
	Login     func(outcome string) // one of LoginOutcomes
	Throttled func(what string)    // one of ThrottledAttempts: an attempt that was refused because of earlier ones
}

func (c Counts) withDefaults() Counts {
	if c.Login == nil {
		c.Login = func(string) {}
	}
	if c.Throttled == nil {
		c.Throttled = func(string) {}
	}
	return c
}

// Attempts that are throttled.
const (
	throttledLogin  = "login"
	throttledCheck  = "password_check" // within a session, or beside a mailed code
	ThrottledSignUp = "registration"   // counted by package account
	ThrottledDevice = "device"         // a request of a device, or a user code that a person typed; counted by package oauth
	ThrottledClient = "client"         // a registration of a client, or a fetch of its metadata document; counted by package oauth
)

// ThrottledAttempts are the values of Counts.Throttled.
var ThrottledAttempts = []string{throttledLogin, throttledCheck, ThrottledSignUp, ThrottledDevice, ThrottledClient}

// Outcomes of a login.
const (
	loginSucceeded   = "success"
	loginWrong       = "wrong_credentials"       // a wrong password, an unknown name or a disabled account
	loginIncomplete  = "mfa_required"            // the correct password; the second factor is missing
	loginUnenrolled  = "mfa_enrollment_required" // the correct password of an account that must have a second factor, and has none
	loginWrongCode   = "wrong_code"              // of a second factor
	loginThrottled   = "throttled"
	loginRefused     = "invalid_scope"
	loginUnconfirmed = "unconfirmed" // the correct password of an account whose address is not confirmed
	loginUnavailable = "unavailable" // too many hashes are waiting, or the database cannot be used
	loginFailed      = "error"
)

// LoginOutcomes are the values of Counts.Login.
var LoginOutcomes = []string{loginSucceeded, loginWrong, loginIncomplete, loginUnenrolled, loginWrongCode, loginThrottled, loginRefused, loginUnconfirmed, loginUnavailable, loginFailed}

func outcomeOf(err error) string {
	if err == nil {
		return loginSucceeded
	}
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		return loginFailed
	}
	if errors.Is(err, ErrUnconfirmed) {
		return loginUnconfirmed
	}
	if errors.Is(err, ErrWrongCode) {
		return loginWrongCode
	}
	switch p.Code {
	case problem.MFARequired:
		return loginIncomplete
	case problem.MFAEnrollmentRequired:
		return loginUnenrolled
	case problem.InvalidGrant:
		return loginWrong
	case problem.TooManyRequests:
		return loginThrottled
	case problem.InvalidScope:
		return loginRefused
	case problem.Unavailable:
		return loginUnavailable
	}
	return loginFailed
}
