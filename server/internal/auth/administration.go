package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sesame/server/internal/mail"
	"sesame/server/internal/mailbox"
	"sesame/server/internal/names"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// UserQuery narrows the list of accounts.
type UserQuery struct {
	Prefix   string // of the username or the address, in any letter case; "" for all
	Disabled *bool
	Cursor   string // "" for the first page
	Limit    int
}

// ListUsers gives a page of the accounts, and the cursor of the next, or "". Errors: BadRequest for a
// cursor that is not of this list.
func (s *Service) ListUsers(ctx context.Context, query UserQuery) (users []store.User, next string, err error) {
	name := "users " + query.Prefix
	if query.Disabled != nil {
		name = fmt.Sprintf("users %t %s", *query.Disabled, query.Prefix)
	}
	list := store.UserList{Prefix: namePrefix(query.Prefix), EmailPrefix: mailbox.Prefix(query.Prefix), Disabled: query.Disabled, Limit: query.Limit + 1}
	if query.Cursor != "" {
		if list.After, err = s.readUserPlace(name, query.Cursor); err != nil {
			return nil, "", err
		}
	}
	if users, err = s.db.ListUsers(ctx, list); err != nil || len(users) <= query.Limit {
		return users, "", err
	}
	users = users[:query.Limit]
	last := users[query.Limit-1]
	place := store.UserPlace{Key: last.UsernameKey, ID: last.ID}
	if !strings.HasPrefix(last.UsernameKey, list.Prefix) {
		place = store.UserPlace{ByEmail: true, Key: last.EmailKey, ID: last.ID}
	}
	return users, s.Cursors.Text(name, fmt.Sprintf("%t %s %s", place.ByEmail, place.ID, place.Key)), nil
}

func (s *Service) readUserPlace(name, cursor string) (place store.UserPlace, err error) {
	text, err := s.Cursors.Read(name, cursor)
	if err != nil {
		return place, problem.Wrap(problem.BadRequest, "The cursor is not one of this list.", err).At("/cursor", "is not one of this list")
	}
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return place, errors.New("a cursor of ours has no three parts")
	}
	byEmail, err := strconv.ParseBool(parts[0])
	return store.UserPlace{ByEmail: byEmail, ID: parts[1], Key: parts[2]}, err
}

// User finds an account. Errors: NotFound.
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
	user, err := s.findForLogin(ctx, loginKey(account))
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

// UserChange is what an administrator changes of an account; nil keeps. The scopes are those beyond the ones
// that every account has; those may be named all the same.
type UserChange struct {
	FullName *string // "" clears
	Email    *string // "" clears
	Disabled *bool
	Scopes   []string // in place of those before
	Grant    []string // besides those
	Revoke   []string // and without these
}

// UpdateUser changes an account; by is nil at the command line. An account that is disabled has no session left
// when it returns, and a session no scope that was revoked. Errors: NotFound, LastAdministrator, ValidationFailed.
func (s *Service) UpdateUser(ctx context.Context, by *Caller, id string, c UserChange) (user store.User, err error) {
	for _, scopes := range []*[]string{&c.Scopes, &c.Grant, &c.Revoke} {
		if *scopes == nil {
			continue
		}
		if *scopes, err = s.grantable(*scopes); err != nil {
			return store.User{}, err
		}
	}
	if c.FullName == nil && c.Email == nil && c.Disabled == nil && !c.changesScopes() {
		return s.User(ctx, id)
	}
	user, err = s.updateUser(ctx, by, id, c)
	return user, noSuchUser(err)
}

func (c UserChange) changesScopes() bool { return c.Scopes != nil || c.Grant != nil || c.Revoke != nil }

// scopesAfter gives the scopes that the change makes of those before it.
func (c UserChange) scopesAfter(before []string) []string {
	if c.Scopes != nil {
		before = c.Scopes
	}
	after := slices.Concat(before, c.Grant)
	return slices.DeleteFunc(intersect(after, after), func(scope string) bool { return slices.Contains(c.Revoke, scope) })
}

func (s *Service) updateUser(ctx context.Context, by *Caller, id string, c UserChange) (user store.User, err error) {
	disables := c.Disabled != nil && *c.Disabled
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
			return user, problem.New(problem.ValidationFailed, "The request does not fit the contract.").At("/full_name", err.Error())
		}
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if c.Disabled != nil || c.changesScopes() {
			if err := q.LockAdministration(ctx); err != nil {
				return err
			}
		}
		before, err := q.LockUser(ctx, id) // what is read from here on stays so
		if err != nil {
			return err
		}
		had := strings.Fields(before.Scopes)
		has := c.scopesAfter(had)
		if c.changesScopes() {
			change.Scopes = new(strings.Join(has, " "))
		}
		if disables || c.changesScopes() && !slices.Contains(has, s.Scopes.Admin) {
			if err = s.keepAnAdministrator(ctx, q, before); err != nil {
				return err
			}
		}
		if user, err = q.UpdateUser(ctx, id, change, s.now()); err != nil {
			return err
		}
		if err = endWhatIsRevoked(ctx, q, id, disables, had, has); err != nil {
			return err
		}
		if err = s.readdress(ctx, q, by, before, user); err != nil {
			return err
		}
		return s.recordChanges(ctx, q, before, user, by)
	})
	return user, err
}

// endWhatIsRevoked ends the sessions of a disabled account, or takes revoked scopes from them: what was revoked
// once does not come back when it is granted again, except by a new login.
func endWhatIsRevoked(ctx context.Context, q *store.Queries, id string, disables bool, had, has []string) error {
	if disables {
		return q.EndSessionsOf(ctx, id, "")
	}
	for _, scope := range had {
		if slices.Contains(has, scope) {
			continue
		}
		if err := q.RevokeScope(ctx, id, scope); err != nil {
			return err
		}
	}
	return nil
}

// readdress does what follows from another address that an administrator has given an account, be it another spelling of
// the same one, which some mail servers deliver to somebody else: it ends every code, tells the old address, and asks the
// new one for a confirmation.
func (s *Service) readdress(ctx context.Context, q *store.Queries, by *Caller, before, after store.User) error {
	if after.Disabled || after.Email != before.Email {
		if err := s.endCodes(ctx, q, after); err != nil {
			return err
		}
	}
	if after.Email == before.Email {
		return nil
	}
	if err := s.notify(ctx, q, mail.EmailChanged, before, after.Email); err != nil || after.Email == "" {
		return err
	}
	// The codes that were mailed there for this account have just ended, so none stands in for a mail that is refused.
	if err := q.DropThrottle(ctx, s.confirmLane(after.ID, after.EmailKey)); err != nil {
		return err
	}
	return s.mailConfirmation(ctx, q, by, after, after.Email)
}

// recordChanges notes what is not as it was before.
func (s *Service) recordChanges(ctx context.Context, q *store.Queries, before, after store.User, by *Caller) error {
	var kinds []EventKind
	// What people change of themselves is no news to them, and could be repeated without end.
	if byOther := by == nil || by.User.ID != after.ID; byOther && (before.FullName != after.FullName || before.Email != after.Email) {
		kinds = append(kinds, EventProfileChanged)
	}
	if before.Scopes != after.Scopes {
		kinds = append(kinds, EventScopesChanged)
	}
	if !before.Disabled && after.Disabled {
		kinds = append(kinds, EventAccountDisabled)
	}
	if before.Disabled && !after.Disabled {
		kinds = append(kinds, EventAccountEnabled)
	}
	for _, kind := range kinds {
		if err := s.record(ctx, q, kind, after, by); err != nil {
			return err
		}
	}
	return nil
}

// HasPassword finds an account by its username and reports whether that is its password, without counting a
// failure: it is for passwords that are public. There may be no such account; then its ID is "".
func (s *Service) HasPassword(ctx context.Context, username string, plain secret.Text) (user store.User, ok bool, err error) {
	_, key, err := foldUsername(username)
	if err != nil {
		return user, false, err
	}
	user, err = s.db.UserByUsername(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, false, nil
	}
	if err != nil || user.PasswordHash.Empty() {
		return user, false, err
	}
	ok, _, err = s.hasher.Verify(ctx, networkOf(ctx), user.PasswordHash.Reveal(), plain.Reveal())
	return user, ok, err
}

// SetPassword is what the command line does: it replaces an account's password, whatever it was, and ends its
// sessions. Errors: NotFound, ValidationFailed, Unavailable.
func (s *Service) SetPassword(ctx context.Context, id string, next secret.Text) error {
	user, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	reason, err := s.hasher.Check(next.Reveal(), user.Username, user.Email)
	if err != nil {
		return err
	}
	if reason != "" {
		return problem.New(problem.ValidationFailed, "The new password is not acceptable.").At("/password", reason)
	}
	hash, err := s.hasher.Hash(ctx, networkOf(ctx), next.Reveal())
	if err != nil {
		return err
	}
	return noSuchUser(s.db.Tx(ctx, func(q *store.Queries) error {
		if user, err = q.LockUser(ctx, id); err != nil { // the address may have changed since the hash was begun
			return err
		}
		if err := q.SetPasswordHash(ctx, id, hash, s.now()); err != nil {
			return err
		}
		if err := q.EndSessionsOf(ctx, id, ""); err != nil {
			return err
		}
		if err := s.endCodes(ctx, q, user); err != nil {
			return err
		}
		if err := s.notify(ctx, q, mail.PasswordChanged, user, ""); err != nil {
			return err
		}
		return s.record(ctx, q, EventPasswordChanged, user, nil)
	}))
}

// grantable are the scopes of a list that can be put on an account: each once, without those that every
// account has.
func (s *Service) grantable(scopes []string) (granted []string, err error) {
	for i, scope := range scopes {
		if !slices.Contains(s.Scopes.Declared, scope) {
			return nil, problem.New(problem.ValidationFailed, "The request does not fit the contract.").
				At("/scopes/"+strconv.Itoa(i), "is not a scope that the contract declares")
		}
	}
	return slices.DeleteFunc(intersect(scopes, s.Scopes.Declared), func(scope string) bool { return slices.Contains(s.Scopes.everybodys(), scope) }), nil
}

// keepAnAdministrator refuses to go on when this is the last administrator, whom nobody else could
// bring back. The user was read under the administration lock.
func (s *Service) keepAnAdministrator(ctx context.Context, q *store.Queries, user store.User) error {
	if user.Disabled || !slices.Contains(strings.Fields(user.Scopes), s.Scopes.Admin) {
		return nil
	}
	others, err := q.CountOtherAdministrators(ctx, s.Scopes.Admin, user.ID)
	if err == nil && others == 0 {
		err = problem.New(problem.LastAdministrator, "This is the last administrator. Make somebody else one first.")
	}
	return err
}

// noSuchUser is for an account that somebody else named.
func noSuchUser(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no such account.")
	}
	return err
}
