package token

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/server/internal/token/atjwt"
)

// ID holds the claims of an ID token (OpenID Connect Core §2).
type ID struct {
	Subject     string
	ClientID    string // aud
	SessionID   string // sid
	Nonce       string
	AccessToken string // for at_hash
	Methods     []string
	AuthTime    time.Time
	IssuedAt    time.Time
	ExpiresAt   time.Time
	Person
}

// Person has the claims about the person (OpenID Connect Core §5.1), as far as the scopes allow them.
type Person struct {
	PreferredUsername string `json:"preferred_username,omitempty"`
	Name              string `json:"name,omitempty"`
	UpdatedAt         int64  `json:"updated_at,omitempty"` // in seconds
	Email             string `json:"email,omitempty"`
	EmailVerified     *bool  `json:"email_verified,omitempty"` // nil without an address
	// Metadata is what the application keeps of its own about the account.
	Metadata json.RawMessage `json:"user_metadata,omitempty"`
}

// idClaims is the payload of an ID token.
type idClaims struct {
	jwt.RegisteredClaims
	SessionID string   `json:"sid"`
	Nonce     string   `json:"nonce,omitempty"`
	AuthTime  int64    `json:"auth_time"`
	ACR       string   `json:"acr"`
	AMR       []string `json:"amr,omitempty"`
	AtHash    string   `json:"at_hash,omitempty"`
	Person
}

// IDIssuer signs ID tokens, with keys of their own: so that neither an ID token is accepted as an access token, nor the
// other way round, and so that their algorithm can be the one that every client knows.
type IDIssuer struct {
	issuer string
	keys   Keys
	parser *jwt.Parser
}

// NewIDIssuer makes an IDIssuer.
func NewIDIssuer(issuer string, keys Keys) *IDIssuer {
	return &IDIssuer{issuer: issuer, keys: keys, parser: jwt.NewParser(jwt.WithValidMethods(atjwt.Algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())}
}

// Keys returns the keyring that verifies its tokens now.
func (i *IDIssuer) Keys() *Keyring { return i.keys.Current() }

// Algorithm returns the algorithm that it signs with now.
func (i *IDIssuer) Algorithm() string { return i.keys.Current().signing.Alg }

// Sign returns an ID token.
func (i *IDIssuer) Sign(id ID) (string, error) {
	return i.sign("JWT", func(key Key) jwt.Claims {
		return &idClaims{
			RegisteredClaims: jwt.RegisteredClaims{
				Issuer: i.issuer, Subject: id.Subject, Audience: jwt.ClaimStrings{id.ClientID},
				ExpiresAt: jwt.NewNumericDate(id.ExpiresAt), IssuedAt: jwt.NewNumericDate(id.IssuedAt),
			},
			SessionID: id.SessionID, Nonce: id.Nonce, AuthTime: id.AuthTime.Unix(), ACR: atjwt.LevelOf(id.Methods), AMR: id.Methods,
			AtHash: atHash(key.Alg, id.AccessToken), Person: id.Person,
		}
	})
}

// Logout holds the claims of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
type Logout struct {
	ID        string // jti
	Subject   string
	ClientID  string // aud
	SessionID string // sid
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// logoutClaims is the payload of a logout token. It has no nonce, so that no client takes it for an ID token.
type logoutClaims struct {
	jwt.RegisteredClaims
	SessionID string              `json:"sid"`
	Events    map[string]struct{} `json:"events"`
}

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// SignLogout returns a logout token.
func (i *IDIssuer) SignLogout(l Logout) (string, error) {
	return i.sign("logout+jwt", func(Key) jwt.Claims {
		return &logoutClaims{
			RegisteredClaims: jwt.RegisteredClaims{
				ID: l.ID, Issuer: i.issuer, Subject: l.Subject, Audience: jwt.ClaimStrings{l.ClientID},
				ExpiresAt: jwt.NewNumericDate(l.ExpiresAt), IssuedAt: jwt.NewNumericDate(l.IssuedAt),
			},
			SessionID: l.SessionID, Events: map[string]struct{}{logoutEvent: {}},
		}
	})
}

// sign signs a token of a type with the key that signs now.
func (i *IDIssuer) sign(typ string, claims func(Key) jwt.Claims) (string, error) {
	ring, err := i.keys.ForSigning()
	if err != nil {
		return "", err
	}
	key := ring.signing
	t := jwt.NewWithClaims(jwt.GetSigningMethod(key.Alg), claims(key))
	t.Header["kid"], t.Header["typ"] = key.ID, typ
	text, err := t.SignedString(key.private)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text, nil
}

// atHash returns the left half of the hash of an access token, with the hash of the algorithm (OpenID Connect Core §3.1.3.6).
func atHash(alg, accessToken string) string {
	if accessToken == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(accessToken))
	half := sum[:16]
	if alg == EdDSA { // Ed25519 hashes with SHA-512
		sum := sha512.Sum512([]byte(accessToken))
		half = sum[:32]
	}
	return base64.RawURLEncoding.EncodeToString(half)
}

// Hint is what an ID token says of a session, for id_token_hint.
type Hint struct {
	Subject, ClientID, SessionID string
	AuthTime                     int64 // Unix seconds
}

// ReadHint verifies that an ID token is one of this issuer. It may be expired. Errors: ErrInvalid.
func (i *IDIssuer) ReadHint(text string) (Hint, error) {
	if err := atjwt.CheckText(text); err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var c idClaims
	_, err := i.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, ok := i.keys.Current().public[kid]
		typ, typed := t.Header["typ"].(string)
		switch {
		case !ok:
			return nil, atjwt.ErrUnknownKey
		case key.alg != t.Method.Alg() || t.Header["crit"] != nil || typed && !strings.EqualFold(typ, "JWT"):
			return nil, errors.New("the header is not that of an ID token")
		}
		return key.key, nil
	})
	if err != nil {
		return Hint{}, fmt.Errorf("%w: %s", ErrInvalid, atjwt.Reason(err))
	}
	if c.Issuer != i.issuer || len(c.Audience) != 1 || c.Subject == "" {
		return Hint{}, fmt.Errorf("%w: it is not an ID token of this issuer", ErrInvalid)
	}
	return Hint{Subject: c.Subject, ClientID: c.Audience[0], SessionID: c.SessionID, AuthTime: c.AuthTime}, nil
}
