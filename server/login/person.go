package login

import (
	"context"
	"time"

	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
)

// User is a person who calls an operation.
type User struct {
	ID            string // a UUID, which never changes and is never given to another account
	Username      string
	Email         string // "" if none is given
	EmailVerified bool
	FullName      string
	SessionID     string
	ClientID      string // the client that the person logged in through; "first-party" for none
	// TokenID is the id of the personal access token with which a script of the person calls; "" for a person who has signed in. With
	// it, SessionID, ClientID and ACR are empty.
	TokenID string
	// ACR is the level of the sign-in: "1" for one factor, "2" for two. AMR says how the person has signed in (RFC 8176), such as
	// pwd, otp and mfa, and SignedInAt when. An operation demands a level or an age with x-requires-acr and x-requires-max-age.
	ACR        string
	AMR        []string
	SignedInAt time.Time
	caller     *identity.Caller
}

// HasScope reports whether the access token of the request carries a scope.
func (u User) HasScope(scope string) bool { return u.caller != nil && u.caller.HasScope(scope) }

// Person is the person who calls the operation that ctx belongs to. There is none where a service client calls, even
// if it has the scope, and where the operation lets anyone in who has no token.
func Person(ctx context.Context) (User, bool) {
	caller := contract.CallerFrom[*identity.Caller](ctx)
	if caller == nil || caller.User.ID == "" {
		return User{}, false
	}
	u := caller.User
	acr, signedInAt, _ := caller.SignIn()
	return User{
		ID: u.ID, Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, FullName: u.FullName,
		SessionID: caller.SessionID, ClientID: caller.ClientID, TokenID: caller.TokenID, caller: caller,
		ACR: acr, AMR: caller.Methods, SignedInAt: signedInAt,
	}, true
}

// Client is the client_id of the service client that calls for itself the operation that ctx belongs to: with an access
// token, or with its id and secret (ClientBasic).
func Client(ctx context.Context) (id string, ok bool) {
	if client := contract.CallerFrom[oauth.Client](ctx); client.ID != "" {
		return client.ID, true
	}
	caller := contract.CallerFrom[*identity.Caller](ctx)
	if caller == nil || caller.User.ID != "" {
		return "", false
	}
	return caller.ClientID, true
}
