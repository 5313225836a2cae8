// Package auth decides: who may log in, what a login is worth, how long it lasts, and what people
// may do with their own accounts. It knows neither HTTP nor SQL text.
//
//	service := auth.New(db, hasher, issuer, refresher, settings)
//	ctx = auth.WithOrigin(ctx, auth.Origin{IPAddress: "203.0.113.7", UserAgent: "curl"})
//	tokens, err := service.Login(ctx, auth.Login{Username: "ann", Password: secret.New("…")})
//	caller, err := service.Authenticate(ctx, tokens.AccessToken)
//
// Errors that a caller may see are *problem.Error; any other error is a fault.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/password"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// FirstParty is the client_id of a login that names no client (RFC 9068 §2.2 wants one).
const FirstParty = "first-party"

// Scopes are the scopes of the contract, and who has them.
type Scopes struct {
	Declared   []string
	Default    []string // every person has them, and a login that asks for none gets them
	OnRequest  []string // every person has them, but a login must ask for them
	PeopleOnly []string // a service client never has them for itself
	// Admin lets its holder create, change and delete accounts. Of the enabled accounts that hold it, one always stays.
	Admin string
}

// everybodys are the scopes that every person has.
func (s Scopes) everybodys() []string { return slices.Concat(s.Default, s.OnRequest) }

// Settings are the choices of the operator that matter here.
type Settings struct {
	Scopes             Scopes
	AccessTTL          time.Duration // of an access token
	RefreshIdle        time.Duration // a session ends when it is not refreshed for so long
	RefreshTTL         time.Duration // and so long after the login in any case
	RefreshGrace       time.Duration // in which a used refresh token may be sent again
	RegistrationClosed bool
	RegistrationLimit  int // of tries to register from one network in an hour; 0 is no limit
	Now                func() time.Time
	Blind              token.Blind // of what failed logins are counted under
	Cursors            token.Cursors
	EventRetention     time.Duration // how long an event is kept
	Outbox             *Outbox       // for mails
	NewLoginMails      bool          // whether the owner is told of a login from an address that is not known
	ConfirmURL         string        // of the pages that mailed links open; the code is added as a parameter
	ResetURL           string
	Log                *slog.Logger // of what no answer tells; nil for none
}

// Service is the domain. It is safe for concurrent use. Of its own it holds only what it has still to record:
// any number of replicas may share a database.
type Service struct {
	db         *store.DB
	hasher     *password.Hasher
	issuer     *token.Issuer
	refresher  token.Refresher
	background background
	Settings
}

// New makes a Service. Close it before the database.
func New(db *store.DB, hasher *password.Hasher, issuer *token.Issuer, refresher token.Refresher, s Settings) *Service {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{db: db, hasher: hasher, issuer: issuer, refresher: refresher, Settings: s}
}

// Close waits for what is still to be recorded of requests that were answered, for a few seconds at most.
func (s *Service) Close() { s.background.close() }

// Caller is who makes a request: a user, in a session, or a client for itself, with the scopes of the
// token. Of a client there is no User, so it never has the scopes over one's own account.
type Caller struct {
	User       store.User
	ClientID   string    // that the token was issued to: the client itself, or whom the user logged in through
	SessionID  string    // "" for a client
	LoggedInAt time.Time // when the person last proved who they are
	scopes     []string
}

// HasScope reports whether the caller may use a scope: the token has it, and the session and the user still do.
func (c *Caller) HasScope(scope string) bool { return slices.Contains(c.scopes, scope) }

// id is who it is: the user, or else the client.
func (c *Caller) id() string {
	if c.User.ID == "" {
		return c.ClientID
	}
	return c.User.ID
}

// errInvalidToken is all that is told of a token that does not stand.
func errInvalidToken(cause error) error {
	return problem.Wrap(problem.InvalidToken, "The access token is expired, revoked or not valid here.", cause)
}

// Authenticate finds the caller of an access token. The token must verify, its session must stand
// and its user must be enabled, at this very request: so a logout is effective at once, on every
// replica. The error is InvalidToken, or a fault of the store.
func (s *Service) Authenticate(ctx context.Context, accessToken secret.Text) (*Caller, error) {
	access, err := s.issuer.Verify(accessToken.Reveal())
	if errors.Is(err, token.ErrInvalid) {
		return nil, errInvalidToken(err)
	}
	if err != nil {
		return nil, err
	}
	if access.SessionID == "" {
		return s.clientCaller(ctx, access)
	}
	user, granted, err := s.db.UserOfSession(ctx, access.Subject, access.SessionID, s.Now())
	if err == nil && access.ClientID != FirstParty { // a login may have been under way when its client was deleted
		_, err = s.db.ClientByID(ctx, access.ClientID)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, errInvalidToken(errors.New("no such session or client, or the account is disabled"))
	}
	if err != nil {
		return nil, err
	}
	return &Caller{
		User: user, ClientID: access.ClientID, SessionID: access.SessionID, LoggedInAt: access.AuthTime,
		scopes: intersect(intersect(strings.Fields(access.Scope), strings.Fields(granted)), s.UserScopes(user)),
	}, nil
}

// clientCaller finds the client of a token of its own. It must not be deleted, nor the token revoked.
func (s *Service) clientCaller(ctx context.Context, access token.Access) (*Caller, error) {
	row, err := s.db.ClientOfToken(ctx, access.Subject, access.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errInvalidToken(errors.New("the client is deleted, or the token revoked"))
	}
	if err != nil {
		return nil, err
	}
	return &Caller{ClientID: row.ID, scopes: intersect(strings.Fields(access.Scope), strings.Fields(row.Scopes))}, nil
}

// UserScopes are what a user may ask for: those that every person has, and those that an administrator has granted.
func (s *Service) UserScopes(u store.User) []string {
	scopes := s.Scopes.everybodys()
	for _, scope := range strings.Fields(u.Scopes) {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// intersect keeps those of a that b has too, in the order of a, each once.
func intersect(a, b []string) []string {
	kept := make([]string, 0, len(a))
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
