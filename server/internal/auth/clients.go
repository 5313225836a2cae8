package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Client is who a request to the token endpoints comes from (RFC 6749 §2). The zero Client is
// FirstParty, which is public: it proves nothing, and people log in through it.
type Client struct {
	ID            string // "" for FirstParty
	Name          string
	Scopes        []string // what it may have for itself, and pass on of what a person has
	PasswordGrant bool     // whether people may log in through it
	CreatedAt     time.Time
}

// id is the client_id.
func (c Client) id() string {
	if c.ID == "" {
		return FirstParty
	}
	return c.ID
}

// HasScope reports whether the client may have a scope. It implements contract.Caller, for the
// operations that a client calls with its id and secret.
func (c Client) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// passesOn gives the part of a person's scopes that a token through this client may have. The default ones
// come with any login; the others, me:delete among them, the client must have been given too.
func (s *Service) passesOn(c Client, scopes []string) []string {
	if c.ID == "" {
		return scopes
	}
	return intersect(scopes, slices.Concat(s.Scopes.Default, c.Scopes))
}

func clientOf(row store.Client) Client {
	return Client{
		ID: row.ID, Name: row.Name, Scopes: strings.Fields(row.Scopes), PasswordGrant: row.PasswordGrant, CreatedAt: row.CreatedAt,
	}
}

// newSecret makes a secret of 256 random bits: a client's, or a code that is mailed.
func newSecret() secret.Text {
	var random [32]byte
	rand.Read(random[:])
	return secret.New(base64.RawURLEncoding.EncodeToString(random[:]))
}

// hashSecret is what the database keeps of such a secret. A fast hash will do, unlike for
// passwords: a secret is made here of 256 random bits, and nobody guesses among so many.
func hashSecret(text secret.Text) string {
	sum := sha256.Sum256([]byte(text.Reveal()))
	return hex.EncodeToString(sum[:])
}

// NewClient is a client to be made.
type NewClient struct {
	Name            string
	Scopes          []string
	NoPasswordGrant bool
}

// maxClientName counts code points.
const maxClientName = 64

// CreateClient registers a service client and gives its secret, which is not kept and cannot be shown
// again. Errors: ValidationFailed, Unavailable.
func (s *Service) CreateClient(ctx context.Context, n NewClient) (Client, secret.Text, error) {
	invalid := problem.New(problem.ValidationFailed, "The client cannot be made.")
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if n.Name == "" || n.Name != strings.TrimSpace(n.Name) || !utf8.ValidString(n.Name) ||
		utf8.RuneCountInString(n.Name) > maxClientName || strings.ContainsFunc(n.Name, unprintable) {
		invalid.At("/name", fmt.Sprintf("must have 1 to %d printable characters, and no space at its ends", maxClientName))
	}
	for _, scope := range n.Scopes {
		switch {
		case !slices.Contains(s.Scopes.Declared, scope):
			invalid.At("/scopes", "names a scope that the contract does not declare")
		case slices.Contains(s.Scopes.PeopleOnly, scope) && slices.Contains(s.Scopes.Default, scope): // the others it may pass on
			invalid.At("/scopes", "names a scope over one's own account, which a client has not got")
		}
	}
	if len(invalid.Fields) > 0 {
		return Client{}, secret.Text{}, invalid
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Client{}, secret.Text{}, fmt.Errorf("make a client id: %w", err)
	}
	made := newSecret()
	row := store.Client{
		ID: id.String(), Name: n.Name, SecretHash: secret.New(hashSecret(made)), Scopes: strings.Join(intersect(n.Scopes, n.Scopes), " "),
		PasswordGrant: !n.NoPasswordGrant, CreatedAt: s.now(),
	}
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.CreateClient(ctx, row); err != nil {
			return err
		}
		return recordEvent(ctx, q, EventClientCreated, store.Event{Actor: byCommandLine, ClientID: row.ID}, s.Now())
	})
	if errors.Is(err, store.ErrConflict) {
		return Client{}, secret.Text{}, invalid.At("/name", "is taken")
	}
	return clientOf(row), made, err
}

// Clients lists the service clients, sorted by their names.
func (s *Service) Clients(ctx context.Context) ([]Client, error) {
	rows, err := s.db.ListClients(ctx)
	list := make([]Client, len(rows))
	for i, row := range rows {
		list[i] = clientOf(row)
	}
	return list, err
}

// DeleteClient removes a service client and ends the sessions that people have through it. Its tokens
// stop here at once. Errors: NotFound.
func (s *Service) DeleteClient(ctx context.Context, id string) error {
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.DeleteClient(ctx, id); err != nil {
			return err
		}
		if err := q.EndSessionsOfClient(ctx, id); err != nil {
			return err
		}
		return recordEvent(ctx, q, EventClientDeleted, store.Event{Actor: byCommandLine, ClientID: id}, s.Now())
	})
	if errors.Is(err, store.ErrNotFound) {
		return problem.New(problem.NotFound, "There is no client with this id.")
	}
	return err
}

// ErrClient is the one answer for an unknown client and a wrong secret (RFC 6749 §5.2).
func ErrClient() error {
	return problem.New(problem.InvalidClient, "The client is unknown or its secret is wrong.")
}

// AuthenticateClient finds out which client an id and a secret belong to (RFC 6749 §2.3.1). Neither
// of them, and FirstParty without a secret, is the zero Client. Errors: InvalidClient.
func (s *Service) AuthenticateClient(ctx context.Context, id string, given secret.Text) (Client, error) {
	if given.Empty() && (id == "" || id == FirstParty) {
		return Client{}, nil
	}
	if parsed, err := uuid.Parse(id); err != nil || parsed.String() != id { // of which not all is text for a database
		return Client{}, ErrClient()
	}
	row, err := s.db.ClientByID(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Client{}, err
	}
	// For an unknown client the stored hash is empty, which no hash is.
	if subtle.ConstantTimeCompare([]byte(row.SecretHash.Reveal()), []byte(hashSecret(given))) != 1 {
		return Client{}, ErrClient()
	}
	return clientOf(row), nil
}

// ClientCredentials gives a client a token of its own (RFC 6749 §4.4). Errors: InvalidClient for one
// that has proved nothing, InvalidScope.
func (s *Service) ClientCredentials(_ context.Context, client Client, scope string) (Tokens, error) {
	if client.ID == "" {
		return Tokens{}, problem.New(problem.InvalidClient, "The client_credentials grant needs a client's id and secret.")
	}
	asked := strings.Fields(scope)
	if len(asked) == 0 {
		asked = client.Scopes
	}
	granted := intersect(asked, intersect(client.Scopes, s.Scopes.Declared))
	granted = slices.DeleteFunc(granted, func(scope string) bool { return slices.Contains(s.Scopes.PeopleOnly, scope) }) // it has no account
	if len(granted) == 0 {
		return Tokens{}, problem.New(problem.InvalidScope, "The client has none of the requested scopes.")
	}
	return s.access(token.Access{Subject: client.ID, ClientID: client.ID}, granted)
}
