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

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/internal/token/atjwt"
	"sesame/server/internal/token/personal"
)

// Caller is the user or the client to whom an access token belongs (RFC 9068 §2.2).
type Caller struct {
	Subject  string         // sub: the id of a user, or of a client that acts for itself
	ClientID string         // client_id; "" for a personal access token
	Scopes   []string       // scope
	ACR      string         // acr: "1" for a sign-in with one factor, "2" with two; "" for a client
	AMR      []string       // amr: how the person has signed in (RFC 8176), such as pwd, otp and mfa; nil for a client
	AuthTime time.Time      // auth_time: when the person has signed in; zero for a client
	Claims   map[string]any // all claims of the token; of a personal access token the members of the issuer's answer (RFC 7662 §2.2)
	// Personal says that a script of the user calls, with a personal access token. It has no ACR, AMR and AuthTime, and meets no
	// demand for them. Claims["jti"] is the id of the token.
	Personal bool
	checked  time.Time
	expires  time.Time // of a personal access token
}

// SignIn returns how and when the person has signed in, and when the guard has checked the token. It implements
// contract.Authenticated.
func (c *Caller) SignIn() (acr string, at, checked time.Time) { return c.ACR, c.AuthTime, c.checked }

// HasScope reports whether the caller has a scope.
func (c *Caller) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// CallerFrom returns the caller whose access token a guarded request has. It is nil if the document allows the request
// without a token.
func CallerFrom(ctx context.Context) *Caller { return contract.CallerFrom[*Caller](ctx) }

// claims also keeps the claims that have no field.
type claims struct {
	atjwt.Claims
	all map[string]any
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, &c.Claims); err != nil {
		return err
	}
	return json.Unmarshal(text, &c.all)
}

// bearer is the check of every security scheme that requires an access token.
func (g *Guard) bearer(ctx context.Context, r *http.Request) (contract.Caller, error) {
	text, err := contract.BearerToken(r)
	if err != nil || text.Empty() {
		return nil, err
	}
	var caller *Caller
	if personal.Is(text.Reveal()) {
		caller, err = g.personal(ctx, text.Reveal())
	} else if caller, err = g.verify(ctx, text.Reveal()); err != nil && !errors.Is(err, errNoKeys) {
		err = problem.Wrap(problem.InvalidToken, "The access token is expired or not valid here.", errors.New(atjwt.Reason(err)))
	}
	if errors.Is(err, errNoKeys) {
		err = problem.Wrap(problem.Unavailable, "Access tokens cannot be verified at the moment. Try again in a few seconds.", err)
	}
	if err != nil { // an interface that holds a nil *Caller would not be nil
		return nil, err
	}
	return caller, nil
}

// verify verifies an access token (RFC 9068 §4).
func (g *Guard) verify(ctx context.Context, text string) (*Caller, error) {
	if err := atjwt.CheckText(text); err != nil {
		return nil, err
	}
	c := &claims{}
	_, err := g.parser.ParseWithClaims(text, c, func(t *jwt.Token) (any, error) { return g.key(ctx, t) })
	if err != nil {
		return nil, err
	}
	caller := &Caller{Subject: c.Subject, ClientID: c.ClientID, Scopes: strings.Fields(c.Scope), Claims: c.all, ACR: c.ACR, AMR: c.AMR, checked: g.options.Now()}
	if c.AuthTime != 0 {
		caller.AuthTime = time.Unix(c.AuthTime, 0)
	}
	return caller, nil
}

var errNoKeys = errors.New("the issuer has not answered yet")

// key returns the issuer's key that the header of a token names.
func (g *Guard) key(ctx context.Context, t *jwt.Token) (any, error) {
	if err := atjwt.CheckHeader(t); err != nil {
		return nil, err
	}
	kid, _ := t.Header["kid"].(string)
	if kid == "" {
		return nil, atjwt.ErrUnknownKey
	}
	known := g.keys.Load()
	if known == nil {
		return nil, errNoKeys
	}
	jwk, err := known.find(ctx, kid)
	if err != nil {
		return nil, atjwt.ErrUnknownKey
	}
	if m := jwk.Marshal(); m.ALG != "" && m.ALG.String() != t.Method.Alg() || m.USE != "" && m.USE.String() != "sig" {
		return nil, errors.New("the key is for another algorithm or use")
	}
	return jwk.Key(), nil
}
