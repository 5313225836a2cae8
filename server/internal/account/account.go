// Package account manages user accounts: registration, profile and password, e-mail addresses and their confirmation,
// password resets, import and export, and what administrators change.
//
//	accounts := account.New(db, hasher, id, account.Settings{…})
//	user, err := accounts.Register(ctx, caller, account.Registration{Username: "ann", Password: secret.New("…")})
//	err = accounts.RequestPasswordReset(ctx, "ann@example.com")
//
// The way through it: registration.go creates accounts, profile.go is what people change of their own, administration.go
// what others change. codes.go has what all mailed codes share: rate limits, creation, use. email.go confirms addresses,
// reset.go resets passwords and magiclink.go signs people in with them.
//
// An address is a claim until its owner confirms it, and unique only from then on. So registration reveals nothing about
// other accounts. Where an address belongs to another account, the work and the response are the same, and the mail goes
// elsewhere or is a mailer.Decoy.
//
// Lock order in a transaction: the ownership of addresses (store.LockAddresses), then the row of the user (store.LockUser),
// then rows that belong to the user, then the administration row. What confirms an address locks that address, what changes
// an account locks the account, and only what may take away the last administrator's rights, or makes the first one, locks the administration row.
// Errors that a client may see are *problem.Error; any other error is a fault.
package account

import (
	"sync/atomic"
	"time"

	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// Settings are the operator's choices.
type Settings struct {
	RegistrationClosed bool
	RegistrationLimit  int    // registration attempts of one network in an hour; 0 means no limit
	ConfirmURL         string // of the pages that mailed links open; the code is added as a parameter
	ResetURL           string
	MagicLinkURL       string // "" where people do not sign in with a mailed link
	Cursors            token.Cursors
	Name               string // of the server, which authenticator apps show
}

// Service manages accounts. It is safe for concurrent use.
type Service struct {
	db       *store.DB
	hasher   *password.Hasher
	identity *identity.Service
	outbox   *mailer.Outbox
	keyed    token.KeyedHash
	now      func() time.Time
	Settings

	administrated atomic.Bool // there is an administrator
}

// New makes a Service. It takes the scopes, the clock, the outbox and the keyed hash from id.
func New(db *store.DB, hasher *password.Hasher, id *identity.Service, s Settings) *Service {
	service := &Service{db: db, hasher: hasher, identity: id, outbox: id.Outbox, keyed: id.KeyedHash, now: id.Now, Settings: s}
	id.OnUnconfirmed(service.askToConfirm)
	return service
}
