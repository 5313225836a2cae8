package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailbox"
	"sesame/server/internal/names"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Registration is a new account. Email and FullName may be empty.
type Registration struct {
	Username string // Register makes one if it is empty and Email is not
	Email    string
	FullName string
	Password secret.Text
	// The rest is for administrators.
	EmailVerified bool
	Disabled      bool
	Scopes        []string
	By            *identity.Caller // the administrator; nil for the person, and at the command line
	confirm       bool             // whether to mail a code that confirms the address
	first         bool             // only if there is no administrator
	public        bool             // anybody may register: reserved names are refused, and the address is a claim
	invited       bool             // no password: the owner is mailed an invitation
}

// checkPublic refuses what only administrators decide. Errors: ValidationFailed.
func (r Registration) checkPublic() error {
	invalid := problem.Invalid()
	for field, given := range map[string]bool{"/scopes": len(r.Scopes) > 0, "/disabled": r.Disabled, "/email_verified": r.EmailVerified} {
		if given {
			invalid.At(field, "is for administrators")
		}
	}
	if len(invalid.Fields) > 0 {
		return invalid
	}
	return nil
}

// Register creates an account for anybody while registration is open, and otherwise only for administrators. caller may
// be nil. Errors: RegistrationClosed, TooManyRequests after too many registrations from the network, UsernameTaken,
// ValidationFailed, Unavailable.
func (s *Service) Register(ctx context.Context, caller *identity.Caller, r Registration) (store.User, error) {
	r.public = !s.identity.IsAdministrator(caller)
	if r.public {
		if err := r.checkPublic(); err != nil {
			return store.User{}, err
		}
		if s.RegistrationClosed {
			return store.User{}, s.errClosed()
		}
		if err := s.hasher.Busy(network.FromContext(ctx)); err != nil {
			return store.User{}, err
		}
		if err := s.countRegistration(ctx); err != nil {
			return store.User{}, err
		}
	}
	r.By, r.confirm = caller, !r.EmailVerified && !r.Disabled
	if r.Username == "" && r.Email != "" {
		return s.createUnnamed(ctx, r)
	}
	return s.CreateUser(ctx, r)
}

// errClosed is the error for a registration while registration is closed.
func (s *Service) errClosed() error {
	e := problem.New(problem.RegistrationClosed, "Registration is closed. Ask an administrator for an account.")
	e.Scope = s.identity.AdminScope
	return e
}

// CreateUser creates an account for an administrator. Errors: UsernameTaken, ValidationFailed, Unavailable.
func (s *Service) CreateUser(ctx context.Context, r Registration) (store.User, error) {
	user, err := s.checkRegistration(r)
	if err != nil {
		return store.User{}, err
	}
	hash := ""
	if !r.invited {
		if hash, err = s.hasher.Hash(ctx, network.FromContext(ctx), r.Password.Reveal()); err != nil {
			return store.User{}, err
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.User{}, fmt.Errorf("make a user id: %w", err)
	}
	now := s.now()
	user.ID, user.PasswordHash, user.CreatedAt, user.UpdatedAt = id.String(), secret.New(hash), now, now
	if r.public && r.Email != "" {
		user.EmailClaimedAt = now
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error { return s.insertUser(ctx, q, r, user) })
	if errors.Is(err, store.ErrConflict) {
		// Only an administrator can vouch for an address, so a public registration never gets the first answer.
		if _, err := s.db.UserByUsername(ctx, user.UsernameKey); user.EmailVerified && errors.Is(err, store.ErrNotFound) {
			return store.User{}, problem.Invalid().At("/email", "is verified by another account")
		}
		return store.User{}, problem.New(problem.UsernameTaken, "This username is taken.").At("/username", "is taken")
	}
	return user, err
}

// checkRegistration checks the rules that the schemas of the contract cannot express. It returns the account without an
// id and a password.
func (s *Service) checkRegistration(r Registration) (user store.User, err error) {
	invalid := problem.Invalid()
	username, key, err := names.NewUsername(r.Username)
	switch {
	case err != nil:
		invalid.At("/username", err.Error())
	case r.public && (names.Reserved(username) || names.Reserved(key)): // a capital looks like other letters
		invalid.At("/username", "is reserved, or looks like a reserved name; an administrator can assign it")
	}
	if err = names.CheckFullName(r.FullName); err != nil {
		invalid.At("/full_name", err.Error())
	}
	if !r.invited {
		reason, err := s.hasher.Check(r.Password.Reveal(), r.Username, r.Email)
		if err != nil {
			return user, err
		}
		if reason != "" {
			invalid.At("/password", reason)
		}
	}
	if r.public && r.Email == "" && s.identity.ConfirmedOnly {
		invalid.At("/email", "is required here: an account logs in when its address is confirmed")
	}
	address, err := emailKey(r.Email)
	if err != nil {
		return user, err
	}
	granted, err := s.grantable(r.By, r.Scopes)
	if p, ok := errors.AsType[*problem.Error](err); ok {
		invalid.Fields = append(invalid.Fields, p.Fields...)
	}
	if len(invalid.Fields) > 0 {
		return user, invalid
	}
	return store.User{
		Username: username, UsernameKey: key, Email: r.Email, EmailKey: address, EmailVerified: r.EmailVerified && r.Email != "",
		FullName: r.FullName, Scopes: strings.Join(granted, " "), Disabled: r.Disabled,
	}, nil
}

// emailKey returns the form in which an address is compared; "" for "". The contract checks addresses too, but not those
// of the command line. Errors: ValidationFailed.
func emailKey(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	key, err := mailbox.Key(address)
	if err != nil {
		return "", problem.Invalid().At("/email", "must be an e-mail address")
	}
	return key, nil
}

// insertUser stores the account, mails the code that confirms its address or invites its owner, and records the event. From the
// accounts that only claim an address that is confirmed from now on, it takes the address. Errors: store.ErrConflict; InsufficientScope.
func (s *Service) insertUser(ctx context.Context, q *store.Queries, r Registration, user store.User) error {
	if user.EmailVerified {
		if err := q.LockAddresses(ctx, user.EmailKey); err != nil {
			return err
		}
	}
	if err := q.CreateUser(ctx, user); err != nil {
		return err
	}
	if user.EmailVerified {
		if err := s.revokeClaims(ctx, q, user.EmailKey, r.By); err != nil {
			return err
		}
	}
	// After the insert, which waits for a deletion of that name that is in progress.
	reserved, err := q.UsernameReserved(ctx, user.UsernameKey, user.CreatedAt)
	if err != nil {
		return err
	}
	if reserved && r.public {
		return store.ErrConflict
	}
	if r.confirm && user.Email != "" {
		if err := s.mailConfirmation(ctx, q, r.By, user, user.Email); err != nil {
			return err
		}
	}
	if err = s.record(ctx, q, audit.AccountCreated, user, r.By); err != nil {
		return err
	}
	switch {
	case r.first:
		return s.mustBeFirst(ctx, q, user)
	case r.invited:
		return s.mailInvitation(ctx, q, user, r.By)
	}
	return nil
}

// record records an event about a user's account. by may be nil; see audit.Event.
func (s *Service) record(ctx context.Context, q *store.Queries, kind audit.Kind, user store.User, by *identity.Caller) error {
	return audit.Record(ctx, q, kind, audit.Event(ctx, user, by.Actor()), s.now())
}

// registrationWindow begins with the first registration attempt of a network. SESAME_REGISTRATION_LIMIT applies to it.
const registrationWindow = time.Hour

// countRegistration counts a registration attempt. It counts every attempt, before the password is hashed, since one that
// finds the username taken reveals as much and costs as much as one that succeeds. Errors: TooManyRequests.
func (s *Service) countRegistration(ctx context.Context) error {
	if s.RegistrationLimit == 0 {
		return nil
	}
	counters := s.identity.NetworkCounters(identity.RegistrationTries, network.FromContext(ctx), s.RegistrationLimit)
	wait, err := s.identity.CountUse(ctx, counters, registrationWindow)
	if err == nil && wait > 0 {
		err = s.throttled(wait)
	}
	return err
}

func (s *Service) throttled(wait time.Duration) error {
	s.identity.Count.Throttled(identity.ThrottledSignUp)
	e := problem.New(problem.TooManyRequests, "There were too many registrations from this network. Wait before the next attempt.")
	e.RetryAfter = wait
	return e
}
