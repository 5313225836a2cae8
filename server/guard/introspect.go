package guard

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"sesame/server/internal/problem"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// ServiceClient is a service client of the issuer, as `sesame client create` makes one.
type ServiceClient struct {
	ID     string
	Secret secret.Text
}

const (
	// introspectionTTL is how long the guard uses an answer of the issuer, and so how long it accepts a token that was revoked.
	introspectionTTL = 30 * time.Second
	// maxIntrospections limits the requests to the issuer at a time. Others wait, up to fetchTimeout.
	maxIntrospections = 16
	// maxAccepted and maxRefused limit the answers that are kept. Tokens that somebody makes up displace no valid ones.
	maxAccepted, maxRefused = 4096, 1024
	// personalKind is the sesame_token_kind of a personal access token.
	personalKind = "personal_access_token"
)

// introspector asks the issuer about personal access tokens (RFC 7662).
type introspector struct {
	o        Options
	endpoint string
	client   *http.Client
	slots    chan struct{}
	accepted *lru.Cache[digest, lookup]
	refused  *lru.Cache[digest, lookup]
	flight   singleflight.Group
}

type digest [sha256.Size]byte

// lookup is an answer of the issuer. caller is nil for a token that is not accepted.
type lookup struct {
	caller *Caller
	reason error
	until  time.Time
}

// introspection is the part of an answer that the guard understands.
type introspection struct {
	Active    bool             `json:"active"`
	Kind      string           `json:"sesame_token_kind"`
	Issuer    string           `json:"iss"`
	Audience  jwt.ClaimStrings `json:"aud"`
	Subject   string           `json:"sub"`
	Scope     string           `json:"scope"`
	ExpiresAt int64            `json:"exp"`
}

// newIntrospector looks up a token that does not exist, so that a wrong secret stops the start.
func newIntrospector(ctx context.Context, o Options) (*introspector, error) {
	if o.Introspect.ID == "" || o.Introspect.Secret.Empty() {
		return nil, errors.New("for Introspect, the id and the secret of a service client are needed; sesame client create prints them")
	}
	i := &introspector{o: o, client: bounded(o.Client), slots: make(chan struct{}, maxIntrospections)}
	var err error
	if i.accepted, err = lru.New[digest, lookup](maxAccepted); err != nil {
		return nil, err
	}
	if i.refused, err = lru.New[digest, lookup](maxRefused); err != nil {
		return nil, err
	}
	found, err := discover(ctx, i.client, o.Issuer)
	if err == nil {
		err = checkEndpoint(o.Issuer, "introspection_endpoint", found.Introspection)
	}
	if err != nil {
		return nil, fmt.Errorf("find where the issuer looks tokens up: %w", err)
	}
	i.endpoint = found.Introspection
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if _, err = i.ask(ctx, personal.New().Reveal()); err != nil {
		return nil, fmt.Errorf("look up a personal access token: %w", err)
	}
	return i, nil
}

// personal returns the caller of a personal access token. Errors: InvalidToken; Unavailable if the issuer does not answer, since a
// token that cannot be looked up may have been revoked.
func (g *Guard) personal(ctx context.Context, text string) (*Caller, error) {
	const invalid = "The access token is expired or not valid here."
	if g.options.Introspect == nil {
		return nil, problem.New(problem.InvalidToken, "This service accepts no personal access tokens.")
	}
	if !personal.IsWellFormed(text) {
		return nil, problem.Wrap(problem.InvalidToken, invalid, errors.New("a personal access token that is mistyped"))
	}
	if !g.Ready() { // until then there is no introspector
		return nil, errNoKeys
	}
	found, err := g.introspector.find(ctx, text)
	if err != nil {
		g.options.Log.WarnContext(ctx, "guard: a personal access token could not be looked up", "issuer", g.options.Issuer, "error", err)
		return nil, problem.Wrap(problem.Unavailable, "The access token cannot be checked now. Try again shortly.", err)
	}
	if found.caller == nil {
		return nil, problem.Wrap(problem.InvalidToken, invalid, found.reason)
	}
	return found.caller, nil
}

// find returns the answer about a token, from the cache if it is recent. Requests with one token share a request to the issuer.
func (i *introspector) find(ctx context.Context, text string) (lookup, error) {
	key := digest(sha256.Sum256([]byte(text)))
	for _, cache := range []*lru.Cache[digest, lookup]{i.accepted, i.refused} {
		if found, ok := cache.Get(key); ok && i.o.Now().Before(found.until) {
			return found, nil
		}
	}
	// The first request may be canceled while others wait for its answer.
	asked := i.flight.DoChan(string(key[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return i.lookUp(ctx, key, text)
	})
	select {
	case answer := <-asked:
		found, _ := answer.Val.(lookup)
		return found, answer.Err
	case <-ctx.Done():
		return lookup{}, ctx.Err()
	}
}

// lookUp asks the issuer about a token and keeps the answer.
func (i *introspector) lookUp(ctx context.Context, key digest, text string) (lookup, error) {
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	case <-ctx.Done():
		return lookup{}, fmt.Errorf("%d requests to the issuer are in progress: %w", maxIntrospections, ctx.Err())
	}
	asked := i.o.Now()
	found, err := i.ask(ctx, text)
	if err != nil {
		return lookup{}, err
	}
	found.until = asked.Add(introspectionTTL)
	if found.caller == nil {
		i.accepted.Remove(key)
		i.refused.Add(key, found)
		return found, nil
	}
	if found.caller.expires.Before(found.until) {
		found.until = found.caller.expires
	}
	i.accepted.Add(key, found)
	return found, nil
}

// ask asks the issuer about a token. No error quotes the token or the secret.
func (i *introspector) ask(ctx context.Context, text string) (lookup, error) {
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return lookup{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// RFC 6749 §2.3.1: id and secret are form-encoded first.
	request.SetBasicAuth(url.QueryEscape(i.o.Introspect.ID), url.QueryEscape(i.o.Introspect.Secret.Reveal()))
	response, err := i.client.Do(request)
	if err != nil {
		return lookup{}, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return lookup{}, fmt.Errorf("the issuer refuses the client %s: check the id and the secret of Introspect", i.o.Introspect.ID)
	default:
		return lookup{}, fmt.Errorf("%s answers %d", i.endpoint, response.StatusCode)
	}
	var raw json.RawMessage
	if err = json.NewDecoder(response.Body).Decode(&raw); err != nil {
		return lookup{}, fmt.Errorf("%s: %w", i.endpoint, err)
	}
	return i.read(raw)
}

// read reads an answer of the issuer.
func (i *introspector) read(raw []byte) (lookup, error) {
	var answer introspection
	all := map[string]any{}
	if err := errors.Join(json.Unmarshal(raw, &answer), json.Unmarshal(raw, &all)); err != nil {
		return lookup{}, fmt.Errorf("%s gives an answer of an unknown form", i.endpoint)
	}
	refuse := func(reason string) (lookup, error) { return lookup{reason: errors.New(reason)}, nil }
	expires := time.Unix(answer.ExpiresAt, 0)
	switch {
	case !answer.Active:
		return refuse("it is unknown, expired or revoked")
	case answer.Kind != personalKind:
		return refuse("it is not a personal access token")
	case answer.Issuer != i.o.Issuer:
		return refuse("another issuer")
	case !slices.Contains(answer.Audience, i.o.Audience):
		return refuse("another audience")
	case answer.Subject == "" || !i.o.Now().Before(expires):
		return refuse("a required member is missing, or it is expired")
	}
	return lookup{caller: &Caller{
		Subject: answer.Subject, Scopes: strings.Fields(answer.Scope), Personal: true, Claims: all, checked: i.o.Now(), expires: expires,
	}}, nil
}
