package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailer"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// User returns an account. Errors: NotFound.
func (s *Service) User(ctx context.Context, id string) (store.User, error) {
	user, err := s.db.UserByID(ctx, id)
	return user, noSuchUser(err)
}

// FindUser finds an account by its id, its username or its confirmed address. Errors: NotFound.
func (s *Service) FindUser(ctx context.Context, account string) (store.User, error) {
	if _, err := uuid.Parse(account); err == nil {
		if user, err := s.db.UserByID(ctx, account); !errors.Is(err, store.ErrNotFound) {
			return user, err
		}
	}
	user, err := s.identity.UserByLogin(ctx, account)
	return user, noSuchUser(err)
}

// CountOldHashes counts the accounts whose password hash the next login replaces.
func (s *Service) CountOldHashes(ctx context.Context) (old int64, err error) {
	if old, err = s.db.CountHashes(ctx, ""); err != nil {
		return 0, err
	}
	for _, prefix := range s.hasher.Prefixes() {
		current, err := s.db.CountHashes(ctx, prefix)
		if err != nil {
			return 0, err
		}
		old -= current
	}
	return old, nil
}

// UserChange is what an administrator changes of an account; nil keeps. The scopes of every person may be named, and
// change nothing.
type UserChange struct {
	FullName *string // "" clears
	Email    *string // "" clears
	// EmailVerified confirms the address, which may be the new one: the administrator vouches for it.
	EmailVerified bool
	Disabled      *bool
	Scopes        []string // replaces the granted scopes
	Grant         []string // added to them
	Revoke        []string // removed from them
	// Metadata replaces the metadata of the account: a JSON object that the contract has checked. "{}" clears it.
	Metadata *string
	// byOwner says that the account is the caller's own, and the operation one that every person may call.
	byOwner bool
	// EvenLastAdministrator disables the last administrator, too, whose password everybody knows.
	EvenLastAdministrator bool
}

func (c UserChange) changesScopes() bool { return c.Scopes != nil || c.Grant != nil || c.Revoke != nil }

// scopesAfter returns the granted scopes after the change.
func (c UserChange) scopesAfter(before []string) []string {
	if c.Scopes != nil {
		before = c.Scopes
	}
	after := slices.Concat(before, c.Grant)
	return slices.DeleteFunc(identity.Intersect(after, after), func(scope string) bool { return slices.Contains(c.Revoke, scope) })
}

// UpdateUser changes an account; by is nil at the command line. When it returns, a disabled account has no session, and
// no session has a scope that was revoked. Errors: NotFound, LastAdministrator, ValidationFailed; InsufficientScope for an
// account that has a scope which the caller's token lacks; NothingToConfirm and EmailTaken with EmailVerified.
func (s *Service) UpdateUser(ctx context.Context, by *identity.Caller, id string, c UserChange) (user store.User, err error) {
	for _, scopes := range []*[]string{&c.Scopes, &c.Grant, &c.Revoke} {
		if *scopes == nil {
			continue
		}
		if *scopes, err = s.grantable(by, *scopes); err != nil {
			return store.User{}, err
		}
	}
	if c.FullName == nil && c.Email == nil && c.Disabled == nil && c.Metadata == nil && !c.EmailVerified && !c.changesScopes() {
		if user, err = s.User(ctx, id); err == nil { // a change of nothing is refused, too: the answer has the account
			err = s.identity.MayAdminister(by, user)
		}
		return user, err
	}
	user, err = s.updateUser(ctx, by, id, c)
	return user, noSuchUser(err)
}

func (s *Service) updateUser(ctx context.Context, by *identity.Caller, id string, c UserChange) (user store.User, err error) {
	change, err := c.forStore()
	if err != nil {
		return user, err
	}
	known := store.User{ID: id}
	if c.EmailVerified {
		if known, err = s.db.UserByID(ctx, id); err != nil {
			return user, err
		}
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := lockToChange(ctx, q, c, change, &known)
		if err != nil {
			return err
		}
		if !c.byOwner {
			if err = s.identity.MayAdminister(by, before); err != nil {
				return err
			}
		}
		if c.changesScopes() {
			change.Scopes = new(strings.Join(c.scopesAfter(strings.Fields(before.Scopes)), " "))
		}
		if change.Scopes != nil && s.identity.Administers(*change.Scopes) && !s.identity.Administers(before.Scopes) {
			change.AdministratorSince = s.now()
		}
		if user, err = q.UpdateUser(ctx, id, change, s.now()); err != nil {
			return err
		}
		if !c.EvenLastAdministrator {
			if err = s.checkLastAdministrator(ctx, q, before, user); err != nil {
				return err
			}
		}
		if err = revokeAccess(ctx, q, before, user); err != nil {
			return err
		}
		if err = s.followEmailChange(ctx, q, by, before, user, !c.EmailVerified); err != nil {
			return err
		}
		if err = s.recordChanges(ctx, q, before, user, by); err != nil || !c.EmailVerified {
			return err
		}
		user, err = s.vouch(ctx, q, user, by)
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		err = codeError(err)
	}
	return user, err
}

// forStore checks the fields of a change and translates them for the store, but for the scopes. Errors: ValidationFailed.
func (c UserChange) forStore() (change store.UserChange, err error) {
	change = store.UserChange{FullName: c.FullName, Email: c.Email, Disabled: c.Disabled}
	if c.Email != nil {
		key, err := emailKey(*c.Email)
		if err != nil {
			return change, err
		}
		change.EmailKey = &key
	}
	if c.FullName != nil {
		if err := names.CheckFullName(*c.FullName); err != nil {
			return change, problem.Invalid().At("/full_name", err.Error())
		}
	}
	if c.Metadata != nil {
		change.Metadata, err = metadataOf(*c.Metadata)
	}
	return change, err
}

// lockToChange locks an account for a change, and the ownership of its address if the change confirms it.
func lockToChange(ctx context.Context, q *store.Queries, c UserChange, change store.UserChange, known *store.User) (store.User, error) {
	switch {
	case !c.EmailVerified:
		return q.LockUser(ctx, known.ID)
	case change.EmailKey != nil:
		return q.LockUserAndAddress(ctx, known, *change.EmailKey)
	}
	return q.LockUserAndAddress(ctx, known, known.EmailKey)
}

// revokeAccess ends the sessions and tokens of a disabled account, or takes revoked scopes from them. A scope that is revoked and
// granted again so comes back only with a new login.
func revokeAccess(ctx context.Context, q *store.Queries, before, after store.User) error {
	if after.Disabled {
		return q.EndAccessOf(ctx, after.ID, "")
	}
	has := strings.Fields(after.Scopes)
	for _, scope := range strings.Fields(before.Scopes) {
		if slices.Contains(has, scope) {
			continue
		}
		if err := q.RevokeScope(ctx, after.ID, scope); err != nil {
			return err
		}
	}
	return nil
}

// followEmailChange does what a new address requires, even if only its spelling changed, since some mail servers deliver
// another spelling to another person: it ends every code, notifies the old address, and asks the new one for a
// confirmation unless somebody vouches for it. Codes also end when an account is disabled.
func (s *Service) followEmailChange(ctx context.Context, q *store.Queries, by *identity.Caller, before, after store.User, confirm bool) error {
	if after.Disabled || after.Email != before.Email {
		if err := s.endCodes(ctx, q, after); err != nil {
			return err
		}
	}
	if after.Email == before.Email {
		return nil
	}
	if err := s.outbox.Notify(ctx, q, mailer.EmailChanged, before, after.Email); err != nil || after.Email == "" || !confirm {
		return err
	}
	// The codes that were mailed there for this account have just ended, so a mail that is refused would leave none.
	if err := q.DropThrottle(ctx, s.confirmCounter(after.ID, after.EmailKey)); err != nil {
		return err
	}
	return s.mailConfirmation(ctx, q, by, after, after.Email)
}

// recordChanges records what differs from before.
func (s *Service) recordChanges(ctx context.Context, q *store.Queries, before, after store.User, by *identity.Caller) error {
	var kinds []audit.Kind
	// A person's changes of their own profile are not recorded: they are no news to them, and could fill the log.
	if byOther := by == nil || by.User.ID != after.ID; byOther && (before.FullName != after.FullName || before.Email != after.Email || before.Metadata != after.Metadata) {
		kinds = append(kinds, audit.ProfileChanged)
	}
	if before.Scopes != after.Scopes {
		kinds = append(kinds, audit.ScopesChanged)
	}
	if !before.Disabled && after.Disabled {
		kinds = append(kinds, audit.AccountDisabled)
	}
	if before.Disabled && !after.Disabled {
		kinds = append(kinds, audit.AccountEnabled)
	}
	for _, kind := range kinds {
		if err := s.record(ctx, q, kind, after, by); err != nil {
			return err
		}
	}
	return nil
}

// grantable returns the scopes of a list that a caller can grant to an account: each once, without those of every person. by is
// nil at the command line. Errors: ValidationFailed.
func (s *Service) grantable(by *identity.Caller, scopes []string) (granted []string, err error) {
	known := s.identity.Scopes
	for i, scope := range scopes {
		at := "/scopes/" + strconv.Itoa(i)
		if !slices.Contains(known.Declared, scope) {
			return nil, problem.Invalid().At(at, "is not a scope that the contract declares")
		}
		if len(s.identity.Beyond(by, []string{scope})) > 0 {
			return nil, problem.Invalid().At(at, "is a scope that your token does not have")
		}
	}
	return slices.DeleteFunc(identity.Intersect(scopes, scopes), func(scope string) bool { return slices.Contains(known.OfEveryone(), scope) }), nil
}

// checkLastAdministrator refuses a change that leaves no enabled administrator, since nobody could appoint another. It locks
// the administration row if an administrator is one no longer, so that such changes run one after the other: two could
// otherwise count each other. Errors: LastAdministrator.
func (s *Service) checkLastAdministrator(ctx context.Context, q *store.Queries, before, after store.User) error {
	administrates := func(u store.User) bool {
		return u.ID != "" && !u.Disabled && slices.Contains(strings.Fields(u.Scopes), s.identity.AdminScope)
	}
	if !administrates(before) || administrates(after) {
		return nil
	}
	if err := q.LockAdministration(ctx); err != nil {
		return err
	}
	others, err := q.CountOtherAdministrators(ctx, s.identity.AdminScope, before.ID)
	if err == nil && others == 0 {
		err = problem.New(problem.LastAdministrator, "This is the last administrator. Appoint another one first.")
	}
	return err
}

// noSuchUser is identity.NoSuchUser.
func noSuchUser(err error) error { return identity.NoSuchUser(err) }
