// Package identity authenticates people: it verifies passwords, throttles guesses, and starts, checks and ends sessions.
//
//	id := identity.New(db, hasher, issuer, identity.Settings{…})
//	session, refresh, err := id.Login(ctx, identity.Login{Username: "ann", Password: secret.New("…"), …})
//	caller, err := id.Authenticate(ctx, accessToken)
//
// The way through it: Authenticate (caller.go) is called for every request with an access token. Login (login.go) is the
// password grant: it checks the throttle (throttle.go), verifies the password or a dummy hash (dummy.go), counts a
// failure or starts a session (session.go). VerifyPassword (verify.go) is the same for a person who confirms a password
// within a session. Counts (counts.go) are what it counts for the metrics. RecordCorrectPassword (correct.go) covers every
// request that proves a password and then fails.
//
// Lock order in a transaction: the row of the user, then rows that belong to the user (sessions, throttles, known addresses).
// Errors that a client may see are *problem.Error; any other error is a fault.
package identity

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sesame/server/internal/mailer"
	"sesame/server/internal/passkey"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Settings are the choices of the operator and the contract.
type Settings struct {
	Scopes        Scopes
	AdminScope    string        // lets its holder create, change and delete accounts; one enabled account always has it
	RefreshIdle   time.Duration // a session ends when it is not refreshed for this long
	RefreshTTL    time.Duration // and this long after the login in any case
	NewLoginMails bool          // mail the owner about a login from an unknown network
	ConfirmedOnly bool          // refuse the logins of accounts whose e-mail address is not confirmed
	Policy        Policy
	Cursors       token.Cursors
	KeyedHash     token.KeyedHash
	Steps         token.Sealer          // of sign-ins that a second factor completes
	Factors       token.Sealer          // of the secrets of second factors
	Passkeys      *passkey.RelyingParty // nil where the public URL can have none
	Outbox        *mailer.Outbox
	Now           func() time.Time
	Log           *slog.Logger // nil for none
	Count         Counts
}

// Service authenticates people. It is safe for concurrent use. In memory it holds only the correct passwords that are
// still to be recorded, so any number of replicas can share a database.
type Service struct {
	db         *store.DB
	hasher     *password.Hasher
	issuer     *token.Issuer
	background background
	// askToConfirm mails the owner of an account whose login was refused because its address is not confirmed.
	askToConfirm func(ctx context.Context, userID string) error
	Settings
}

// New makes a Service. Close it before the database.
func New(db *store.DB, hasher *password.Hasher, issuer *token.Issuer, s Settings) *Service {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.Now, s.Count = store.Clock(s.Now), s.Count.withDefaults()
	return &Service{
		db: db, hasher: hasher, issuer: issuer, Settings: s,
		askToConfirm: func(context.Context, string) error { return nil },
	}
}

// OnUnconfirmed sets what mails the owner of an account whose login was refused because its address is not confirmed. Package
// account does so when it is made, since it makes the mails.
func (s *Service) OnUnconfirmed(mail func(ctx context.Context, userID string) error) {
	s.askToConfirm = mail
}

// Close waits until everything that follows an answered request is recorded, for a few seconds at most.
func (s *Service) Close() { s.background.close() }

// Scopes are the scopes that the contract declares.
type Scopes struct {
	Declared   []string
	Default    []string // every person has them, and a login that requests none gets them
	OnRequest  []string // every person has them, but a login must request them
	PeopleOnly []string // a service client never has them for itself
	// Administrative are those that make an account that was granted one an administrator.
	Administrative []string
}

// OfEveryone returns the scopes that every person has.
func (s Scopes) OfEveryone() []string { return slices.Concat(s.Default, s.OnRequest) }

// OfClients returns the scopes that a service client can have: those over one's own account are left out, since a client has no
// account. It receives the others from people.
func (s Scopes) OfClients() []string {
	return slices.DeleteFunc(slices.Clone(s.Declared), func(scope string) bool {
		return slices.Contains(s.PeopleOnly, scope) && slices.Contains(s.Default, scope)
	})
}

// OfUser returns the scopes that a user has: those of every person, and those that an administrator has granted.
func (s Scopes) OfUser(u store.User) []string {
	all := append(s.OfEveryone(), strings.Fields(u.Scopes)...)
	return Intersect(all, all)
}

// Intersect returns the elements of a that b has too, in the order of a, each once.
func Intersect(a, b []string) []string {
	kept := make([]string, 0, len(a))
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
