// Package audit records what happens to accounts, clients and keys, and lists it.
//
// An operation records its event in its own transaction, so neither exists without the other:
//
//	err := db.Tx(ctx, func(q *store.Queries) error {
//		if err := q.EndSession(ctx, id); err != nil {
//			return err
//		}
//		return audit.Record(ctx, q, audit.Logout, audit.Event(ctx, user, caller.Actor()), now)
//	})
//
// Log lists events a page at a time (list.go), and exports them (export.go). Package cleanup deletes the old ones.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/network"
	"sesame/server/internal/store"
)

// Kind is what happened. openapi.yaml lists the same kinds, as EventKind.
type Kind string

// The kinds of events. A new kind is one line here, one in Kinds and one in openapi.yaml.
const (
	Login            Kind = "login"
	LoginFailed      Kind = "login_failed"      // only the failures that the throttle counts
	LoginThrottled   Kind = "login_throttled"   // one for each wait, however many attempts it refuses
	PasswordAccepted Kind = "password_accepted" // the password was correct and no other event followed; repeats are folded
	Logout           Kind = "logout"
	LogoutEverywhere Kind = "logout_everywhere"
	RefreshReused    Kind = "refresh_reused"
	CodeReused       Kind = "code_reused"     // of an authorization code
	ConsentGranted   Kind = "consent_granted" // for scopes that the application did not have
	ConsentWithdrawn Kind = "consent_withdrawn"
	WrongPassword    Kind = "wrong_password" // given within a session; only the failures that the throttle counts
	PasswordChanged  Kind = "password_changed"
	AccountCreated   Kind = "account_created"
	AccountDeleted   Kind = "account_deleted"
	AccountDisabled  Kind = "account_disabled"
	AccountEnabled   Kind = "account_enabled"
	AccountUnlocked  Kind = "account_unlocked" // an operator has ended its waiting periods
	ScopesChanged    Kind = "scopes_changed"
	ProfileChanged   Kind = "profile_changed" // the name or the address, by another person
	EmailConfirmed   Kind = "email_confirmed"
	EmailChanged     Kind = "email_changed" // by its owner, who has confirmed the new address
	EmailLost        Kind = "email_lost"    // another account has confirmed the address, or the claim has expired
	Invited          Kind = "account_invited"
	Accepted         Kind = "invitation_accepted"    // the person has chosen a password
	ResetStarted     Kind = "password_reset_started" // by an administrator
	PasswordReset    Kind = "password_reset"
	WrongCode        Kind = "wrong_code" // of a second factor, after the correct password
	FactorAdded      Kind = "factor_added"
	FactorRemoved    Kind = "factor_removed"
	RecoveryCodeUsed Kind = "recovery_code_used"
	CodesReplaced    Kind = "recovery_codes_replaced"
	ResetRequested   Kind = "factors_reset_requested" // of the second factors
	ResetCancelled   Kind = "factors_reset_cancelled" // by a sign-in with one
	FactorsReset     Kind = "factors_reset"
	PasskeyCopied    Kind = "passkey_copied" // its signature counter has gone back
	ClientCreated    Kind = "client_created"
	ClientChanged    Kind = "client_changed"
	ClientDeleted    Kind = "client_deleted"
	IdentityLinked   Kind = "identity_linked" // an identity at a provider can sign in to the account from now on
	IdentityUnlinked Kind = "identity_unlinked"
	ProviderCreated  Kind = "provider_created"
	ProviderChanged  Kind = "provider_changed"
	ProviderDeleted  Kind = "provider_deleted"
	KeyRotated       Kind = "key_rotated"
	KeyPublished     Kind = "key_published" // somebody has asked for a new key, which will sign later
	MailDeleted      Kind = "mail_deleted"  // before it was sent
	TokenCreated     Kind = "token_created" // a personal access token
	TokenRevoked     Kind = "token_revoked"
	WebhookCreated   Kind = "webhook_created"
	WebhookChanged   Kind = "webhook_changed" // its settings or its secret
	WebhookDeleted   Kind = "webhook_deleted"
	WebhookDisabled  Kind = "webhook_disabled" // by the server: its receiver has failed for days, or wants no more events
	WebhookTested    Kind = "webhook_tested"
)

// Kinds are all kinds.
var Kinds = []Kind{
	Login, LoginFailed, LoginThrottled, PasswordAccepted, Logout, LogoutEverywhere, RefreshReused, CodeReused, ConsentGranted, ConsentWithdrawn,
	WrongPassword, PasswordChanged, AccountCreated, AccountDeleted, AccountDisabled, AccountEnabled, AccountUnlocked, ScopesChanged, ProfileChanged, EmailConfirmed, EmailChanged, EmailLost,
	Invited, Accepted, ResetStarted, PasswordReset, IdentityLinked, IdentityUnlinked,
	WrongCode, FactorAdded, FactorRemoved, RecoveryCodeUsed, CodesReplaced, ResetRequested, ResetCancelled, FactorsReset, PasskeyCopied,
	ClientCreated, ClientChanged, ClientDeleted, ProviderCreated, ProviderChanged, ProviderDeleted, KeyRotated, KeyPublished, MailDeleted,
	TokenCreated, TokenRevoked,
	WebhookCreated, WebhookChanged, WebhookDeleted, WebhookDisabled, WebhookTested,
}

// The values of Event.Actor for changes that neither a user nor an authenticated client makes.
const (
	CommandLine = "command line"
	Schedule    = "schedule"
	// SelfRegistration is for clients that have registered themselves, or whose metadata document a person has agreed to.
	SelfRegistration = "self-registration"
)

// Actor is the user or the client that causes an event.
type Actor struct {
	ID, ClientID, SessionID string
	TokenID                 string // of the personal access token that the user acts with
}

// Event returns an event about a user's account. by is the actor; nil means the command line or, in a request that
// carries no token, such as a registration, the user.
func Event(ctx context.Context, user store.User, by *Actor) store.Event {
	e := store.Event{UserID: user.ID, Username: user.Username}
	_, isRequest := network.RequestOf(ctx)
	switch {
	case by != nil:
		e.Actor, e.ClientID, e.SessionID, e.TokenID = by.ID, by.ClientID, by.SessionID, by.TokenID
	case isRequest:
		e.Actor = user.ID
	default:
		e.Actor = CommandLine
	}
	return e
}

// Record stores an event, with the sender of the request of ctx.
func Record(ctx context.Context, q *store.Queries, kind Kind, e store.Event, at time.Time) error {
	e, err := New(ctx, kind, e, at)
	if err != nil {
		return err
	}
	return q.RecordEvent(ctx, e)
}

// New completes an event that is to be stored: its id, its time and kind, and the sender of the request of ctx.
func New(ctx context.Context, kind Kind, e store.Event, at time.Time) (store.Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return e, fmt.Errorf("make an event id: %w", err)
	}
	from, _ := network.RequestOf(ctx)
	e.ID, e.At, e.Kind, e.IPAddress, e.UserAgent = id.String(), at, string(kind), from.IPAddress, from.UserAgent
	return e, nil
}
