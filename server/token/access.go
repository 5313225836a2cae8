package token

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// typeAccess is the media type in the header's typ (RFC 9068 §2.1).
	typeAccess = "at+jwt"
	// maxAccess is the longest text, in bytes, that is looked at; ours have some 600.
	maxAccess = 8 << 10
	// leeway is how far two clocks may be apart.
	leeway = 30 * time.Second
	// remembered is how many verified tokens are kept: an ES256 check costs as much as several
	// whole requests. An entry takes about half a KiB.
	remembered = 8192
)

// ErrInvalid says that a text is not an access token of ours that is valid now. It wraps the reason.
var ErrInvalid = errors.New("invalid access token")

// Access is what an access token says (RFC 9068 §2.2).
type Access struct {
	ID        string    // jti
	Subject   string    // sub, the user; or the client
	SessionID string    // sid, "" for a client's own token
	ClientID  string    // client_id
	Scope     string    // space-separated
	AuthTime  time.Time // zero for a client's own token
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// claims is the JSON form. Times are whole seconds: a fraction or a string does not decode.
type claims struct {
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

func date(seconds *int64) (*jwt.NumericDate, error) {
	if seconds == nil {
		return nil, nil
	}
	return jwt.NewNumericDate(time.Unix(*seconds, 0)), nil
}

// GetExpirationTime and the methods after it implement jwt.Claims.
func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt) }

// GetIssuedAt gives iat.
func (c claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt) }

// GetNotBefore gives nbf.
func (c claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore) }

// GetIssuer gives iss.
func (c claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject gives sub.
func (c claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience gives aud.
func (c claims) GetAudience() (jwt.ClaimStrings, error) { return c.Audience, nil }

// Issuer signs and verifies the access tokens of one issuer for one audience.
type Issuer struct {
	issuer, audience string
	keys             *Keyring
	now              func() time.Time
	parser           *jwt.Parser
	verified         *lru.Cache[[sha256.Size]byte, Access]
}

// NewIssuer makes an Issuer; now tells the time.
func NewIssuer(issuer, audience string, keys *Keyring, now func() time.Time) *Issuer {
	verified, err := lru.New[[sha256.Size]byte, Access](remembered)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &Issuer{
		issuer: issuer, audience: audience, keys: keys, now: now, verified: verified,
		// What the library does not check by itself, it is told to: the algorithm is ours alone
		// (RFC 8725 §3.1), exp must be there, and base64 has one spelling.
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{ES256}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
			jwt.WithLeeway(leeway), jwt.WithTimeFunc(now),
		),
	}
}

// Names gives the issuer, and the audience of its tokens.
func (i *Issuer) Names() (issuer, audience string) { return i.issuer, i.audience }

// Keys is the ring that the issuer signs and verifies with.
func (i *Issuer) Keys() *Keyring { return i.keys }

// Sign makes the JWT of a.
func (i *Issuer) Sign(a Access) (string, error) {
	exp, iat, authTime := a.ExpiresAt.Unix(), a.IssuedAt.Unix(), int64(0)
	if !a.AuthTime.IsZero() {
		authTime = a.AuthTime.Unix()
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims{
		Issuer: i.issuer, Subject: a.Subject, Audience: jwt.ClaimStrings{i.audience},
		ExpiresAt: &exp, IssuedAt: &iat, AuthTime: authTime,
		ID: a.ID, ClientID: a.ClientID, Scope: a.Scope, SessionID: a.SessionID,
	})
	t.Header["typ"], t.Header["kid"] = typeAccess, i.keys.signing.ID
	text, err := t.SignedString(i.keys.signing.private)
	if err != nil {
		return "", fmt.Errorf("sign an access token: %w", err)
	}
	return text, nil
}

// Verify reads an access token (RFC 9068 §4). It says who the token is about, not whether the
// session still stands: that is the caller's to look up. Every fault is ErrInvalid.
func (i *Issuer) Verify(text string) (Access, error) {
	// Go's base64 skips line ends, so that one token would have many spellings.
	if len(text) > maxAccess || strings.ContainsAny(text, "\r\n") {
		return Access{}, fmt.Errorf("%w: too long, or not one line", ErrInvalid)
	}
	digest := sha256.Sum256([]byte(text))
	if a, ok := i.verified.Get(digest); ok {
		if i.now().Before(a.ExpiresAt) {
			return a, nil
		}
		i.verified.Remove(digest)
	}
	var c claims
	if _, err := i.parser.ParseWithClaims(text, &c, i.key); err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	// Only a client's own token is without a session (RFC 9068 §2.2: sub is then the client_id).
	if c.IssuedAt == nil || c.Subject == "" || c.SessionID == "" && c.Subject != c.ClientID {
		return Access{}, fmt.Errorf("%w: a required claim is missing", ErrInvalid)
	}
	a := Access{
		ID: c.ID, Subject: c.Subject, SessionID: c.SessionID, ClientID: c.ClientID, Scope: c.Scope,
		IssuedAt: time.Unix(*c.IssuedAt, 0), ExpiresAt: time.Unix(*c.ExpiresAt, 0),
	}
	if c.AuthTime != 0 {
		a.AuthTime = time.Unix(c.AuthTime, 0)
	}
	i.verified.Add(digest, a)
	return a, nil
}

// key finds the key that the header names. jku, jwk, x5u and x5c are not looked at: a token does
// not bring its own key (RFC 8725 §3.10).
func (i *Issuer) key(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("crit names extensions that are not understood") // RFC 7515 §4.1.11
	}
	typ, _ := t.Header["typ"].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/") // RFC 9068 §4
	if typ != typeAccess {
		return nil, errors.New("typ is not at+jwt")
	}
	kid, _ := t.Header["kid"].(string)
	key, ok := i.keys.public[kid]
	if !ok {
		return nil, errors.New("unknown kid")
	}
	return key, nil
}
