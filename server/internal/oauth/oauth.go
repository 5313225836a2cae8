// Package oauth implements the token endpoints: service clients, the grants, introspection and revocation.
//
//	service := oauth.New(db, issuer, ids, master, id, oauth.Settings{…})
//	client, err := service.AuthenticateClient(ctx, oauth.Credentials{Authorization: headers, FormID: form.ClientID, …})
//	tokens, err := service.PasswordGrant(ctx, client, "ann", secret.New("…"), "me:read")
//
// The way through it: POST /token authenticates the client (authenticate.go), then calls PasswordGrant (grants.go, which
// calls identity.Login), CodeGrant (code.go), DeviceGrant (device.go), RefreshGrant (refresh.go) or ClientCredentialsGrant
// (grants.go). Each ends in issue, which signs the access token. POST /token/introspect and POST /token/revoke are in
// introspect.go and revoke.go. Errors that a client may see are *problem.Error; any other error is a fault.
package oauth

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/identity"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Settings are the operator's choices.
type Settings struct {
	AccessTTL    time.Duration // the life of an access token
	RefreshGrace time.Duration // how long a client may send a used refresh token again
	Unverified   Unverified    // clients that no operator has made
	DocsRedirect string        // where the documentation pages get their code; "" if they are not served
	AdminPage    string        // where the administrator's page gets its code, and comes back to after a sign-out; "" if it is not served
	// Issued counts the access tokens for metrics, by Grants. It may be nil.
	Issued  func(grant string)
	Cursors token.Cursors
}

// The grants that issue tokens, under the names of RFC 6749.
const (
	codeGrant     = "authorization_code"
	passwordGrant = "password"
	refreshGrant  = "refresh_token"
	clientGrant   = "client_credentials"
	deviceGrant   = "device_code" // of RFC 8628, without the prefix
	passkeyGrant  = "passkey"     // of our own, without the prefix
)

// Grants are the values of Settings.Issued.
var Grants = []string{codeGrant, passwordGrant, refreshGrant, clientGrant, deviceGrant, passkeyGrant}

// Service implements the token endpoints. It is safe for concurrent use.
type Service struct {
	db        *store.DB
	issuer    *token.Issuer
	ids       *token.IDIssuer
	codes     token.Sealer // of authorization codes
	pages     token.Sealer // of authorization requests in forms
	refresher token.Refresher
	identity  *identity.Service
	now       func() time.Time
	outage    outage
	documents *documents
	Settings
}

// New makes a Service.
func New(db *store.DB, issuer *token.Issuer, ids *token.IDIssuer, master token.MasterKey, id *identity.Service, s Settings) *Service {
	if s.Issued == nil {
		s.Issued = func(string) {}
	}
	if s.Unverified.Documents.Log == nil {
		s.Unverified.Documents.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		db: db, issuer: issuer, ids: ids, refresher: token.NewRefresher(master), identity: id, now: id.Now, Settings: s,
		codes: token.NewSealer(master, "authorization codes"), pages: token.NewSealer(master, "authorization requests"),
		documents: newDocuments(s.Unverified.Documents, s.Unverified.ServiceName, id.Now),
	}
}

// PublicKeys returns the keys that verify access tokens and ID tokens, for GET /.well-known/jwks.json.
func (s *Service) PublicKeys() []token.JWK {
	return slices.Concat(s.issuer.Keys().JWKS(), s.ids.Keys().JWKS())
}

// IDTokenAlgorithm returns the algorithm of new ID tokens.
func (s *Service) IDTokenAlgorithm() string { return s.ids.Algorithm() }

// Tokens are the response to a grant (RFC 6749 §5.1).
type Tokens struct {
	AccessToken  secret.Text
	RefreshToken secret.Text // empty for a client's own token (RFC 6749 §4.4.3)
	IDToken      secret.Text // empty without the scope openid
	Scope        string
	ExpiresIn    int32 // seconds
}

// issueForSession makes the tokens of a session. The refresh token is the one that the session accepts next.
func (s *Service) issueForSession(client Client, grant string, session store.Session, scopes []string, refresh token.Refresh) (Tokens, error) {
	t, err := s.issue(client, grant, token.Access{
		Subject: session.UserID, SessionID: session.ID, ClientID: client.PublicID(), Resource: session.Resource,
		AuthTime: session.SignedInAt, Methods: identity.MethodsOf(session),
	}, scopes)
	t.RefreshToken = s.refresher.Text(refresh)
	return t, err
}

// issue signs an access token that is valid from now on.
func (s *Service) issue(client Client, grant string, access token.Access, scopes []string) (Tokens, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return Tokens{}, fmt.Errorf("make a token id: %w", err)
	}
	access.ID, access.IssuedAt, access.Scope = id.String(), s.now(), strings.Join(scopes, " ")
	access.ExpiresAt = access.IssuedAt.Add(s.accessTTL(client))
	text, err := s.issuer.Sign(access)
	if err != nil {
		return Tokens{}, err
	}
	s.Issued(grant)
	return Tokens{AccessToken: secret.New(text), Scope: access.Scope, ExpiresIn: int32(s.accessTTL(client).Seconds())}, nil
}

// accessTTL is the life of the access tokens of a client.
func (s *Service) accessTTL(client Client) time.Duration {
	return min(cmp.Or(client.AccessTTL, s.AccessTTL), s.AccessTTL)
}
