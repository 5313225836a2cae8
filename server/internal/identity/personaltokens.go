package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/mailer"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

const (
	// maxPersonalTokens limits the personal access tokens of an account.
	maxPersonalTokens = 50
	// MaxTokenDays is the longest life of a personal access token, in days: a year.
	MaxTokenDays = 366
	// maxTokenName is the limit of the contract, in characters.
	maxTokenName = 64
	// useEvery limits how often the use of a token is recorded, so that most requests write nothing.
	useEvery = time.Hour
)

// NewPersonalToken is a personal access token to make.
type NewPersonalToken struct {
	Name   string
	Scopes []string
	Days   int // for which it is valid
}

// PersonalTokens lists the valid personal access tokens of the caller, the latest first.
func (s *Service) PersonalTokens(ctx context.Context, caller *Caller) ([]store.PersonalToken, error) {
	return s.db.PersonalTokensOf(ctx, caller.User.ID, s.Now(), maxPersonalTokens)
}

// PersonalTokensOf is PersonalTokens for another account. Errors: NotFound.
func (s *Service) PersonalTokensOf(ctx context.Context, userID string) ([]store.PersonalToken, error) {
	if _, err := s.db.UserByID(ctx, userID); err != nil {
		return nil, noSuchAccount(err)
	}
	return s.db.PersonalTokensOf(ctx, userID, s.Now(), maxPersonalTokens)
}

// CreatePersonalToken makes a personal access token for the caller, with scopes that the caller's own token has, and mails the owner.
// text is the token, of which only a hash is stored. A token never makes another one: it would outlive its expiry and its revocation.
// Errors: StaleLogin, ValidationFailed, InvalidToken if the session has ended.
func (s *Service) CreatePersonalToken(ctx context.Context, caller *Caller, n NewPersonalToken) (made store.PersonalToken, text secret.Text, err error) {
	if err = s.RequireFreshLogin(caller, caller.User); err != nil { // before it says what is wrong with the rest
		return made, text, err
	}
	made, text, err = s.newPersonalToken(n, caller.Scopes)
	if err != nil {
		return made, text, err
	}
	made.UserID, made.Methods = caller.User.ID, strings.Join(caller.Methods, " ")
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		// The session may have ended since the caller was authenticated, for example by a reset of the password.
		user, _, err := q.LockUserOfSession(ctx, caller.User.ID, caller.SessionID, s.Now())
		if err == nil {
			err = s.RequireFreshLogin(caller, user)
		}
		if err != nil {
			return err
		}
		if kept := Intersect(n.Scopes, s.ScopesOf(user, caller.Methods)); len(kept) < len(strings.Fields(made.Scope)) {
			return errNotYours(n.Scopes, kept)
		}
		return s.storePersonalToken(ctx, q, user, made, caller.Actor())
	})
	return made, text, Deleted(err)
}

// CreatePersonalTokenOf is CreatePersonalToken for the command line: for an account, with scopes that the account has. The operator
// vouches for the second factor that an administrator must have. Errors: NotFound, ValidationFailed.
func (s *Service) CreatePersonalTokenOf(ctx context.Context, userID string, n NewPersonalToken) (made store.PersonalToken, text secret.Text, err error) {
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		if made, text, err = s.newPersonalToken(n, s.Scopes.OfUser(user)); err != nil {
			return err
		}
		made.UserID, made.Methods = user.ID, TwoFactors
		return s.storePersonalToken(ctx, q, user, made, nil)
	})
	return made, text, noSuchAccount(err)
}

// newPersonalToken makes a token, unless something is wrong with what it shall be. Errors: ValidationFailed.
func (s *Service) newPersonalToken(n NewPersonalToken, allowed []string) (made store.PersonalToken, text secret.Text, err error) {
	name := strings.TrimSpace(n.Name)
	invalid, now := problem.Invalid(), s.Now()
	switch fault := names.CheckFullName(name); {
	case name == "":
		invalid.At("/name", "must not be empty")
	case len([]rune(name)) > maxTokenName:
		invalid.At("/name", "must have at most 64 characters")
	case fault != nil:
		invalid.At("/name", fault.Error())
	}
	if n.Days < 1 || n.Days > MaxTokenDays {
		invalid.At("/expires_in_days", fmt.Sprintf("must be from 1 to %d", MaxTokenDays))
	}
	kept := Intersect(n.Scopes, allowed)
	if len(n.Scopes) == 0 {
		invalid.At("/scopes", "must have at least one scope")
	} else if fault := errNotYours(n.Scopes, kept); len(fault.Fields) > 0 {
		invalid.Fields = append(invalid.Fields, fault.Fields...)
	}
	if len(invalid.Fields) > 0 {
		return made, text, invalid
	}
	id, err := uuid.NewV7()
	if err != nil {
		return made, text, fmt.Errorf("make the id of a token: %w", err)
	}
	text = personal.New()
	return store.PersonalToken{
		ID: id.String(), Hash: token.HashSecret(text), Name: name, Scope: strings.Join(kept, " "), CreatedAt: now, ExpiresAt: now.AddDate(0, 0, n.Days),
	}, text, nil
}

// errNotYours points at each scope that a token cannot have.
func errNotYours(wanted, allowed []string) *problem.Error {
	invalid := problem.Invalid()
	for i, scope := range wanted {
		if !slices.Contains(allowed, scope) {
			invalid.At("/scopes/"+strconv.Itoa(i), "is not a scope of the account, or not one of the access token that makes this one")
		}
	}
	return invalid
}

// storePersonalToken stores a token in a transaction that has locked the user.
func (s *Service) storePersonalToken(ctx context.Context, q *store.Queries, user store.User, t store.PersonalToken, by *audit.Actor) error {
	existing, err := q.PersonalTokensOf(ctx, user.ID, s.Now(), maxPersonalTokens)
	if err != nil {
		return err
	}
	if len(existing) >= maxPersonalTokens {
		return problem.New(problem.ValidationFailed, fmt.Sprintf("The account has %d tokens, the most that it can have. Revoke one first.", maxPersonalTokens))
	}
	if err = q.CreatePersonalToken(ctx, t); err != nil {
		return err
	}
	if err = s.Outbox.NotifyOf(ctx, q, mailer.TokenCreated, user, mailer.Fields{Token: t.Name}); err != nil {
		return err
	}
	return s.recordOfToken(ctx, q, audit.TokenCreated, user, t.ID, by)
}

// recordOfToken records an event about a token.
func (s *Service) recordOfToken(ctx context.Context, q *store.Queries, kind audit.Kind, user store.User, id string, by *audit.Actor) error {
	event := audit.Event(ctx, user, by)
	event.TokenID = id
	return audit.Record(ctx, q, kind, event, s.Now())
}

// RevokePersonalToken revokes a token of the caller. Errors: NotFound.
func (s *Service) RevokePersonalToken(ctx context.Context, caller *Caller, id string) error {
	return Deleted(s.revokePersonalToken(ctx, caller.User.ID, id, caller, func(store.User) error { return nil }))
}

// RevokePersonalTokenOf revokes a token of an account; by is nil at the command line. Errors: NotFound, those of MayAdminister.
func (s *Service) RevokePersonalTokenOf(ctx context.Context, by *Caller, userID, id string) error {
	return noSuchAccount(s.revokePersonalToken(ctx, userID, id, by, func(user store.User) error { return s.MayAdminister(by, user) }))
}

// revokePersonalToken revokes a token, if a check of the locked account allows it.
func (s *Service) revokePersonalToken(ctx context.Context, userID, id string, by *Caller, check func(store.User) error) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID)
		if err == nil {
			err = check(user)
		}
		if err != nil {
			return err
		}
		if err = q.DeletePersonalToken(ctx, userID, id); errors.Is(err, store.ErrNotFound) {
			return problem.New(problem.NotFound, "The account has no such token.")
		}
		if err != nil {
			return err
		}
		return s.recordOfToken(ctx, q, audit.TokenRevoked, user, id, by.Actor())
	})
}

// RevokeHeldToken revokes a personal access token, for its holder. An unknown one is no error.
func (s *Service) RevokeHeldToken(ctx context.Context, text secret.Text) error {
	t, user, err := s.findPersonalToken(ctx, text)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	err = s.RevokePersonalToken(ctx, &Caller{User: user, TokenID: t.ID}, t.ID)
	if p, ok := errors.AsType[*problem.Error](err); ok && (p.Code == problem.NotFound || p.Code == problem.InvalidToken) { // another request was faster
		return nil
	}
	return err
}

// findPersonalToken finds a valid token and its user. A text with a wrong checksum is not looked up. Errors: store.ErrNotFound.
func (s *Service) findPersonalToken(ctx context.Context, text secret.Text) (t store.PersonalToken, user store.User, err error) {
	if !personal.IsWellFormed(text.Reveal()) {
		return t, user, store.ErrNotFound
	}
	return s.db.PersonalTokenByHash(ctx, token.HashSecret(text), s.Now())
}

// CallerOfPersonalToken returns the caller of a personal access token, and the token. It records the use, at most once an hour. The
// caller has no sign-in, so it meets no demand for one (RFC 9470), and the scopes that the account still has. Errors: InvalidToken.
func (s *Service) CallerOfPersonalToken(ctx context.Context, text secret.Text) (*Caller, store.PersonalToken, error) {
	t, user, err := s.findPersonalToken(ctx, text)
	if errors.Is(err, store.ErrNotFound) {
		outcome := tokenMalformed
		if personal.IsWellFormed(text.Reveal()) {
			outcome = tokenUnknown
		}
		s.Count.PersonalToken(outcome)
		return nil, t, errInvalidToken(fmt.Errorf("the personal access token is %s, or the account is disabled", outcome))
	}
	if err != nil {
		return nil, t, err
	}
	now := s.Now()
	if now.Sub(t.LastUsedAt) >= useEvery {
		if err = s.db.UsePersonalToken(ctx, t.ID, now, now.Add(-useEvery)); err != nil { // the request itself may need no write
			s.Log.WarnContext(ctx, "the use of a personal access token could not be recorded", "token_id", t.ID, "error", err)
		}
	}
	s.Count.PersonalToken(tokenAccepted)
	return &Caller{
		User: user, TokenID: t.ID, checked: now,
		Scopes: Intersect(strings.Fields(t.Scope), s.ScopesOf(user, strings.Fields(t.Methods))),
	}, t, nil
}

// noSuchAccount replaces store.ErrNotFound, for an account that somebody else names.
func noSuchAccount(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no such account.")
	}
	return err
}
