package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/password"
	"sesame/server/secret"
	"sesame/server/store"
)

// ImportedUser is an account that was kept elsewhere. All but the username may be empty.
type ImportedUser struct {
	Username      string
	Email         string
	EmailVerified bool
	FullName      string
	Disabled      bool
	PasswordHash  secret.Text // of any scheme that is read here; without one nobody can log in
	Scopes        []string
	CreatedAt     time.Time // now, if it is zero
}

// ErrPresent says that an account of that name is here already, and stays as it is.
var ErrPresent = errors.New("is here already")

// Import creates accounts in one transaction, and gives for each a nil error, ErrPresent, or why it was
// refused. The other error is a fault: then none was created.
func (s *Service) Import(ctx context.Context, users []ImportedUser) (each []error, err error) {
	each = make([]error, len(users))
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		for i, u := range users {
			row, refusal := s.importedRow(u)
			if each[i] = refusal; refusal != nil {
				continue
			}
			err := q.CreateUser(ctx, row)
			if errors.Is(err, store.ErrConflict) {
				each[i], err = whyNot(ctx, q, row)
			}
			if err == nil && each[i] == nil {
				err = s.record(ctx, q, EventAccountCreated, row, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return each, err
}

// importedRow checks what the contract's shapes do not.
func (s *Service) importedRow(u ImportedUser) (row store.User, refusal error) {
	username, key, err := foldUsername(u.Username)
	if err != nil {
		return row, fmt.Errorf("the username %w", err)
	}
	if !u.PasswordHash.Empty() && !password.Known(u.PasswordHash.Reveal()) {
		return row, errors.New("the password_hash is of no kind that can be verified here, or damaged, or absurdly expensive")
	}
	scopes, err := s.grantable(u.Scopes)
	if err != nil {
		return row, errors.New("the scopes name one that the contract does not declare")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return row, fmt.Errorf("make a user id: %w", err)
	}
	address, err := emailKey(u.Email)
	if err != nil {
		return row, errors.New("the email is not an e-mail address")
	}
	now := s.now()
	if u.CreatedAt.IsZero() || u.CreatedAt.After(now) {
		u.CreatedAt = now
	}
	return store.User{
		ID: id.String(), Username: username, UsernameKey: key, Email: u.Email, EmailKey: address,
		EmailVerified: u.EmailVerified && u.Email != "", FullName: u.FullName, PasswordHash: u.PasswordHash,
		Scopes: strings.Join(scopes, " "), Disabled: u.Disabled, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: now,
	}, nil
}

// whyNot says what an account that could not be created collides with.
func whyNot(ctx context.Context, q *store.Queries, row store.User) (refusal, err error) {
	_, err = q.UserByUsername(ctx, row.UsernameKey)
	switch {
	case err == nil:
		return ErrPresent, nil
	case errors.Is(err, store.ErrNotFound):
		return errors.New("the email is the confirmed address of another account"), nil
	}
	return nil, err
}

// ExportUsers gives every account with its password hash, in the order of their usernames, a batch at a
// time.
func (s *Service) ExportUsers(ctx context.Context, each func(store.User) error) error {
	list := store.UserList{Limit: 500, WithHash: true}
	for {
		users, err := s.db.ListUsers(ctx, list)
		if err != nil {
			return err
		}
		for _, user := range users {
			if err = each(user); err != nil {
				return err
			}
		}
		if len(users) < list.Limit {
			return nil
		}
		last := users[len(users)-1]
		list.After = store.UserPlace{Key: last.UsernameKey, ID: last.ID}
	}
}
