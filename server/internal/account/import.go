package account

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/names"
	"sesame/server/internal/password"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// ImportedUser is an account of another system. All fields but Username or Login may be empty.
type ImportedUser struct {
	Line          int // in the file, for messages about other lines
	Username      string
	Login         string // the address or name that the person logged in with; a username is made from it if there is none
	Email         string
	EmailVerified bool
	FullName      string
	Disabled      bool
	PasswordHash  secret.Text // of any scheme that package password reads; without one nobody can log in
	Scopes        []string
	Metadata      string    // a JSON object that the contract has checked
	CreatedAt     time.Time // now, if it is zero
}

// ErrPresent is the error for a record whose account exists already; the import does not change it.
var ErrPresent = errors.New("exists already")

// ImportResult is what an Importer did with a record.
type ImportResult struct {
	Username string // of the account
	Err      error  // nil if the account was created, ErrPresent, or a *Refusal
}

// Importer creates accounts from one file. It never mistakes the account of another person for that of a record: a
// stranger may have registered the username before the import, and an operator who reads that the account exists would
// send its owner there.
type Importer struct {
	s     *Service
	check bool // nothing is written
	// The lines that hold a username, or a confirmed address, by digests of their folded forms: a file may have millions of
	// lines, and the texts would take twice the memory.
	usernames map[digest]holder
	emails    map[digest]int32
	seeds     [2]maphash.Seed
	fresh     []digest // what the present transaction has added to both
}

// digest has 128 bits, so that two texts with the same one need not be expected.
type digest [2]uint64

func (i *Importer) digest(text string) digest {
	return digest{maphash.String(i.seeds[0], text), maphash.String(i.seeds[1], text)}
}

// holder is the line that holds a username. login is a part of the digest of the address or name that the person logged in with: it
// distinguishes two records of one person from two persons whose addresses make the same username.
type holder struct {
	line  int32
	login uint32
}

// NewImporter makes an Importer. With check it writes nothing, and reports what it would do.
func (s *Service) NewImporter(check bool) *Importer {
	return &Importer{
		s: s, check: check, usernames: map[digest]holder{}, emails: map[digest]int32{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// Add creates accounts in one transaction. The error is a fault: then Add created none, and the Importer must not be used
// again.
func (i *Importer) Add(ctx context.Context, users []ImportedUser) (each []ImportResult, err error) {
	each = make([]ImportResult, len(users))
	i.fresh = i.fresh[:0]
	all := func(q *store.Queries) error {
		for _, key := range i.fresh { // of an attempt that the database has undone
			delete(i.usernames, key)
			delete(i.emails, key)
		}
		i.fresh = i.fresh[:0]
		for n, u := range users {
			if each[n], err = i.add(ctx, q, u); err != nil {
				return err
			}
		}
		return nil
	}
	if i.check {
		return each, all(&i.s.db.Queries)
	}
	return each, i.s.db.Tx(ctx, all)
}

// add creates the account of one record. If its username has to be made, the first one is taken that no other account has.
func (i *Importer) add(ctx context.Context, q *store.Queries, u ImportedUser) (ImportResult, error) {
	row, refused := i.s.importedRow(u)
	if refused != nil {
		return ImportResult{Err: refused}, nil
	}
	if u.Username != "" {
		return i.addAs(ctx, q, u, row)
	}
	result := ImportResult{Err: &Refusal{"invalid_username", "username", "cannot be made from the address"}}
	for name := range usernamesFor(u.Login) {
		var err error
		row.Username, row.UsernameKey = name.shown, name.key
		if result, err = i.addAs(ctx, q, u, row); err != nil || !usernameTaken(result.Err) {
			return result, err
		}
	}
	return result, nil
}

// addAs creates the account of a record with the username of row.
func (i *Importer) addAs(ctx context.Context, q *store.Queries, u ImportedUser, row store.User) (result ImportResult, err error) {
	row.ImportedAs = recordDigest(row.UsernameKey, row.EmailKey, row.PasswordHash)
	generated := u.Username == ""
	login := uint32(i.digest(cmp.Or(row.EmailKey, u.Login))[0]) //nolint:gosec // a part is enough
	ownAddress := generated && strings.EqualFold(u.Login, u.Email)
	if refusal, collides := i.collision(row, login, generated, ownAddress); collides {
		return ImportResult{Err: refusal}, nil
	}
	if i.check {
		result.Err, err = i.s.conflict(ctx, q, &row, generated)
	} else {
		result.Err, err = i.s.importRow(ctx, q, &row, generated)
	}
	if err != nil || result.Err != nil && !errors.Is(result.Err, ErrPresent) {
		return result, err
	}
	result.Username = row.Username
	line := int32(min(u.Line, math.MaxInt32)) //nolint:gosec // for messages
	name, address := i.digest(row.UsernameKey), i.digest(row.EmailKey)
	i.usernames[name] = holder{line, login}
	i.fresh = append(i.fresh, name)
	if row.EmailVerified {
		i.emails[address] = line
		i.fresh = append(i.fresh, address)
	}
	return result, nil
}

// collision reports whether an earlier line has the username or the confirmed address of a row. The address must not be confirmed by
// this row if the person logged in with it: the earlier line may be that of an account with another username.
func (i *Importer) collision(row store.User, login uint32, generated, ownAddress bool) (refusal *Refusal, collides bool) {
	if row.EmailVerified || ownAddress {
		if line, taken := i.emails[i.digest(row.EmailKey)]; taken {
			return &Refusal{"duplicate", "email", fmt.Sprintf("is that of line %d, where it is confirmed; keep one of the two lines", line)}, true
		}
	}
	other, taken := i.usernames[i.digest(row.UsernameKey)]
	switch {
	case !taken:
		return nil, false
	case generated && other.login == login:
		return &Refusal{"duplicate", "email", fmt.Sprintf("is that of line %d; keep one of the two lines", other.line)}, true
	case generated:
		return errUsernameTaken, true
	}
	return &Refusal{"duplicate", "username", fmt.Sprintf("is that of line %d; keep one of the two lines, or rename one", other.line)}, true
}

// importRow creates the account of a record. refusal is nil, ErrPresent or a *Refusal.
func (s *Service) importRow(ctx context.Context, q *store.Queries, row *store.User, generated bool) (refusal, err error) {
	err = q.CreateUser(ctx, *row)
	if errors.Is(err, store.ErrConflict) {
		if refusal, err = s.conflict(ctx, q, row, generated); refusal == nil && err == nil {
			refusal = &Refusal{"changed", "", "the conflicting account was changed or deleted at this moment; run the import again"}
		}
		return refusal, err
	}
	if err != nil {
		return nil, err
	}
	return nil, s.record(ctx, q, audit.AccountCreated, *row, nil)
}

// importedRow checks the rules that the schemas of the contract cannot express. The row has no username
// yet if one has to be made.
func (s *Service) importedRow(u ImportedUser) (row store.User, refusal *Refusal) {
	if u.Username != "" {
		var err error
		if row.Username, row.UsernameKey, err = names.NewUsername(u.Username); err != nil {
			return row, &Refusal{"invalid_username", "username", err.Error()}
		}
	}
	if err := names.CheckFullName(u.FullName); err != nil {
		return row, &Refusal{"invalid_full_name", "full_name", err.Error()}
	}
	if !u.PasswordHash.Empty() {
		if refused, ok := errors.AsType[*password.HashError](password.CheckStored(u.PasswordHash.Reveal())); ok {
			return row, &Refusal{refused.Code, "password_hash", refused.Error()}
		}
	}
	scopes, err := s.grantable(nil, u.Scopes)
	if err != nil {
		return row, &Refusal{"unknown_scope", "scopes", "contain one that the contract does not declare; it declares " + strings.Join(s.identity.Scopes.Declared, ", ")}
	}
	address, err := emailKey(u.Email)
	if err != nil {
		return row, &Refusal{"invalid_email", "email", "is not an e-mail address"}
	}
	metadata := new(string)
	if u.Metadata != "" {
		if metadata, err = metadataOf(u.Metadata); err != nil {
			return row, &Refusal{"invalid_user_metadata", "user_metadata", fmt.Sprintf("must be a JSON object of at most %d bytes", maxMetadata)}
		}
	}
	now := s.now()
	if u.CreatedAt.IsZero() || u.CreatedAt.After(now) {
		u.CreatedAt = now
	}
	return store.User{
		ID: uuid.Must(uuid.NewV7()).String(), Username: row.Username, UsernameKey: row.UsernameKey, Email: u.Email, EmailKey: address,
		EmailVerified: u.EmailVerified && u.Email != "", FullName: u.FullName, PasswordHash: u.PasswordHash,
		Scopes: strings.Join(scopes, " "), Disabled: u.Disabled, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: now, Metadata: *metadata,
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

// conflict returns why the account of a record cannot be created: ErrPresent, a *Refusal, or nil if no account conflicts.
// With ErrPresent it sets the username of row to that of the account.
func (s *Service) conflict(ctx context.Context, q *store.Queries, row *store.User, generated bool) (refusal, err error) {
	existing, err := q.UserByUsername(ctx, row.UsernameKey)
	switch {
	case err == nil:
		same, err := s.isRecord(ctx, q, existing, *row)
		if err != nil {
			return nil, err
		}
		if same {
			return ErrPresent, nil
		}
		return takenBy(existing), nil
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	case !row.EmailVerified:
		return nil, nil
	}
	existing, err = q.UserByEmail(ctx, row.EmailKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case generated: // the username says nothing, and a confirmed address proves that the account is the record's
		row.Username, row.UsernameKey = existing.Username, existing.UsernameKey
		return ErrPresent, nil
	}
	return &Refusal{"email_taken", "email", "is the confirmed address of another account, " + existing.Username + "; change one of the two, or delete that account"}, nil
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
		page, err := s.db.ListUsers(ctx, list)
		if err != nil {
			return err
		}
		for _, user := range page.Users {
			if err = each(user); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		list.After = page.Next
	}
}
