package identity

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sesame/server/internal/mailbox"
	"sesame/server/internal/names"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Login is an attempt to start a session with a password.
type Login struct {
	Username string // or a confirmed e-mail address
	Password secret.Text
	Code     secret.Text // of the second factor; the zero Text for none
	Wanted
}

// Wanted is the session that a person wants.
type Wanted struct {
	ClientID string        // the client that the person logs in through
	Scopes   []string      // requested; none means the default scopes
	Allowed  []string      // the scopes that the client may receive
	TTL      time.Duration // of the session, as the client wants it; 0 for that of the server
	Resource string        // the audience of the session's tokens; "" for that of the server
}

// errWrongCredentials is the one answer for an unknown user, a wrong password, a disabled account and an account without
// a password.
func errWrongCredentials() error {
	return problem.New(problem.InvalidGrant, "The username or the password is wrong.")
}

// ErrUnconfirmed is the cause of the error for an account whose address is not confirmed, where only confirmed ones log in.
var ErrUnconfirmed = errors.New("the e-mail address is not confirmed")

// unconfirmed returns that error. Only the correct password gets it. An account without an address is not confirmed either: else a
// registration without one would get around the setting.
func unconfirmed(user store.User) error {
	if user.Email == "" {
		return problem.Wrap(problem.InvalidGrant, "This account has no e-mail address that could be confirmed. Ask the operator of this server for help.", ErrUnconfirmed)
	}
	return problem.Wrap(problem.InvalidGrant, "The e-mail address of this account is not confirmed yet. Open the link in the mail that was sent to it, and try again.", ErrUnconfirmed)
}

// Login verifies a password and starts a session. The refresh token is the first one of the session. Errors:
// InvalidGrant, InvalidScope, TooManyRequests after too many failures, Unavailable when too many passwords are waiting
// to be hashed, and an Incomplete for an account whose second factor is missing.
func (s *Service) Login(ctx context.Context, login Login) (session store.Session, refresh token.Refresh, err error) {
	session, refresh, err = s.login(ctx, login)
	s.Count.Login(outcomeOf(err))
	return session, refresh, err
}

func (s *Service) login(ctx context.Context, login Login) (session store.Session, refresh token.Refresh, err error) {
	if err = s.hasher.Busy(network.FromContext(ctx)); err != nil {
		return session, refresh, err
	}
	name := loginKey(login.Username)
	user, dummy, err := s.userAndDummy(ctx, name)
	if err != nil {
		return session, refresh, err
	}
	a, err := s.newAttempt(ctx, name, user, login.ClientID)
	if err != nil {
		return session, refresh, err
	}
	ok, outdated, err := s.verify(ctx, user, dummy, login.Password)
	if err != nil {
		return session, refresh, err
	}
	if !ok {
		return session, refresh, s.countLoginFailure(ctx, a, errWrongCredentials())
	}
	// The password is correct: a disconnect must not stop the rest, or it would hide the guess.
	ctx, done := IgnoreDisconnect(ctx)
	defer done()
	session, refresh, err = s.admit(ctx, user, login, outdated, a)
	if err != nil {
		s.RecordCorrectPassword(ctx, a.event())
	}
	return session, refresh, err
}

// admit starts a session after a correct password, unless the account is disabled, or throttled: other attempts may have
// failed while this one was waiting for its hash. The answer must then not reveal that the password was correct.
func (s *Service) admit(ctx context.Context, user store.User, login Login, outdated bool, a *attempt) (session store.Session, refresh token.Refresh, err error) {
	if user.Disabled {
		return session, refresh, s.countLoginFailure(ctx, a, errWrongCredentials())
	}
	if outdated {
		if err = s.checkAttempt(ctx, a); err != nil { // before the hash, whose time would reveal it too
			return session, refresh, err
		}
		if user.PasswordHash, err = s.rehash(ctx, user, login.Password); err != nil {
			return session, refresh, err
		}
	}
	who := Authentication{Methods: []string{ByPassword}, user: user, attempt: a}
	if user.Factors != "" && !login.Code.Empty() {
		if err = s.addCode(ctx, &who, login.Code); err != nil {
			return session, refresh, err
		}
	}
	return s.startConfirmed(ctx, who, login.Wanted)
}

// loginKey is the form in which the name of a login is looked up and counted, whether or not there is such an account. A
// text that is neither an address nor a username is its own key. Only an address that an older version accepted is found
// by it. Keyboards of phones add spaces, which no name has.
func loginKey(login string) string {
	login = strings.TrimSpace(login)
	if isAddress(login) {
		if key, err := mailbox.Key(login); err == nil {
			return key
		}
		return login
	}
	if _, key, err := names.FoldUsername(login); err == nil {
		return key
	}
	return login
}

// isAddress distinguishes an address from a username, which contains no @.
func isAddress(login string) bool { return strings.Contains(login, "@") }

// isStorable reports whether a database can hold a text. PostgreSQL would refuse a query with any other.
func isStorable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// UserByLogin finds an account by its username or its confirmed address. Errors: store.ErrNotFound.
func (s *Service) UserByLogin(ctx context.Context, login string) (store.User, error) {
	name := loginKey(login)
	if !isStorable(name) {
		return store.User{}, store.ErrNotFound
	}
	if isAddress(name) {
		return s.db.UserByEmail(ctx, name)
	}
	return s.db.UserByUsername(ctx, name)
}

// rehash replaces a stored hash of an older scheme while the password is known, and returns the hash that is stored
// afterwards. It replaces only the hash that was verified, so that a password that changes meanwhile stays.
func (s *Service) rehash(ctx context.Context, user store.User, plain secret.Text) (secret.Text, error) {
	hash, err := s.hasher.HashSoon(ctx, network.FromContext(ctx), plain.Reveal())
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.Unavailable {
		return user.PasswordHash, nil // the cores are busy; another login will replace it
	}
	if err != nil {
		return secret.Text{}, err
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		return q.ReplacePasswordHash(ctx, user.ID, user.PasswordHash.Reveal(), hash, s.Now())
	})
	if errors.Is(err, store.ErrNotFound) {
		// The hash has changed: perhaps by another login of the same person, with the same password.
		now, err := s.db.UserByID(ctx, user.ID)
		if store.IgnoreNotFound(err) != nil {
			return secret.Text{}, err
		}
		ok, _, err := s.hasher.Verify(ctx, network.FromContext(ctx), now.PasswordHash.Reveal(), plain.Reveal())
		if err == nil && !ok {
			err = errWrongCredentials()
		}
		return now.PasswordHash, err
	}
	return secret.New(hash), err
}

// grant returns the part of the requested scopes that the user has and the client may receive (RFC 6749 §3.3).
func (s *Service) grant(wanted Wanted, user store.User) ([]string, error) {
	if s.ConfirmedOnly && !user.EmailVerified {
		return nil, unconfirmed(user)
	}
	if wanted.ClientID == store.BrowserClient { // no token is issued for it
		return nil, nil
	}
	if len(wanted.Scopes) == 0 {
		return slices.Clone(s.Scopes.Default), nil
	}
	granted := Intersect(Intersect(wanted.Scopes, s.Scopes.OfUser(user)), wanted.Allowed)
	if len(granted) == 0 {
		return nil, problem.New(problem.InvalidScope, "The account has none of the requested scopes, or the client may not have them.")
	}
	return granted, nil
}
