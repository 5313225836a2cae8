package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/mail"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Registration is a new account. Email and FullName may be empty.
type Registration struct {
	Username string
	Email    string
	FullName string
	Password secret.Text
	// What only an administrator decides.
	EmailVerified bool
	Scopes        []string
	By            *Caller // who registers somebody else; nil for the person, and at the command line
	confirm       bool    // whether the address is mailed a code that confirms it
	stranger      bool    // whether names of authority and of deleted accounts are refused, and nobody vouches for the address
}

// Register creates an account for anyone while registration is open, else only for a caller with
// the scope of administrators; caller is nil for a stranger. Errors: RegistrationClosed, TooManyRequests after too many
// registrations from the caller's network, UsernameTaken, ValidationFailed, Unavailable.
func (s *Service) Register(ctx context.Context, caller *Caller, r Registration) (store.User, error) {
	if caller == nil || !caller.HasScope(s.Scopes.Admin) {
		if s.RegistrationClosed {
			e := problem.New(problem.RegistrationClosed, "Registration is closed. Ask an administrator for an account.")
			e.Scope = s.Scopes.Admin
			return store.User{}, e
		}
		if err := s.hasher.Busy(networkOf(ctx)); err != nil {
			return store.User{}, err
		}
		if err := s.countRegistration(ctx); err != nil {
			return store.User{}, err
		}
	}
	// Only the command line grants scopes and vouches for addresses yet.
	r.Scopes, r.EmailVerified, r.By, r.confirm = nil, false, caller, true
	r.stranger = caller == nil || !caller.HasScope(s.Scopes.Admin)
	return s.CreateUser(ctx, r)
}

// CreateUser creates an account as an administrator wants it. Errors: UsernameTaken,
// ValidationFailed, Unavailable.
func (s *Service) CreateUser(ctx context.Context, r Registration) (store.User, error) {
	user, err := s.checkRegistration(r)
	if err != nil {
		return store.User{}, err
	}
	hash, err := s.hasher.Hash(ctx, networkOf(ctx), r.Password.Reveal())
	if err != nil {
		return store.User{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.User{}, fmt.Errorf("make a user id: %w", err)
	}
	now := s.now()
	user.ID, user.PasswordHash, user.CreatedAt, user.UpdatedAt = id.String(), secret.New(hash), now, now
	if r.stranger && r.Email != "" {
		user.EmailClaimedAt = now
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error { return s.insertUser(ctx, q, r, user) })
	if errors.Is(err, store.ErrConflict) {
		// No stranger gets this far with an address: only an administrator vouches for one.
		if _, err := s.db.UserByUsername(ctx, user.UsernameKey); user.EmailVerified && errors.Is(err, store.ErrNotFound) {
			return store.User{}, errInvalidRegistration().At("/email", "is verified by another account")
		}
		return store.User{}, problem.New(problem.UsernameTaken, "This username is taken.").At("/username", "is taken")
	}
	return user, err
}

func errInvalidRegistration() *problem.Error {
	return problem.New(problem.ValidationFailed, "The request does not fit the contract.")
}

// checkRegistration checks what the contract's shapes do not, and gives the account as it will be, without an id and
// a password.
func (s *Service) checkRegistration(r Registration) (user store.User, err error) {
	invalid := errInvalidRegistration()
	username, key, err := newUsername(r.Username)
	switch {
	case err != nil:
		invalid.At("/username", err.Error())
	case r.stranger && (names.Reserved(username) || names.Reserved(key)): // a capital looks like other letters
		invalid.At("/username", "is reserved, or looks like a name that is; an administrator may give it")
	}
	if err = names.CheckFullName(r.FullName); err != nil {
		invalid.At("/full_name", err.Error())
	}
	reason, err := s.hasher.Check(r.Password.Reveal(), r.Username, r.Email)
	if err != nil {
		return user, err
	}
	if reason != "" {
		invalid.At("/password", reason)
	}
	address, err := emailKey(r.Email)
	if err != nil {
		return user, err
	}
	granted, err := s.grantable(r.Scopes)
	if p, ok := errors.AsType[*problem.Error](err); ok {
		invalid.Fields = append(invalid.Fields, p.Fields...)
	}
	if len(invalid.Fields) > 0 {
		return user, invalid
	}
	return store.User{
		Username: username, UsernameKey: key, Email: r.Email, EmailKey: address, EmailVerified: r.EmailVerified && r.Email != "",
		FullName: r.FullName, Scopes: strings.Join(granted, " "),
	}, nil
}

// insertUser creates the account, mails the code that confirms its address, and records it. Errors: store.ErrConflict.
func (s *Service) insertUser(ctx context.Context, q *store.Queries, r Registration, user store.User) error {
	if err := q.CreateUser(ctx, user); err != nil {
		return err
	}
	// After the insert, which waits for a deletion of that name that is under way.
	reserved, err := q.UsernameReserved(ctx, user.UsernameKey, user.CreatedAt)
	if err != nil {
		return err
	}
	if reserved && r.stranger {
		return store.ErrConflict
	}
	if r.confirm && user.Email != "" {
		if err := s.mailConfirmation(ctx, q, r.By, user, user.Email); err != nil {
			return err
		}
	}
	return s.record(ctx, q, EventAccountCreated, user, r.By)
}

// now is the time as the database keeps it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// UpdateProfile sets the caller's full name; "" clears it. Errors: ValidationFailed.
func (s *Service) UpdateProfile(ctx context.Context, caller *Caller, fullName string) (store.User, error) {
	user, err := s.updateUser(ctx, caller, caller.User.ID, UserChange{FullName: &fullName})
	return user, gone(err)
}

// ChangePassword replaces the caller's password and ends every other session. Errors:
// WrongPassword, ValidationFailed, TooManyRequests after too many wrong ones, Unavailable.
func (s *Service) ChangePassword(ctx context.Context, caller *Caller, current, next secret.Text) error {
	reason, err := s.hasher.Check(next.Reveal(), caller.User.Username, caller.User.Email)
	if err != nil {
		return err
	}
	if reason != "" {
		return problem.New(problem.ValidationFailed, "The new password is not acceptable.").At("/new_password", reason)
	}
	user, lane, err := s.checkPassword(ctx, caller, current, "/current_password")
	if err != nil {
		return err
	}
	// The password is correct: a client that hangs up now would hide the guess.
	ctx, done := finishing(ctx)
	defer done()
	if err = s.changePassword(ctx, caller, user, next, lane); err != nil {
		s.accepted(ctx, eventBy(caller))
	}
	return err
}

// changePassword replaces a password that was verified.
func (s *Service) changePassword(ctx context.Context, caller *Caller, verified store.User, next secret.Text, lane string) error {
	hash, err := s.hasher.Hash(ctx, networkOf(ctx), next.Reveal())
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		// Of two changes at once, one is told that its password is no longer current.
		user, err := q.LockForLogin(ctx, verified.ID, verified.PasswordHash.Reveal())
		if err != nil {
			return err
		}
		if err := q.SetPasswordHash(ctx, user.ID, hash, s.now()); err != nil {
			return err
		}
		if err := q.ClearThrottle(ctx, lane, s.Now()); err != nil {
			return err
		}
		if err := q.EndSessionsOf(ctx, user.ID, caller.SessionID); err != nil {
			return err
		}
		if err := s.endCodes(ctx, q, user); err != nil {
			return err
		}
		if err := s.notify(ctx, q, mail.PasswordChanged, user, ""); err != nil {
			return err
		}
		return s.record(ctx, q, EventPasswordChanged, user, caller)
	})
	if errors.Is(err, store.ErrNotFound) {
		return errWrongPassword("/current_password")
	}
	return err
}

func errWrongPassword(pointer string) error {
	return problem.New(problem.WrongPassword, "The current password is wrong.").At(pointer, "is not the current password")
}

// checkPassword makes the caller prove again who they are. It gives the account with the hash that was verified, and
// where failures are counted: apart from logins, so that a stolen access token locks nobody out. pointer says
// where in the request the password stands.
func (s *Service) checkPassword(ctx context.Context, caller *Caller, given secret.Text, pointer string) (user store.User, lane string, err error) {
	if user, err = s.db.UserByID(ctx, caller.User.ID); err != nil {
		return user, "", gone(err)
	}
	lane = s.changeLane(user.ID)
	if err = s.lookAt(ctx, lane); err != nil {
		return user, lane, err
	}
	ok, _, err := s.hasher.Verify(ctx, networkOf(ctx), user.PasswordHash.Reveal(), given.Reveal())
	if err == nil && !ok {
		err = s.failLane(ctx, eventBy(caller), lane, errWrongPassword(pointer))
	}
	if err != nil {
		return user, lane, err
	}
	ctx, done := finishing(ctx)
	defer done()
	if err = s.lookAt(ctx, lane); err != nil { // others have failed meanwhile
		s.accepted(ctx, eventBy(caller))
	}
	return user, lane, err
}

// Sessions lists the caller's sessions, the most recently used first.
func (s *Service) Sessions(ctx context.Context, caller *Caller) ([]store.Session, error) {
	return s.db.ListSessions(ctx, caller.User.ID, s.Now(), maxSessions)
}

// EndSession ends one of the caller's sessions. Errors: NotFound.
func (s *Service) EndSession(ctx context.Context, caller *Caller, id string) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.EndSessionOf(ctx, caller.User.ID, id); err != nil {
			return err
		}
		by := *caller
		by.SessionID = id
		return s.record(ctx, q, EventLogout, caller.User, &by)
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no such session.")
	}
	return err
}

// EndSessions ends all the caller's sessions, the current one included.
func (s *Service) EndSessions(ctx context.Context, caller *Caller) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.EndSessionsOf(ctx, caller.User.ID, ""); err != nil {
			return err
		}
		return s.record(ctx, q, EventLogoutEverywhere, caller.User, caller)
	})
}

// gone is for an account that is deleted between the check of the token and the work itself.
func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errInvalidToken(errors.New("the account is gone"))
	}
	return err
}
