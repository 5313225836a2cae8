package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/names"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// ImportedUser is an account of another system. All fields but the username may be empty.
type ImportedUser struct {
	Line          int // in the file, for messages about other lines
	Username      string
	Email         string
	EmailVerified bool
	FullName      string
	Disabled      bool
	PasswordHash  secret.Text // of any scheme that package password reads; without one nobody can log in
	Scopes        []string
	CreatedAt     time.Time // now, if it is zero
}

// ErrPresent is the error for a record whose account exists already; the import does not change it.
var ErrPresent = errors.New("exists already")

// Importer creates accounts from one file. It never mistakes the account of another person for that of a record: a
// stranger may have registered the username before the import, and an operator who reads that the account exists would
// send its owner there.
type Importer struct {
	s *Service
	// The lines that hold a username, or a confirmed address, by their folded forms.
	usernames, emails map[string]int
}

// NewImporter makes an Importer.
func (s *Service) NewImporter() *Importer {
	return &Importer{s: s, usernames: map[string]int{}, emails: map[string]int{}}
}

// Add creates accounts in one transaction. For each it returns nil, ErrPresent, or the reason why the record was refused.
// The other error is a fault: then Add created none, and the Importer must not be used again.
func (i *Importer) Add(ctx context.Context, users []ImportedUser) (each []error, err error) {
	each = make([]error, len(users))
	err = i.s.db.Tx(ctx, func(q *store.Queries) error {
		for n, u := range users {
			row, refusal := i.s.importedRow(u)
			if refusal == nil {
				refusal = i.collision(row)
			}
			if refusal == nil {
				if refusal, err = i.s.importRow(ctx, q, row); err != nil {
					return err
				}
			}
			if each[n] = refusal; refusal == nil || errors.Is(refusal, ErrPresent) {
				i.remember(u.Line, row)
			}
		}
		return nil
	})
	return each, err
}

// collision returns an error if an earlier line has the username or the confirmed address of a row.
func (i *Importer) collision(row store.User) error {
	if line, taken := i.usernames[row.UsernameKey]; taken {
		return fmt.Errorf("the username is that of line %d", line)
	}
	if line, taken := i.emails[row.EmailKey]; taken && row.EmailVerified {
		return fmt.Errorf("the confirmed email is that of line %d", line)
	}
	return nil
}

func (i *Importer) remember(line int, row store.User) {
	if i.usernames[row.UsernameKey] = line; row.EmailVerified {
		i.emails[row.EmailKey] = line
	}
}

// importRow creates the account of a record. refusal is ErrPresent, or the reason why it cannot be created.
func (s *Service) importRow(ctx context.Context, q *store.Queries, row store.User) (refusal, err error) {
	err = q.CreateUser(ctx, row)
	if errors.Is(err, store.ErrConflict) {
		return s.conflict(ctx, q, row)
	}
	if err != nil {
		return nil, err
	}
	return nil, s.record(ctx, q, audit.AccountCreated, row, nil)
}

// importedRow checks the rules that the schemas of the contract cannot express.
func (s *Service) importedRow(u ImportedUser) (row store.User, refusal error) {
	username, key, err := names.NewUsername(u.Username)
	if err != nil {
		return row, fmt.Errorf("the username %w", err)
	}
	if err = names.CheckFullName(u.FullName); err != nil {
		return row, fmt.Errorf("the full_name %w", err)
	}
	if !u.PasswordHash.Empty() && !password.Known(u.PasswordHash.Reveal()) {
		return row, errors.New("the password_hash has an unknown format, is damaged, or is too expensive to verify")
	}
	scopes, err := s.grantable(u.Scopes)
	if err != nil {
		return row, errors.New("the scopes contain one that the contract does not declare")
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
		ImportedAs: recordDigest(key, address, u.PasswordHash),
	}, nil
}

// recordDigest identifies a record by its username with its address, or with its hash if it has no address. A later export
// of the same account has the same digest, unless the person has changed the address. The record of another person with
// the same username, in another file, has another digest.
func recordDigest(usernameKey, emailKey string, hash secret.Text) string {
	kind, mark := "email", emailKey
	if mark == "" {
		kind, mark = "hash", hash.Reveal()
	}
	sum := sha256.Sum256([]byte(usernameKey + "\x00" + kind + "\x00" + mark))
	return hex.EncodeToString(sum[:])
}

// conflict returns why the account of a record could not be created.
func (s *Service) conflict(ctx context.Context, q *store.Queries, row store.User) (refusal, err error) {
	existing, err := q.UserByUsername(ctx, row.UsernameKey)
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("the email is the confirmed address of another account"), nil
	}
	if err != nil {
		return nil, err
	}
	same, err := s.isRecord(ctx, q, existing, row)
	if err != nil {
		return nil, err
	}
	if same {
		return ErrPresent, nil
	}
	return fmt.Errorf("the username belongs to another account, created on %s; rename one of the two, or delete that account",
		existing.CreatedAt.UTC().Format(time.DateOnly)), nil
}

// isRecord reports whether an account is that of a record with the same username. An address that the account only claims
// proves nothing: a stranger who registers the name before the import can claim the address of its owner as well.
func (s *Service) isRecord(ctx context.Context, q *store.Queries, existing, row store.User) (bool, error) {
	if row.EmailKey != "" && existing.EmailVerified && existing.EmailKey == row.EmailKey {
		return true, nil
	}
	if !row.PasswordHash.Empty() && existing.PasswordHash.Reveal() == row.PasswordHash.Reveal() { // the salts are equal too, so this is no coincidence
		return true, nil
	}
	imported, err := q.ImportedAs(ctx, existing.ID)
	return err == nil && (imported == row.ImportedAs || imported == store.ImportedBefore), err
}

// ExportUsers calls each for every account, with its password hash, in the order of the usernames. It reads a batch at a
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
		list.After = store.UserPosition{Key: last.UsernameKey, ID: last.ID}
	}
}
