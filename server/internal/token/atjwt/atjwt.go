// Package atjwt holds the rules for JWT access tokens (RFC 9068) that every verifier shares: Sesame itself and, through
// package guard, other services. The caller provides the keys.
package atjwt

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// Type is the media type in the header's typ (RFC 9068 §2.1).
	Type = "at+jwt"
	// Leeway is the tolerated difference between two clocks.
	Leeway = 30 * time.Second
	// maxLength bounds, in bytes, the texts that are parsed; the tokens of Sesame have about 600.
	maxLength = 8 << 10
)

// Algorithms are the algorithms that Sesame signs with. None is symmetric, since a verifier could then also sign
// (RFC 8725 §3.1).
var Algorithms = []string{"ES256", "RS256", "EdDSA"}

// ErrUnknownKey is the error for a token that names a key which the verifier does not have.
var ErrUnknownKey = errors.New("unknown kid")

// Claims is the payload of a token (RFC 9068 §2.2). Times are whole seconds: a fraction or a string does not decode.
type Claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	ExpiresAt *int64           `json:"exp"`
	IssuedAt  *int64           `json:"iat"`
	NotBefore *int64           `json:"nbf,omitempty"`
	AuthTime  int64            `json:"auth_time,omitempty"`
	ID        string           `json:"jti"`
	ClientID  string           `json:"client_id"`
	Scope     string           `json:"scope"`
	SessionID string           `json:"sid,omitempty"`
	ACR       string           `json:"acr,omitempty"`
	AMR       []string         `json:"amr,omitempty"`
}

// The values of acr: by one factor, and by two, or by one that is as strong (a passkey that verifies the person).
const (
	OneFactor  = "1"
	TwoFactors = "2"
)

// Levels are the values of acr, the weakest first.
var Levels = []string{OneFactor, TwoFactors}

// IsAtLeast reports whether an acr is that of a level, or of a stronger one. A token without acr, "", is of no level.
func IsAtLeast(acr, level string) bool {
	return slices.Contains(Levels, acr) && slices.Index(Levels, acr) >= slices.Index(Levels, level)
}

// MultiFactor is the method that says that there was more than one factor (RFC 8176).
const MultiFactor = "mfa"

// LevelOf returns the acr of the methods in an amr; "" for none.
func LevelOf(methods []string) string {
	switch {
	case len(methods) == 0:
		return ""
	case slices.Contains(methods, MultiFactor):
		return TwoFactors
	}
	return OneFactor
}

// Validate implements jwt.ClaimsValidator. It checks the claims that RFC 9068 §2.2 requires and the parser does not.
func (c *Claims) Validate() error {
	if c.Subject == "" || c.ClientID == "" || c.ID == "" || c.IssuedAt == nil {
		return errors.New("a required claim is missing")
	}
	return nil
}

func date(seconds *int64) (*jwt.NumericDate, error) {
	if seconds == nil {
		return nil, nil
	}
	return jwt.NewNumericDate(time.Unix(*seconds, 0)), nil
}

// GetExpirationTime and the methods after it implement jwt.Claims.
func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt) }

// GetIssuedAt returns iat.
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt) }

// GetNotBefore returns nbf.
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore) }

// GetIssuer returns iss.
func (c *Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject returns sub.
func (c *Claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience returns aud.
func (c *Claims) GetAudience() (jwt.ClaimStrings, error) { return c.Audience, nil }

// NewParser makes a parser for the tokens of one issuer for any of some audiences. It turns on the checks that the library
// leaves off: exp is required, and base64 has one spelling. The key function must compare the algorithm with that of the key,
// and call CheckHeader.
func NewParser(issuer string, now func() time.Time, audiences ...string) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods(Algorithms), jwt.WithIssuer(issuer), jwt.WithAudience(audiences...),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now),
	)
}

// CheckText refuses texts before they are parsed: those that are too long, and those with line ends, which Go's base64
// skips, so that one token would have many spellings.
func CheckText(text string) error {
	if len(text) > maxLength || strings.ContainsAny(text, "\r\n") {
		return errors.New("too long, or more than one line")
	}
	return nil
}

// CheckHeader refuses a token of another type, and one that requires extensions. It ignores jku, jwk, x5u and x5c: a
// token cannot bring its own key (RFC 8725 §3.10).
func CheckHeader(t *jwt.Token) error {
	if _, ok := t.Header["crit"]; ok {
		return errors.New("crit names extensions that are not supported") // RFC 7515 §4.1.11
	}
	typ, _ := t.Header["typ"].(string)
	if strings.TrimPrefix(strings.ToLower(typ), "application/") != Type { // RFC 9068 §4
		return errors.New("typ is not at+jwt")
	}
	return nil
}

// Reason returns why a token is invalid. The texts of the library are not used, since they quote the token.
func Reason(err error) string {
	for _, known := range []struct {
		err  error
		text string
	}{
		{ErrUnknownKey, ErrUnknownKey.Error()},
		{jwt.ErrTokenMalformed, "malformed"},
		{jwt.ErrTokenExpired, "expired"},
		{jwt.ErrTokenNotValidYet, "not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "issued in the future"},
		{jwt.ErrTokenInvalidIssuer, "another issuer"},
		{jwt.ErrTokenInvalidAudience, "another audience"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return "the signature, the algorithm, the type or a claim is wrong"
}
