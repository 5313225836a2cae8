package token

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"sesame/server/internal/token/atjwt"
)

// The ids of the built-in clients, which are in no table. The id of any other client is a UUID, as is that of an account, so neither
// can be taken for one of these.
const (
	// FirstParty is the client_id of the tokens of a login that names no client: RFC 9068 §2.2 requires one.
	FirstParty = "first-party"
	// Docs is the client_id of the documentation pages, which sign people in with a browser.
	Docs = "docs"
	// Admin is the client_id of the administrator's page.
	Admin = "admin"
)

// IsBuiltIn reports whether an id is that of a built-in client.
func IsBuiltIn(id string) bool { return id == FirstParty || id == Docs || id == Admin }

// cacheSize is how many verified tokens are cached: verifying ES256 costs as much as several whole requests. An entry
// takes about half a KiB.
const cacheSize = 8192

// ErrInvalid is the error for a text that is not a valid access token of this issuer. It wraps the reason.
var ErrInvalid = errors.New("invalid access token")

// Access holds the claims of an access token (RFC 9068 §2.2).
type Access struct {
	ID        string    // jti
	Subject   string    // sub, the user; or the client
	SessionID string    // sid, "" for a client's own token
	ClientID  string    // client_id
	Scope     string    // space-separated
	Resource  string    // aud, unless it is the audience of the issuer itself (RFC 8707 §2)
	AuthTime  time.Time // zero for a client's own token
	Methods   []string  // amr, how the person proved who they are (RFC 8176); nil for a client's own token
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Issuer signs and verifies the access tokens of one issuer: for an audience, which is this server and the services that share
// it, and for further resources, which have their own (RFC 8707). A token has one audience.
type Issuer struct {
	issuer, audience string
	resources        []string
	keys             Keys
	now              func() time.Time
	parser           *jwt.Parser
	verified         *lru.Cache[[sha256.Size]byte, verified]
}

// verified is a verified token and the key that verified it. It is valid only as long as the keyring has the key.
type verified struct {
	Access
	keyID string
}

// NewIssuer makes an Issuer. resources are the further audiences that it may sign tokens for.
func NewIssuer(issuer, audience string, keys Keys, now func() time.Time, resources ...string) *Issuer {
	cache, err := lru.New[[sha256.Size]byte, verified](cacheSize)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &Issuer{
		issuer: issuer, audience: audience, resources: resources, keys: keys, now: now, verified: cache,
		parser: atjwt.NewParser(issuer, now, append([]string{audience}, resources...)...),
	}
}

// Names returns the issuer and the audience of its tokens.
func (i *Issuer) Names() (issuer, audience string) { return i.issuer, i.audience }

// Resources returns the audiences that tokens can have beside that of the issuer itself.
func (i *Issuer) Resources() []string { return i.resources }

// Keys returns the keyring that the issuer verifies with now.
func (i *Issuer) Keys() *Keyring { return i.keys.Current() }

// Sign returns a as a signed JWT.
func (i *Issuer) Sign(a Access) (string, error) {
	ring, err := i.keys.ForSigning()
	if err != nil {
		return "", err
	}
	key := ring.signing
	exp, iat, authTime := a.ExpiresAt.Unix(), a.IssuedAt.Unix(), int64(0)
	if !a.AuthTime.IsZero() {
		authTime = a.AuthTime.Unix()
	}
	t := jwt.NewWithClaims(jwt.GetSigningMethod(key.Alg), &atjwt.Claims{
		Issuer: i.issuer, Subject: a.Subject, Audience: jwt.ClaimStrings{cmp.Or(a.Resource, i.audience)},
		ExpiresAt: &exp, IssuedAt: &iat, AuthTime: authTime,
		ID: a.ID, ClientID: a.ClientID, Scope: a.Scope, SessionID: a.SessionID, AMR: a.Methods, ACR: atjwt.LevelOf(a.Methods),
	})
	t.Header["typ"], t.Header["kid"] = atjwt.Type, key.ID
	text, err := t.SignedString(key.private)
	if err != nil {
		return "", fmt.Errorf("sign an access token: %w", err)
	}
	return text, nil
}

// Verify parses and verifies an access token for this server (RFC 9068 §4). It does not check whether the session still
// exists: the caller does. Every fault of the token is ErrInvalid; any other error means that the keys could not be read.
func (i *Issuer) Verify(text string) (Access, error) {
	a, err := i.VerifyIssued(text)
	if err == nil && a.Resource != "" { // a service that receives it must not be able to use it here
		return Access{}, fmt.Errorf("%w: another audience", ErrInvalid)
	}
	return a, err
}

// VerifyIssued is Verify for an access token of any audience of the issuer: for introspection and revocation, where the token
// is what the request is about and authorizes nothing.
func (i *Issuer) VerifyIssued(text string) (Access, error) {
	if err := atjwt.CheckText(text); err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	ring, digest := i.keys.Current(), sha256.Sum256([]byte(text))
	if v, ok := i.verified.Get(digest); ok {
		if _, current := ring.public[v.keyID]; current && i.now().Before(v.ExpiresAt) {
			return v.Access, nil
		}
		i.verified.Remove(digest)
	}
	v, err := i.verify(text, ring)
	if errors.Is(err, atjwt.ErrUnknownKey) {
		// Another replica may have made the key, and signed with it, since the keyring was read.
		again, readErr := i.keys.Refresh()
		if readErr != nil {
			return Access{}, readErr
		}
		if again != ring {
			v, err = i.verify(text, again)
		}
	}
	if err != nil {
		return Access{}, fmt.Errorf("%w: %s", ErrInvalid, atjwt.Reason(err))
	}
	i.verified.Add(digest, v)
	return v.Access, nil
}

// verify checks a token with the keys of a keyring.
func (i *Issuer) verify(text string, ring *Keyring) (verified, error) {
	var c atjwt.Claims
	var keyID string
	_, err := i.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		keyID, _ = t.Header["kid"].(string)
		return ring.find(t)
	})
	if err != nil {
		return verified{}, err
	}
	// Only a client's own token has no session (RFC 9068 §2.2: its sub is the client_id).
	if c.SessionID == "" && c.Subject != c.ClientID {
		return verified{}, errors.New("it has no session")
	}
	a := Access{
		ID: c.ID, Subject: c.Subject, SessionID: c.SessionID, ClientID: c.ClientID, Scope: c.Scope,
		IssuedAt: time.Unix(*c.IssuedAt, 0), ExpiresAt: time.Unix(*c.ExpiresAt, 0),
	}
	if !slices.Contains(c.Audience, i.audience) {
		// The parser has found one of them in the token.
		a.Resource = i.resources[slices.IndexFunc(i.resources, func(r string) bool { return slices.Contains(c.Audience, r) })]
	}
	if c.AuthTime != 0 {
		a.AuthTime = time.Unix(c.AuthTime, 0)
		a.Methods = c.AMR
	}
	return verified{a, keyID}, nil
}

// find returns the key that the header names, if it is a key for the algorithm of the header.
func (r *Keyring) find(t *jwt.Token) (any, error) {
	if err := atjwt.CheckHeader(t); err != nil {
		return nil, err
	}
	kid, _ := t.Header["kid"].(string)
	key, ok := r.public[kid]
	switch {
	case !ok:
		return nil, atjwt.ErrUnknownKey
	case key.alg != t.Method.Alg():
		return nil, errors.New("alg is not that of the key")
	}
	return key.key, nil
}
