package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/mailbox"
	"sesame/server/internal/mailer"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

// UserQuery selects a page of accounts.
type UserQuery struct {
	Prefix   string // of the username or the address, in any letter case; "" for all
	Disabled *bool
	Cursor   string // "" for the first page
	Limit    int
}

// ListUsers returns a page of accounts, and the cursor of the next page, or "". Errors: BadRequest for a cursor of another
// list.
func (s *Service) ListUsers(ctx context.Context, query UserQuery) (users []store.User, next string, err error) {
	name := "users " + query.Prefix
	if query.Disabled != nil {
		name = fmt.Sprintf("users %t %s", *query.Disabled, query.Prefix)
	}
	list := store.UserList{
		Prefix: names.UsernamePrefix(query.Prefix), EmailPrefix: mailbox.Prefix(query.Prefix), Disabled: query.Disabled, Limit: query.Limit + 1,
	}
	if query.Cursor != "" {
		if list.After, err = s.readPosition(name, query.Cursor); err != nil {
			return nil, "", err
		}
	}
	if users, err = s.db.ListUsers(ctx, list); err != nil || len(users) <= query.Limit {
		return users, "", err
	}
	users = users[:query.Limit]
	last := users[query.Limit-1]
	position := store.UserPosition{Key: last.UsernameKey, ID: last.ID}
	if !strings.HasPrefix(last.UsernameKey, list.Prefix) {
		position = store.UserPosition{ByEmail: true, Key: last.EmailKey, ID: last.ID}
	}
	return users, s.Cursors.Text(name, fmt.Sprintf("%t %s %s", position.ByEmail, position.ID, position.Key)), nil
}

func (s *Service) readPosition(list, cursor string) (position store.UserPosition, err error) {
	text, err := s.Cursors.Read(list, cursor)
	if err != nil {
		return position, problem.InvalidCursor(err)
	}
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return position, errors.New("an authentic cursor does not have three parts")
	}
	byEmail, err := strconv.ParseBool(parts[0])
	return store.UserPosition{ByEmail: byEmail, ID: parts[1], Key: parts[2]}, err
}

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
	Disabled *bool
	Scopes   []string // replaces the granted scopes
	Grant    []string // added to them
	Revoke   []string // removed from them
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
// account that has a scope which the caller's token lacks.
func (s *Service) UpdateUser(ctx context.Context, by *identity.Caller, id string, c UserChange) (user store.User, err error) {
	for _, scopes := range []*[]string{&c.Scopes, &c.Grant, &c.Revoke} {
		if *scopes == nil {
			continue
		}
		if *scopes, err = s.grantable(by, *scopes); err != nil {
			return store.User{}, err
		}
	}
	if c.FullName == nil && c.Email == nil && c.Disabled == nil && c.Metadata == nil && !c.changesScopes() {
		return s.User(ctx, id)
	}
	user, err = s.updateUser(ctx, by, id, c)
	return user, noSuchUser(err)
}

func (s *Service) updateUser(ctx context.Context, by *identity.Caller, id string, c UserChange) (user store.User, err error) {
	change := store.UserChange{FullName: c.FullName, Email: c.Email, Disabled: c.Disabled}
	if c.Email != nil {
		key, err := emailKey(*c.Email)
		if err != nil {
			return store.User{}, err
		}
		change.EmailKey = &key
	}
	if c.FullName != nil {
		if err := names.CheckFullName(*c.FullName); err != nil {
			return user, problem.Invalid().At("/full_name", err.Error())
		}
	}
	if c.Metadata != nil {
		if change.Metadata, err = metadataOf(*c.Metadata); err != nil {
			return user, err
		}
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		before, err := q.LockUser(ctx, id)
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
		if err = s.followEmailChange(ctx, q, by, before, user); err != nil {
			return err
		}
		return s.recordChanges(ctx, q, before, user, by)
	})
	return user, err
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
// confirmation. Codes also end when an account is disabled.
func (s *Service) followEmailChange(ctx context.Context, q *store.Queries, by *identity.Caller, before, after store.User) error {
	if after.Disabled || after.Email != before.Email {
		if err := s.endCodes(ctx, q, after); err != nil {
			return err
		}
	}
	if after.Email == before.Email {
		return nil
	}
	if err := s.outbox.Notify(ctx, q, mailer.EmailChanged, before, after.Email); err != nil || after.Email == "" {
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
