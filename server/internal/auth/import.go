package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/names"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// ImportedUser is a record of another system: an account that was kept there. All but the username may be empty.
type ImportedUser struct {
	Line          int // of the file, for messages about other lines
	Username      string
	Email         string
	EmailVerified bool
	FullName      string
	Disabled      bool
	PasswordHash  secret.Text // of any scheme that is read here; without one nobody can log in
	Scopes        []string
	CreatedAt     time.Time // now, if it is zero
}

// ErrPresent says that the account of the record exists already, and stays as it is.
var ErrPresent = errors.New("exists already")

// Importer creates accounts from one file. It never takes the account of somebody else for that of a record: a
// stranger may have registered the username before the import, and whoever is told that the account exists would
// send its owner there.
type Importer struct {
	s *Service
	// The lines that have taken a username, or a confirmed address, by their folded forms.
	usernames, emails map[string]int
}

// NewImporter makes an Importer.
func (s *Service) NewImporter() *Importer {
	return &Importer{s: s, usernames: map[string]int{}, emails: map[string]int{}}
}

// Add creates accounts in one transaction, and gives for each a nil error, ErrPresent, or the reason why it was
// refused. The other error is a fault: then it created none, and the Importer is of no further use.
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
				i.take(u.Line, row)
			}
		}
		return nil
	})
	return each, err
}

// collision says which earlier line has the username or the confirmed address of a row.
func (i *Importer) collision(row store.User) error {
	if line, taken := i.usernames[row.UsernameKey]; taken {
		return fmt.Errorf("the username is that of line %d", line)
	}
	if line, taken := i.emails[row.EmailKey]; taken && row.EmailVerified {
		return fmt.Errorf("the confirmed email is that of line %d", line)
	}
	return nil
}

func (i *Importer) take(line int, row store.User) {
	if i.usernames[row.UsernameKey] = line; row.EmailVerified {
		i.emails[row.EmailKey] = line
	}
}

// importRow creates the account of a record, unless it exists. refusal is ErrPresent, or says what is in the way.
func (s *Service) importRow(ctx context.Context, q *store.Queries, row store.User) (refusal, err error) {
	err = q.CreateUser(ctx, row)
	if errors.Is(err, store.ErrConflict) {
		return s.whyNot(ctx, q, row)
	}
	if err != nil {
		return nil, err
	}
	return nil, s.record(ctx, q, EventAccountCreated, row, nil)
}

// importedRow checks what the contract's shapes do not.
func (s *Service) importedRow(u ImportedUser) (row store.User, refusal error) {
	username, key, err := newUsername(u.Username)
	if err != nil {
		return row, fmt.Errorf("the username %w", err)
	}
	if err = names.CheckFullName(u.FullName); err != nil {
		return row, fmt.Errorf("the full_name %w", err)
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
		ImportedAs: recordDigest(key, address, u.PasswordHash),
	}, nil
}

// recordDigest identifies a record: by its username with its address, or where it has none with its hash. A file that
// is exported again later gives the same digest, unless the person has changed the address meanwhile; the record of
// somebody else with the same username, out of another file, gives another.
func recordDigest(usernameKey, emailKey string, hash secret.Text) string {
	kind, mark := "email", emailKey
	if mark == "" {
		kind, mark = "hash", hash.Reveal()
	}
	sum := sha256.Sum256([]byte(usernameKey + "\x00" + kind + "\x00" + mark))
	return hex.EncodeToString(sum[:])
}

// whyNot says what an account that could not be created collides with.
func (s *Service) whyNot(ctx context.Context, q *store.Queries, row store.User) (refusal, err error) {
	there, err := q.UserByUsername(ctx, row.UsernameKey)
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("the email is the confirmed address of another account"), nil
	}
	if err != nil {
		return nil, err
	}
	same, err := s.isRecord(ctx, q, there, row)
	if err != nil {
		return nil, err
	}
	if same {
		return ErrPresent, nil
	}
	return fmt.Errorf("the username belongs to another account, created on %s; rename one of the two, or delete that account",
		there.CreatedAt.UTC().Format(time.DateOnly)), nil
}

// isRecord reports whether an account is that of a record with the same username. An address that the account merely
// claims proves nothing: whoever registers a name before the import can claim the address of its owner as well.
func (s *Service) isRecord(ctx context.Context, q *store.Queries, there, row store.User) (bool, error) {
	if row.EmailKey != "" && there.EmailVerified && there.EmailKey == row.EmailKey {
		return true, nil
	}
	if !row.PasswordHash.Empty() && there.PasswordHash.Reveal() == row.PasswordHash.Reveal() { // with its salt, so no chance
		return true, nil
	}
	imported, err := q.ImportedAs(ctx, there.ID)
	return err == nil && (imported == row.ImportedAs || imported == store.ImportedBefore), err
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
