package guard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
	"sesame/server/internal/token/atjwt"
)

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
func CallerFrom(ctx context.Context) *Caller { return contract.CallerFrom[*Caller](ctx) }

// claims keeps those that have no field as well.
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

// bearer is the check of every security scheme that means an access token.
func (g *Guard) bearer(ctx context.Context, r *http.Request) (contract.Caller, error) {
	text, err := contract.BearerToken(r)
	if err != nil || text.Empty() {
		return nil, err
	}
	caller, err := g.verify(ctx, text.Reveal())
	if err != nil {
		return nil, problem.Wrap(problem.InvalidToken, "The access token is expired or not valid here.", errors.New(atjwt.Reason(err)))
	}
	return caller, nil
}

// verify reads an access token (RFC 9068 §4).
func (g *Guard) verify(ctx context.Context, text string) (*Caller, error) {
	if err := atjwt.CheckText(text); err != nil {
		return nil, err
	}
	c := &claims{}
	_, err := g.parser.ParseWithClaims(text, c, func(t *jwt.Token) (any, error) { return g.key(ctx, t) })
	if err != nil {
		return nil, err
	}
	return &Caller{Subject: c.Subject, ClientID: c.ClientID, Scopes: strings.Fields(c.Scope), Claims: c.all}, nil
}

// key finds the issuer's key that the header names.
func (g *Guard) key(ctx context.Context, t *jwt.Token) (any, error) {
	if err := atjwt.CheckHeader(t); err != nil {
		return nil, err
	}
	kid, _ := t.Header["kid"].(string)
	if kid == "" {
		return nil, atjwt.ErrUnknownKey
	}
	jwk, err := g.keys.find(ctx, kid)
	if err != nil {
		return nil, atjwt.ErrUnknownKey
	}
	if m := jwk.Marshal(); m.ALG != "" && m.ALG.String() != t.Method.Alg() || m.USE != "" && m.USE.String() != "sig" {
		return nil, errors.New("the key is for something else")
	}
	return jwk.Key(), nil
}
