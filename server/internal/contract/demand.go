package contract

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"sesame/server/internal/problem"
	"sesame/server/internal/token/atjwt"
)

// The extensions of an operation that say how a person must have signed in for it (RFC 9470): at which level, and how many
// seconds ago at most.
const (
	requiresACR    = "x-requires-acr"
	requiresMaxAge = "x-requires-max-age"
)

// Authenticated is a Caller that can meet a Demand. Another Caller, such as a client with its own secret, never does.
type Authenticated interface {
	Caller
	// SignIn returns how and when the person behind an access token has signed in, and when the token was checked. acr is "",
	// or at is zero, if the token does not say.
	SignIn() (acr string, at, checked time.Time)
}

// Demand is how a person must have signed in for an operation.
type Demand struct {
	ACR    string        // "" for any level
	MaxAge time.Duration // 0 for any age
}

// metBy reports whether a sign-in is enough. A token that does not say how or when is not (RFC 9470 §5), and neither is one
// from the future, whose age is not known.
func (d Demand) metBy(acr string, at, checked time.Time) bool {
	age := checked.Sub(at)
	return (d.ACR == "" || atjwt.IsAtLeast(acr, d.ACR)) &&
		(d.MaxAge == 0 || !at.IsZero() && age <= d.MaxAge && age >= -atjwt.Leeway)
}

// check returns an error unless one of the callers meets the demand. Errors: StaleLogin.
func (d Demand) check(callers []Caller) error {
	if d == (Demand{}) {
		return nil
	}
	for _, c := range callers {
		if person, ok := c.(Authenticated); ok && d.metBy(person.SignIn()) {
			return nil
		}
	}
	p := problem.New(problem.StaleLogin, "This operation needs a person who has "+d.String()+". Sign in again.")
	p.ACR, p.MaxAge = d.ACR, d.MaxAge
	return p
}

// String completes the sentence "a person who has …".
func (d Demand) String() string {
	text := "signed in"
	if d.ACR == atjwt.TwoFactors {
		text += " with a second factor"
	}
	if d.MaxAge > 0 {
		text += fmt.Sprintf(" within the last %d seconds", int(d.MaxAge.Seconds()))
	}
	return text
}

// demand compiles the demand of an operation. A mistake in one is a fault: without it the operation would be open to more callers
// than its author believes.
func (c *compiler) demand(op *Operation, source *openapi3.Operation) {
	where := fmt.Sprintf("%s %s (%s)", op.Method, op.Path, op.ID)
	for _, name := range slices.Sorted(maps.Keys(source.Extensions)) {
		value := source.Extensions[name]
		switch name {
		case requiresACR:
			acr, _ := value.(string)
			if !slices.Contains(atjwt.Levels, acr) {
				c.unmet("%s: %s must be %s, in quotes", where, name, strings.Join(quoted(atjwt.Levels), " or "))
				continue
			}
			op.Demand.ACR = acr
		case requiresMaxAge:
			seconds, _ := value.(float64)
			if seconds < 1 || seconds > maxMaxAge || seconds != float64(int(seconds)) {
				c.unmet("%s: %s must be a whole number of seconds, from 1 to %d", where, name, maxMaxAge)
				continue
			}
			op.Demand.MaxAge = time.Duration(seconds) * time.Second
		default:
			if strings.HasPrefix(name, demandPrefix) {
				c.unmet("%s: %s is not known; the server enforces %s and %s", where, name, requiresACR, requiresMaxAge)
			}
		}
	}
	if op.Demand == (Demand{}) {
		return
	}
	if op.anonymous {
		c.unmet("%s: it can be called without a token, so %s and %s have no effect; remove them, or give it a security requirement", where, requiresACR, requiresMaxAge)
	}
	if !declares401(source.Responses) {
		c.unmet("%s: %s and %s are answered with 401, which its responses do not declare", where, requiresACR, requiresMaxAge)
	}
}

// unmet reports a demand that cannot be enforced as it is written. The mock takes the document as it comes.
func (c *compiler) unmet(format string, args ...any) {
	if c.anyone {
		c.ignored = append(c.ignored, fmt.Errorf(format, args...))
		return
	}
	c.fault(format, args...)
}

const (
	demandPrefix = "x-requires-"
	// maxMaxAge is a year, in seconds: no session lives longer.
	maxMaxAge = 366 * 24 * 60 * 60
)

// noDemand reports a demand in a place where it has no effect.
func (c *compiler) noDemand(where string, extensions map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(extensions)) {
		if strings.HasPrefix(name, demandPrefix) {
			c.unmet("%s: %s belongs into an operation, and has no effect elsewhere", where, name)
		}
	}
}

func declares401(responses *openapi3.Responses) bool {
	for status := range responses.Map() {
		if status == "401" || strings.EqualFold(status, "4XX") || status == "default" {
			return true
		}
	}
	return false
}

func quoted(texts []string) []string {
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = strconv.Quote(text)
	}
	return list
}
