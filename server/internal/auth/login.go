package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// maxSessions is how many sessions a user may have at a time. A further login ends the one that was
// not used for the longest time.
const maxSessions = 100

// Login is a resource owner password credentials grant (RFC 6749 §4.3.2).
type Login struct {
	Username string // or a verified e-mail address
	Password secret.Text
	Scope    string // space-separated; "" for the scopes of one's own account
	Client   Client // that the person logs in through
}

// Tokens answer a grant (RFC 6749 §5.1).
type Tokens struct {
	AccessToken  secret.Text
	RefreshToken secret.Text // empty for a client's own token (RFC 6749 §4.4.3)
	Scope        string
	ExpiresIn    int32 // seconds
}

// errWrongCredentials is one answer for an unknown user, a wrong password, a disabled account and
// an account without a password.
func errWrongCredentials() error {
	return problem.New(problem.InvalidGrant, "The username or the password is wrong.")
}

// Login starts a session, which belongs to its client. Errors: InvalidGrant, InvalidScope,
// UnauthorizedClient, TooManyRequests after too many failures, Unavailable when too many passwords are
// waiting to be hashed.
func (s *Service) Login(ctx context.Context, login Login) (Tokens, error) {
	if login.Client.ID != "" && !login.Client.PasswordGrant {
		return Tokens{}, problem.New(problem.UnauthorizedClient, "This client may not use the password grant.")
	}
	if err := s.hasher.Busy(networkOf(ctx)); err != nil {
		return Tokens{}, err
	}
	name := loginKey(login.Username)
	user, err := s.findForLogin(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Tokens{}, err
	}
	try, err := s.begin(ctx, name, user, login.Client)
	if err != nil {
		return Tokens{}, err
	}
	ok, outdated, err := s.verify(ctx, name, user, login.Password)
	if err != nil {
		return Tokens{}, err
	}
	if !ok {
		return Tokens{}, s.fail(ctx, try, errWrongCredentials())
	}
	// The password is correct: from here on a client that hangs up stops nothing, or that would hide the guess.
	ctx, done := finishing(ctx)
	defer done()
	tokens, err := s.admit(ctx, user, login, outdated, try)
	if err != nil {
		s.accepted(ctx, try.event())
	}
	return tokens, err
}

// admit starts a session for somebody whose password is correct, unless something else is in the way.
func (s *Service) admit(ctx context.Context, user store.User, login Login, outdated bool, try *attempt) (tokens Tokens, err error) {
	if user.Disabled {
		return tokens, s.fail(ctx, try, errWrongCredentials())
	}
	// Others may have failed while this one was waiting for its hash. Then the answer must not tell that the
	// password was correct.
	if err = s.look(ctx, try); err != nil {
		return tokens, err
	}
	if outdated {
		if user.PasswordHash, err = s.rehash(ctx, user, login.Password); err != nil {
			return tokens, err
		}
	}
	return s.startSession(ctx, user, login, try)
}

func (s *Service) findForLogin(ctx context.Context, name string) (store.User, error) {
	if isEmail(name) {
		return s.db.UserByEmail(ctx, name)
	}
	return s.db.UserByUsername(ctx, name)
}

// grant gives the part of the requested scopes that the user has, and the client passes on (RFC 6749
// §3.3).
func (s *Service) grant(requested string, user store.User, client Client) ([]string, error) {
	asked := strings.Fields(requested)
	if len(asked) == 0 {
		return slices.Clone(s.Scopes.Default), nil
	}
	granted := s.passesOn(client, intersect(asked, intersect(s.UserScopes(user), s.Scopes.Declared)))
	if len(granted) == 0 {
		return nil, problem.New(problem.InvalidScope, "The account has none of the requested scopes, or the client may not have them.")
	}
	return granted, nil
}

// rehash replaces a stored hash of an older scheme now that the password is known, and gives the one that is
// stored then. It is swapped in only if it is still the one that was verified: a password changed meanwhile wins.
func (s *Service) rehash(ctx context.Context, user store.User, plain secret.Text) (secret.Text, error) {
	hash, err := s.hasher.HashSoon(ctx, networkOf(ctx), plain.Reveal())
	if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.Unavailable {
		return user.PasswordHash, nil // others want the cores; another login will replace it
	}
	if err != nil {
		return secret.Text{}, err
	}
	err = s.db.ReplacePasswordHash(ctx, user.ID, user.PasswordHash.Reveal(), hash, s.Now())
	if errors.Is(err, store.ErrNotFound) {
		// Somebody was quicker: perhaps another login of the same person, with the same password.
		now, err := s.db.UserByID(ctx, user.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return secret.Text{}, err
		}
		ok, _, err := s.hasher.Verify(ctx, networkOf(ctx), now.PasswordHash.Reveal(), plain.Reveal())
		if err == nil && !ok {
			err = errWrongCredentials()
		}
		return now.PasswordHash, err
	}
	return secret.New(hash), err
}

// startSession records a session and makes its first pair of tokens. Its scopes are those that the user has at
// that moment: one that was revoked since the user was read would come back with a later grant.
func (s *Service) startSession(ctx context.Context, user store.User, login Login, try *attempt) (Tokens, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Tokens{}, fmt.Errorf("make a session id: %w", err)
	}
	now, refresh := s.Now(), token.NewRefresh(id)
	from, _ := originOf(ctx)
	session := store.Session{
		ID: id.String(), UserID: user.ID, ClientID: login.Client.id(),
		SeedHash: refresh.SeedHash(), IPAddress: from.IPAddress, UserAgent: printable(from.UserAgent, 256),
		CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(min(s.RefreshIdle, s.RefreshTTL)), EndsAt: now.Add(s.RefreshTTL),
	}
	var scopes []string
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		now, err := q.LockForLogin(ctx, user.ID, user.PasswordHash.Reveal())
		if err != nil {
			return err
		}
		if scopes, err = s.grant(login.Scope, now, login.Client); err != nil {
			return err
		}
		session.Scope = strings.Join(scopes, " ")
		if err := q.CreateSession(ctx, session); err != nil {
			return err
		}
		if err := q.TrimSessions(ctx, user.ID, maxSessions); err != nil {
			return err
		}
		if err := s.succeed(ctx, q, try); err != nil {
			return err
		}
		return s.record(ctx, q, EventLogin, user, &Caller{User: user, ClientID: session.ClientID, SessionID: session.ID})
	})
	if errors.Is(err, store.ErrNotFound) { // disabled, deleted or changed since it was read
		return Tokens{}, errWrongCredentials()
	}
	if err != nil {
		return Tokens{}, err
	}
	return s.tokens(session, scopes, refresh)
}

// tokens makes the answer to a person's grant. The refresh token is the session's current one.
func (s *Service) tokens(session store.Session, scopes []string, refresh token.Refresh) (Tokens, error) {
	t, err := s.access(token.Access{
		Subject: session.UserID, SessionID: session.ID, ClientID: session.ClientID, AuthTime: session.CreatedAt,
	}, scopes)
	t.RefreshToken = s.refresher.Text(refresh)
	return t, err
}

// access signs an access token about somebody, from now on.
func (s *Service) access(about token.Access, scopes []string) (Tokens, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return Tokens{}, fmt.Errorf("make a token id: %w", err)
	}
	about.ID, about.IssuedAt, about.Scope = id.String(), s.Now(), strings.Join(scopes, " ")
	about.ExpiresAt = about.IssuedAt.Add(s.AccessTTL)
	text, err := s.issuer.Sign(about)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{AccessToken: secret.New(text), Scope: about.Scope, ExpiresIn: int32(s.AccessTTL.Seconds())}, nil
}

// printable is what is kept of a text that a client sent of itself: what can be seen, in valid UTF-8, and no more than
// so many bytes.
func printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if !names.Printable(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
