package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sesame/server/mail"
	"sesame/server/problem"
	"sesame/server/secret"
	"sesame/server/store"
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
	list := store.UserList{Prefix: emailKey(query.Prefix), Disabled: query.Disabled, Limit: query.Limit + 1}
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

// UserChange is what an administrator changes of an account; nil keeps.
type UserChange struct {
	FullName *string // "" clears
	Email    *string // "" clears
	Disabled *bool
	Scopes   []string // beyond those that every account has; those may be named all the same
}

// UpdateUser changes an account; by is nil at the command line. Who is disabled has no session left when it returns. Errors: NotFound,
// LastAdministrator, ValidationFailed.
func (s *Service) UpdateUser(ctx context.Context, by *Caller, id string, c UserChange) (user store.User, err error) {
	change := store.UserChange{FullName: c.FullName, Email: c.Email, Disabled: c.Disabled}
	if c.Email != nil {
		change.EmailKey = new(emailKey(*c.Email))
	}
	if c.Scopes != nil {
		granted, err := s.grantable(c.Scopes)
		if err != nil {
			return store.User{}, err
		}
		change.Scopes = new(strings.Join(granted, " "))
	}
	if change == (store.UserChange{}) {
		return s.User(ctx, id)
	}
	user, err = s.updateUser(ctx, by, id, change)
	return user, noSuchUser(err)
}

func (s *Service) updateUser(ctx context.Context, by *Caller, id string, change store.UserChange) (user store.User, err error) {
	disables := change.Disabled != nil && *change.Disabled
	disrobes := change.Scopes != nil && !slices.Contains(strings.Fields(*change.Scopes), AdminScope)
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if disables || disrobes {
			if err := q.TakeTurn(ctx); err != nil {
				return err
			}
		}
		before, err := q.LockUser(ctx, id) // or it is not what is changed
		if err != nil {
			return err
		}
		if disables || disrobes {
			if err = keepAnAdministrator(ctx, q, before); err != nil {
				return err
			}
		}
		if user, err = q.UpdateUser(ctx, id, change, s.now()); err != nil {
			return err
		}
		if disables {
			if err = q.EndSessionsOf(ctx, id, ""); err != nil {
				return err
			}
		}
		if err = s.readdress(ctx, q, by, before, user); err != nil {
			return err
		}
		return s.recordChanges(ctx, q, before, user, by)
	})
	return user, err
}

// readdress does what follows from another address that an administrator has given an account: what was
// mailed before is worth nothing, the old address is told, and the new one is asked to confirm itself.
func (s *Service) readdress(ctx context.Context, q *store.Queries, by *Caller, before, after store.User) error {
	if after.Disabled || emailKey(after.Email) != before.EmailKey {
		if err := q.DropCodes(ctx, after.ID); err != nil {
			return err
		}
	}
	if emailKey(after.Email) == before.EmailKey {
		return nil
	}
	if err := s.notify(ctx, q, mail.EmailChanged, before, after.Email); err != nil || after.Email == "" {
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

// Grant is what the command line does: it puts scopes on an account, besides those that it has, or takes them away. Errors: NotFound,
// LastAdministrator, ValidationFailed.
func (s *Service) Grant(ctx context.Context, id string, scopes []string, revoke bool) (store.User, error) {
	user, err := s.User(ctx, id)
	if err != nil {
		return user, err
	}
	has := strings.Fields(user.Scopes)
	if _, err = s.grantable(scopes); err != nil {
		return user, err
	}
	if revoke {
		has = slices.DeleteFunc(has, func(scope string) bool { return slices.Contains(scopes, scope) })
	} else {
		has = append(has, scopes...)
	}
	return s.UpdateUser(ctx, nil, id, UserChange{Scopes: has})
}

// SetPassword is what the command line does: it replaces an account's password, whatever it was, and ends its sessions. Errors: NotFound,
// ValidationFailed, Unavailable.
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
		if err := q.SetPasswordHash(ctx, id, hash, s.now()); err != nil {
			return err
		}
		if err := q.EndSessionsOf(ctx, id, ""); err != nil {
			return err
		}
		if err := s.dropCodes(ctx, q, id, provenKey(user)); err != nil {
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
		if !slices.Contains(s.Scopes, scope) {
			return nil, problem.New(problem.ValidationFailed, "The request does not fit the contract.").
				At("/scopes/"+strconv.Itoa(i), "is not a scope that the contract declares")
		}
	}
	return slices.DeleteFunc(intersect(scopes, s.Scopes), func(scope string) bool { return slices.Contains(ownScopes, scope) }), nil
}

// keepAnAdministrator refuses to go on when this is the last administrator, whom nobody else could
// bring back.
func keepAnAdministrator(ctx context.Context, q *store.Queries, user store.User) error {
	if user.Disabled || !slices.Contains(strings.Fields(user.Scopes), AdminScope) {
		return nil
	}
	others, err := q.CountOtherAdministrators(ctx, AdminScope, user.ID)
	if err == nil && others == 0 {
		err = problem.New(problem.LastAdministrator, "This is the last administrator. Make somebody else one first.")
	}
	return err
}

// DeleteUser removes an account and ends its sessions. caller is nil at the command line. Errors:
// NotFound, LastAdministrator; for one's own account StaleLogin when the login is older than ten minutes.
func (s *Service) DeleteUser(ctx context.Context, caller *Caller, id string) error {
	if caller != nil && caller.User.ID == id {
		return s.DeleteAccount(ctx, caller)
	}
	return noSuchUser(s.deleteUser(ctx, caller, id))
}

func (s *Service) deleteUser(ctx context.Context, by *Caller, id string) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		user, err := q.UserByID(ctx, id)
		if err != nil {
			return err
		}
		if err = keepAnAdministrator(ctx, q, user); err != nil {
			return err
		}
		if err = q.DeleteUser(ctx, id); err != nil {
			return err
		}
		return s.record(ctx, q, EventAccountDeleted, user, by)
	})
}

// noSuchUser is for an account that somebody else named.
func noSuchUser(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no such account.")
	}
	return err
}
