package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/upstream"
	"sesame/server/secret"
)

// maxIdentities limits the identities of an account. There are fewer providers.
const maxIdentities = 50

// ErrAddressHasAccount is the cause of the error for a new identity whose verified address an account has confirmed.
var ErrAddressHasAccount = errors.New("an account has confirmed the verified address of the identity")

// ErrIdentityTaken is the error for an identity that is linked to another account.
var ErrIdentityTaken = errors.New("the identity is linked to another account")

// ErrTooManyIdentities is the cause of the error for one identity more than an account can have.
var ErrTooManyIdentities = errors.New("the account has the maximum of identities")

// SignInUpstream starts the session of a browser for a person whom a provider has named. The identity decides which account that is,
// never an address, so an address that changes at the provider changes nothing here. For an unknown identity it makes an account, as a
// registration does.
//
// It links an unknown identity to an account by address only if the operator allows it for the provider, the provider has verified the
// address, and the account has confirmed it. Otherwise a provider, or a person who enters the address of another one there, could
// take over the account. Errors: those of identity.SignInVia, and of Register; EmailTaken with ErrAddressHasAccount.
func (s *Service) SignInUpstream(ctx context.Context, p upstream.Person) (identity.Browser, secret.Text, error) {
	user, err := s.userOf(ctx, p)
	if err != nil {
		return identity.Browser{}, secret.Text{}, err
	}
	return s.identity.SignInVia(ctx, user, identity.Via{Issuer: p.Issuer, Subject: p.Subject})
}

// userOf finds or makes the account of a person.
func (s *Service) userOf(ctx context.Context, p upstream.Person) (store.User, error) {
	found, err := s.db.IdentityBySubject(ctx, p.Issuer, p.Subject)
	if err == nil {
		return s.db.UserByID(ctx, found.UserID)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return store.User{}, err
	}
	key, invalid := emailKey(p.Email)
	if invalid != nil { // an address that nobody could register with
		p.Email, p.EmailVerified, key = "", false, ""
	}
	if p.EmailVerified {
		owner, err := s.db.UserByEmail(ctx, key)
		if store.IgnoreNotFound(err) != nil {
			return owner, err
		}
		if err == nil {
			// A concurrent sign-in may just have made that account for this identity.
			if user, err := s.linkedMeanwhile(ctx, p); !errors.Is(err, store.ErrNotFound) {
				return user, err
			}
			return s.linkByAddress(ctx, owner, p, key)
		}
	}
	return s.registerUpstream(ctx, p, key)
}

// linkByAddress links an identity to the account that has confirmed its address, if the operator allows that for the provider. An account with a
// second factor gets a new way in only from somebody who has proved both.
func (s *Service) linkByAddress(ctx context.Context, owner store.User, p upstream.Person, key string) (store.User, error) {
	refused := problem.Wrap(problem.EmailTaken, "There is an account with this e-mail address. Sign in to it first, and then link the other one there.", ErrAddressHasAccount)
	if !p.Provider.LinkAddresses {
		return owner, refused
	}
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, owner.ID)
		if err != nil {
			return err
		}
		if user.EmailKey != key || !user.EmailVerified || user.Disabled { // the account has changed meanwhile
			return identity.ErrNotLinked()
		}
		if user.Factors != "" {
			return refused
		}
		return s.link(ctx, q, user, p, nil, false)
	})
	if errors.Is(err, store.ErrConflict) { // by a concurrent sign-in
		return s.linkedMeanwhile(ctx, p)
	}
	return owner, err
}

func (s *Service) linkedMeanwhile(ctx context.Context, p upstream.Person) (store.User, error) {
	found, err := s.db.IdentityBySubject(ctx, p.Issuer, p.Subject)
	if err != nil {
		return store.User{}, err
	}
	return s.db.UserByID(ctx, found.UserID)
}

// registerUpstream makes an account without a password. A verified address becomes its confirmed one, and those who only claim the address
// lose it: the account of a stranger who has registered with the address is left with nothing of its owner's. Any other address is a claim, as
// at every registration.
func (s *Service) registerUpstream(ctx context.Context, p upstream.Person, key string) (store.User, error) {
	switch {
	case s.RegistrationClosed:
		return store.User{}, s.errClosed()
	case s.identity.ConfirmedOnly && key == "":
		return store.User{}, problem.New(problem.ValidationFailed, "The provider tells no e-mail address of yours, and this server needs one.")
	}
	if err := s.countRegistration(ctx); err != nil {
		return store.User{}, err
	}
	r := Registration{Email: p.Email, FullName: p.Name, EmailVerified: p.EmailVerified, public: true, confirm: !p.EmailVerified}
	base := usernameOf(p.Email)
	var err error
	if r.Username, err = s.freeUsername(ctx, base); err != nil {
		return store.User{}, err
	}
	for range 3 {
		user, err := s.insertUpstream(ctx, r, p, key)
		if !errors.Is(err, store.ErrConflict) {
			return user, err
		}
		// A concurrent sign-in has made the account, or somebody else has taken the name or confirmed the address.
		if user, err = s.linkedMeanwhile(ctx, p); !errors.Is(err, store.ErrNotFound) {
			return user, err
		}
		if owner, err := s.db.UserByEmail(ctx, key); key != "" && p.EmailVerified && err == nil {
			return s.linkByAddress(ctx, owner, p, key)
		}
		r.Username = withSuffix(base)
	}
	return store.User{}, problem.New(problem.Unavailable, "The account could not be created just now. Try again shortly.")
}

// insertUpstream makes an account and links its identity. Errors: store.ErrConflict.
func (s *Service) insertUpstream(ctx context.Context, r Registration, p upstream.Person, key string) (user store.User, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return user, fmt.Errorf("make a user id: %w", err)
	}
	username, usernameKey, err := names.NewUsername(r.Username)
	if err != nil {
		return user, err
	}
	now := s.now()
	user = store.User{
		ID: id.String(), Username: username, UsernameKey: usernameKey, Email: r.Email, EmailKey: key, EmailVerified: r.EmailVerified, FullName: r.FullName,
		CreatedAt: now, UpdatedAt: now,
	}
	if r.Email != "" && !r.EmailVerified {
		user.EmailClaimedAt = now
	}
	return user, s.db.Tx(ctx, func(q *store.Queries) error {
		if err := s.insertUser(ctx, q, r, user); err != nil {
			return err
		}
		return s.link(ctx, q, user, p, nil, true)
	})
}

// link links an identity to a user, in a transaction that has locked or created the user. isNew says that it has created the user, who
// needs no mail about it. Errors: store.ErrConflict; ValidationFailed for an account that has the maximum.
func (s *Service) link(ctx context.Context, q *store.Queries, user store.User, p upstream.Person, by *identity.Caller, isNew bool) error {
	all, err := q.ListIdentities(ctx, user.ID, maxIdentities)
	if err != nil {
		return err
	}
	if len(all) == maxIdentities {
		return problem.Wrap(problem.ValidationFailed, "The account has the maximum of linked accounts.", ErrTooManyIdentities)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make the id of an identity: %w", err)
	}
	row := store.Identity{ID: id.String(), UserID: user.ID, Issuer: p.Issuer, Subject: p.Subject, Label: p.Label, CreatedAt: s.now()}
	if err = q.CreateIdentity(ctx, row); err != nil || isNew {
		return err
	}
	if err = s.outbox.NotifyOf(ctx, q, mailer.IdentityLinked, user, mailer.Fields{Provider: p.Provider.Label}); err != nil {
		return err
	}
	return s.record(ctx, q, audit.IdentityLinked, user, by)
}

// Identities lists the identities of an account.
func (s *Service) Identities(ctx context.Context, userID string) ([]store.Identity, error) {
	return s.db.ListIdentities(ctx, userID, maxIdentities)
}

// LinkIdentity links an identity to the caller's account. The caller has proved again who they are when the sign-in at the provider
// began (ConfirmAgain). Errors: ErrIdentityTaken.
func (s *Service) LinkIdentity(ctx context.Context, caller *identity.Caller, p upstream.Person) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, caller.User.ID)
		if err != nil {
			return err
		}
		linked, err := q.IdentityBySubject(ctx, p.Issuer, p.Subject)
		switch {
		case err == nil && linked.UserID == user.ID:
			return nil
		case store.IgnoreNotFound(err) != nil:
			return err
		}
		return s.link(ctx, q, user, p, caller, false)
	})
	if errors.Is(err, store.ErrConflict) {
		return ErrIdentityTaken
	}
	return identity.Deleted(err)
}

// Proof is how a caller can prove again who they are, before a change of how they sign in: by the password, or by a fresh login, with the second
// factor where the account has one.
type Proof struct{ ByPassword, Fresh bool }

// Possible reports whether the caller can do so now.
func (p Proof) Possible() bool { return p.ByPassword || p.Fresh }

// ProofOf returns how the caller can prove again who they are. The password alone does not do where the account has a second factor.
func (s *Service) ProofOf(ctx context.Context, caller *identity.Caller) (Proof, error) {
	user, err := s.db.UserByID(ctx, caller.User.ID)
	return Proof{
		ByPassword: !user.PasswordHash.Empty() && user.Factors == "", Fresh: s.identity.RequireFreshLogin(caller, user) == nil,
	}, identity.Deleted(err)
}

// ConfirmAgain makes the caller prove again who they are. Errors: those of ConfirmPassword; StaleLogin.
func (s *Service) ConfirmAgain(ctx context.Context, caller *identity.Caller, password secret.Text) error {
	proof, err := s.ProofOf(ctx, caller)
	if err != nil {
		return err
	}
	if !proof.ByPassword {
		return s.identity.RequireFreshLogin(caller, caller.User)
	}
	_, counter, err := s.identity.ConfirmPassword(ctx, caller, password, "/password")
	if err != nil {
		return err
	}
	// The password is correct: a disconnect must not stop the rest, or it would hide the guess.
	ctx, done := identity.IgnoreDisconnect(ctx)
	defer done()
	s.identity.RecordCorrectPassword(ctx, audit.Event(ctx, caller.User, caller.Actor()))
	return s.db.ClearThrottle(ctx, counter, s.now())
}

// Unlink removes an identity from the caller's account, after a fresh login. Errors: StaleLogin, NotFound, LastWayIn.
func (s *Service) Unlink(ctx context.Context, caller *identity.Caller, id string) error {
	if err := s.identity.RequireFreshLogin(caller, caller.User); err != nil {
		return err
	}
	return identity.Deleted(s.unlink(ctx, caller, caller.User.ID, id, identity.Own))
}

// UnlinkFrom removes an identity from an account; from the caller's own after a fresh login, too. Errors: StaleLogin, NotFound,
// LastWayIn; those of identity.MayAdminister.
func (s *Service) UnlinkFrom(ctx context.Context, by *identity.Caller, userID, id string) error {
	if by.User.ID == userID {
		if err := s.identity.RequireFreshLogin(by, by.User); err != nil {
			return err
		}
	}
	return noSuchUser(s.unlink(ctx, by, userID, id, s.identity.Administering(by)))
}

// UnlinkAgain is Unlink for a caller who proves again who they are. Errors: those of ConfirmAgain; NotFound, LastWayIn.
func (s *Service) UnlinkAgain(ctx context.Context, caller *identity.Caller, id string, password secret.Text) error {
	if err := s.ConfirmAgain(ctx, caller, password); err != nil {
		return err
	}
	return identity.Deleted(s.unlink(ctx, caller, caller.User.ID, id, identity.Own))
}

// unlink removes an identity, unless it is the last way into the account. The account is locked, so of two that are removed at once, one stays.
func (s *Service) unlink(ctx context.Context, by *identity.Caller, userID, id string, may identity.Permission) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.LockUser(ctx, userID)
		if err != nil {
			return err
		}
		if err = may(user); err != nil {
			return err
		}
		all, err := q.ListIdentities(ctx, user.ID, maxIdentities)
		if err != nil {
			return err
		}
		provider := ""
		for _, i := range all {
			if i.ID == id {
				if provider = i.ProviderLabel; provider == "" {
					provider = i.Issuer
				}
			}
		}
		if provider == "" {
			return problem.New(problem.NotFound, "The account has no such identity.")
		}
		other, err := q.OtherWayIn(ctx, user.ID, id)
		if err != nil {
			return err
		}
		if !other {
			return problem.New(problem.LastWayIn, "This is the only way into the account. Set a password first, or link another account.")
		}
		if err = q.DeleteIdentity(ctx, user.ID, id); err != nil {
			return err
		}
		if err = s.outbox.NotifyOf(ctx, q, mailer.IdentityUnlinked, user, mailer.Fields{Provider: provider}); err != nil {
			return err
		}
		return s.record(ctx, q, audit.IdentityUnlinked, user, by)
	})
}
