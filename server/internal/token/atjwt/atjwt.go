// Package atjwt has the rules for access tokens in the form of JWTs (RFC 9068) that must hold wherever
// one is verified: at Sesame itself and, through package guard, at other services. Whose keys count is
// the caller's business.
package atjwt

import (
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// Type is the media type in the header's typ (RFC 9068 §2.1).
	Type = "at+jwt"
	// Leeway is how far two clocks may be apart.
	Leeway = 30 * time.Second
	// maxLength is the longest text, in bytes, that is looked at; ours have some 600.
	maxLength = 8 << 10
)

// Algorithms are those that Sesame signs with. No symmetric one is among them: whoever could verify
// could also sign (RFC 8725 §3.1).
var Algorithms = []string{"ES256", "RS256", "EdDSA"}

// ErrUnknownKey says that a token names a key which is not there.
var ErrUnknownKey = errors.New("unknown kid")

// Claims is the JSON form (RFC 9068 §2.2). Times are whole seconds: a fraction or a string does not
// decode.
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
}

// Validate implements jwt.ClaimsValidator: of the claims that RFC 9068 §2.2 requires, those that the
// parser does not look at must be there.
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

// GetIssuedAt gives iat.
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt) }

// GetNotBefore gives nbf.
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore) }

// GetIssuer gives iss.
func (c *Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject gives sub.
func (c *Claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience gives aud.
func (c *Claims) GetAudience() (jwt.ClaimStrings, error) { return c.Audience, nil }

// NewParser makes a parser for the tokens of one issuer for one audience. What the library does not
// check by itself, it is told to: exp must be there, and base64 has one spelling. The key function
// has to hold the algorithm against the key, and to call CheckHeader.
func NewParser(issuer, audience string, now func() time.Time) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods(Algorithms), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now),
	)
}

// CheckText refuses what need not be parsed. Go's base64 skips line ends, so that one token would
// have many spellings.
func CheckText(text string) error {
	if len(text) > maxLength || strings.ContainsAny(text, "\r\n") {
		return errors.New("too long, or not one line")
	}
	return nil
}

// CheckHeader refuses a token of another kind, and one that demands extensions. jku, jwk, x5u and x5c
// are not looked at: a token does not bring its own key (RFC 8725 §3.10).
func CheckHeader(t *jwt.Token) error {
	if _, ok := t.Header["crit"]; ok {
		return errors.New("crit names extensions that are not understood") // RFC 7515 §4.1.11
	}
	typ, _ := t.Header["typ"].(string)
	if strings.TrimPrefix(strings.ToLower(typ), "application/") != Type { // RFC 9068 §4
		return errors.New("typ is not at+jwt")
	}
	return nil
}

// Reason says why a token does not stand, in words of our own: the library's quote the token.
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
