package guard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/server/contract"
	"sesame/server/problem"
)

const (
	// maxToken is the longest token, in bytes, that is looked at; Sesame's have some 600.
	maxToken = 8 << 10
	// leeway is how far two clocks may be apart.
	leeway = 30 * time.Second
)

// algorithms are those that Sesame signs with. No symmetric one is among them: whoever could verify
// could also sign (RFC 8725 §3.1).
var algorithms = []string{"ES256", "RS256", "EdDSA"}

// Caller is who an access token speaks for (RFC 9068 §2.2).
type Caller struct {
	Subject  string         // sub: a user's id, or that of a client which acts for itself
	ClientID string         // client_id
	Scopes   []string       // scope
	Claims   map[string]any // all of them
}

// HasScope implements contract.Caller.
func (c *Caller) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// CallerFrom gives the caller of a guarded request, or nil for a stranger, whom the document lets in.
func CallerFrom(ctx context.Context) *Caller {
	caller, _ := contract.CallerFrom(ctx).(*Caller)
	return caller
}

// claims is the JSON form. Times are whole seconds: a fraction or a string does not decode.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	ExpiresAt *int64           `json:"exp"`
	IssuedAt  *int64           `json:"iat"`
	NotBefore *int64           `json:"nbf"`
	ClientID  string           `json:"client_id"`
	Scope     string           `json:"scope"`
	all       map[string]any
}

// UnmarshalJSON keeps the claims that have no field as well.
func (c *claims) UnmarshalJSON(text []byte) error {
	type plain claims
	if err := json.Unmarshal(text, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(text, &c.all)
}

func date(seconds *int64) (*jwt.NumericDate, error) {
	if seconds == nil {
		return nil, nil
	}
	return jwt.NewNumericDate(time.Unix(*seconds, 0)), nil
}

// GetExpirationTime and the methods after it implement jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt) }

// GetIssuedAt gives iat.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt) }

// GetNotBefore gives nbf.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return date(c.NotBefore) }

// GetIssuer gives iss.
func (c *claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject gives sub.
func (c *claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience gives aud.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) { return c.Audience, nil }

func newParser(o Options) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods(algorithms), jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithLeeway(leeway), jwt.WithTimeFunc(o.Now),
	)
}

// bearer is the check of every security scheme that means an access token.
func (g *Guard) bearer(ctx context.Context, r *http.Request) (contract.Caller, error) {
	text, err := contract.BearerToken(r)
	if err != nil || text == "" {
		return nil, err
	}
	caller, err := g.verify(ctx, text)
	if err != nil {
		return nil, problem.Wrap(problem.InvalidToken, "The access token is expired or not valid here.", err)
	}
	return caller, nil
}

// verify reads an access token (RFC 9068 §4).
func (g *Guard) verify(ctx context.Context, text string) (*Caller, error) {
	// Go's base64 skips line ends, so that one token would have many spellings.
	if len(text) > maxToken || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("too long, or not one line")
	}
	c := &claims{}
	_, err := g.parser.ParseWithClaims(text, c, func(t *jwt.Token) (any, error) { return g.key(ctx, t) })
	if err != nil {
		return nil, err
	}
	if c.Subject == "" || c.IssuedAt == nil || c.ClientID == "" {
		return nil, errors.New("a required claim is missing")
	}
	return &Caller{Subject: c.Subject, ClientID: c.ClientID, Scopes: strings.Fields(c.Scope), Claims: c.all}, nil
}

// key finds the issuer's key that the header names. jku, jwk, x5u and x5c are not looked at: a token
// does not bring its own key (RFC 8725 §3.10).
func (g *Guard) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("crit names extensions that are not understood") // RFC 7515 §4.1.11
	}
	typ, _ := t.Header["typ"].(string)
	if strings.TrimPrefix(strings.ToLower(typ), "application/") != "at+jwt" { // RFC 9068 §4
		return nil, errors.New("typ is not at+jwt")
	}
	kid, _ := t.Header["kid"].(string)
	if kid == "" {
		return nil, errUnknownKey
	}
	jwk, err := g.keys.find(ctx, kid)
	if err != nil {
		return nil, errUnknownKey
	}
	if m := jwk.Marshal(); m.ALG != "" && m.ALG.String() != t.Method.Alg() || m.USE != "" && m.USE.String() != "sig" {
		return nil, errors.New("the key is for something else")
	}
	return jwk.Key(), nil
}
