package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// DeclaredClient is a service client that a bootstrap file declares.
type DeclaredClient struct {
	NewClient
	ID string
	// SecretHash returns the SHA-256 of the secret in hex. It is called if the client has to be created or updated.
	SecretHash func() (string, error)
	// ReadLogo returns the logo, or nil for none. It is called when SecretHash is.
	ReadLogo func() ([]byte, error)
	Update   bool // whether an existing client gets all that is declared
}

// minDeclaredSecret is the least number of characters of a client's secret that an operator chooses. Its hash is a fast one, so
// the secret must be random: 32 characters are at least 128 bits in hex, and more in base64.
const minDeclaredSecret = 32

// HashDeclaredSecret returns the hash of a secret that an operator has made.
func HashDeclaredSecret(text secret.Text) (string, error) {
	plain := text.Reveal()
	distinct := map[rune]bool{}
	for _, r := range plain {
		if r <= ' ' || r > '~' {
			return "", errors.New("must be one line of printable ASCII characters without spaces")
		}
		distinct[r] = true
	}
	if len(plain) < minDeclaredSecret || len(distinct) < 8 {
		return "", fmt.Errorf("must be random and have at least %d characters; make one with: openssl rand -hex 32", minDeclaredSecret)
	}
	return token.HashSecret(text), nil
}

// CheckDeclared checks what needs neither the database nor the secret.
func (s *Service) CheckDeclared(d DeclaredClient) error {
	if parsed, err := uuid.Parse(d.ID); err != nil || parsed.String() != d.ID {
		return errors.New("client_id must be a UUID in lower case; make one with: uuidgen")
	}
	if invalid := s.checkClient(nil, d.NewClient); len(invalid.Fields) > 0 {
		faults := make([]error, len(invalid.Fields))
		for i, f := range invalid.Fields {
			faults[i] = fmt.Errorf("%s %s", strings.TrimPrefix(f.Pointer, "/"), f.Detail)
		}
		return errors.Join(faults...)
	}
	return nil
}

// Declare creates a client, or updates it if the declaration says so. Replicas may declare the same client at once.
func (s *Service) Declare(ctx context.Context, d DeclaredClient) (created, updated bool, err error) {
	if err = s.CheckDeclared(d); err != nil {
		return false, false, err
	}
	row, err := s.db.ClientByID(ctx, d.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		created, err = s.createDeclared(ctx, d)
		if !created && err == nil { // another replica was first
			return s.Declare(ctx, d)
		}
		return created, false, err
	case err != nil || !d.Update:
		return false, false, err
	}
	updated, err = s.updateDeclared(ctx, d, row)
	return false, updated, err
}

// readFiles reads the logo, and returns the hash of the secret.
func (d *DeclaredClient) readFiles() (secretHash string, err error) {
	if d.Logo, err = d.ReadLogo(); err != nil {
		return "", err
	}
	return d.SecretHash()
}

func (s *Service) createDeclared(ctx context.Context, d DeclaredClient) (created bool, err error) {
	hash, err := d.readFiles()
	if err != nil {
		return false, err
	}
	err = s.insertClient(ctx, nil, s.clientRow(d.ID, d.NewClient, hash), d.Logo)
	if !errors.Is(err, store.ErrConflict) {
		return err == nil, err
	}
	if _, err = s.db.ClientByID(ctx, d.ID); errors.Is(err, store.ErrNotFound) {
		err = errNameTaken(d.Name)
	}
	return false, err
}

func errNameTaken(name string) error {
	return fmt.Errorf("the name %q is that of another client; choose another name, or give the client_id of that client (sesame client list)", name)
}

// isSame reports whether two rows of a client have the same values.
func isSame(a, b store.Client) bool {
	secrets := a.SecretHash.Reveal() == b.SecretHash.Reveal() && a.OldSecretHash.Reveal() == b.OldSecretHash.Reveal()
	a.SecretHash, a.OldSecretHash, b.SecretHash, b.OldSecretHash = secret.Text{}, secret.Text{}, secret.Text{}, secret.Text{}
	return secrets && a == b
}

// updateDeclared changes a client where it differs. If it becomes narrower, the sessions end that people started
// through it, which would keep what it has lost otherwise.
func (s *Service) updateDeclared(ctx context.Context, d DeclaredClient, before store.Client) (updated bool, err error) {
	hash, err := d.readFiles()
	if err != nil {
		return false, err
	}
	after := s.clientRow(d.ID, d.NewClient, hash)
	after.CreatedAt = before.CreatedAt
	if before.OldSecretHash.Reveal() == after.SecretHash.Reveal() { // a replacement in progress, which the file does not know of
		after.SecretHash = before.SecretHash
	}
	after.OldSecretHash, after.OldSecretUntil = before.OldSecretHash, before.OldSecretUntil
	if isSame(after, before) {
		return false, nil
	}
	narrowed := isNarrower(before, after)
	if narrowed {
		if err = s.endMostSessions(ctx, d.ID); err != nil {
			return false, err
		}
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.UpdateClient(ctx, after); err != nil {
			return err
		}
		if after.LogoHash != before.LogoHash {
			if err := q.SetClientLogo(ctx, d.ID, after.LogoHash, d.Logo); err != nil {
				return err
			}
		}
		if !narrowed {
			return nil
		}
		return q.EndRemainingSessionsOfClient(ctx, d.ID)
	})
	switch {
	case errors.Is(err, store.ErrConflict):
		err = errNameTaken(d.Name)
	case errors.Is(err, store.ErrNotFound):
		err = problem.New(problem.NotFound, "The client was deleted at this moment. Start the server again.")
	}
	return err == nil, err
}
