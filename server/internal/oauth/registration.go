package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/names"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// Unverified are the operator's choices about clients that no operator has made: those that register themselves, and those with a
// metadata document (documents.go). They are public third parties' clients with the authorization code grant alone.
type Unverified struct {
	Registration bool      // clients may register themselves (RFC 7591)
	Documents    Documents // whose metadata documents are read
	Scopes       []string  // that such a client may ask people for, beside those of OpenID Connect
	ServiceName  string    // which no such client may have, or a name that looks like it
}

const (
	// maxRegistrations is how many clients a network can register in registrationWindow.
	maxRegistrations   = 20
	registrationWindow = 15 * time.Minute
	// maxUnused is about how many clients exist that nobody has agreed to. One more takes the place of the oldest, if that has
	// had unusedGrace, in which a person signs in; so a flood from few networks neither fills the table nor keeps others out.
	maxUnused   = 10_000
	unusedGrace = time.Hour
	// maxAddresses is how many bytes the redirect addresses of such a client have in all, so that its row is no larger than a document.
	maxAddresses = 4 << 10
)

// Unverified reports whether no operator has made the client.
func (c Client) Unverified() bool {
	return c.Registration == store.ByItself || c.Registration == store.ByDocument
}

// PublicID is the client_id that the client sends, and that tokens name.
func (c Client) PublicID() string {
	if c.DocumentURI != "" {
		return c.DocumentURI
	}
	return c.ID
}

// Title is the name of the client for people: without the end of the id that makes the name of an unverified one unique.
func (c Client) Title() string {
	if c.Unverified() {
		return strings.TrimSuffix(c.Name, nameEnd(c.ID))
	}
	return c.Name
}

// nameEnd has 62 bits of the id: with fewer, a stranger would find the address of a document whose end is that of another client, whose
// name would then be taken.
func nameEnd(id string) string { return " (" + id[len(id)-17:] + ")" }

// uniqueName makes the stored name of an unverified client. Names are unique, so that of a stranger must never be one that an operator
// or another stranger wants.
func uniqueName(name, id string) string {
	runes, end := []rune(name), nameEnd(id)
	return strings.TrimSpace(string(runes[:min(len(runes), maxClientName-utf8.RuneCountInString(end))])) + end
}

// Metadata is what an unverified client says of itself (RFC 7591 §2).
type Metadata struct {
	Name          string
	RedirectURIs  []string
	GrantTypes    []string
	ResponseTypes []string
	AuthMethod    string
}

// unnamed is the name of a client that has sent none.
const unnamed = "Unnamed application"

// secretMethods are methods of authentication with a secret. A client that registers itself gets none in their place.
var secretMethods = []string{"", "none", "client_secret_basic", "client_secret_post"}

// check returns the name for people, and an error of RFC 7591 §3.2.2 with a field for each fault, or nil. methods are the allowed
// values of AuthMethod.
func (m Metadata) check(serviceName string, methods []string) (name string, fault *problem.Error) {
	addresses := problem.New(problem.InvalidRedirectURI, "The redirect addresses cannot be registered.")
	checkAddresses(addresses, "/redirect_uris", m.RedirectURIs)
	if len(m.RedirectURIs) == 0 {
		addresses.At("/redirect_uris", "is empty")
	}
	if len(strings.Join(m.RedirectURIs, "\n")) > maxAddresses {
		addresses.At("/redirect_uris", fmt.Sprintf("has more than %d characters in all", maxAddresses))
	}
	if len(addresses.Fields) > 0 {
		return "", addresses
	}
	invalid := problem.New(problem.InvalidClientMetadata, "The metadata of the client is not allowed here.")
	name, reason := nameOf(m.Name, serviceName)
	if reason != "" {
		invalid.At("/client_name", reason)
	}
	if len(m.GrantTypes) > 0 && !slices.Contains(m.GrantTypes, codeGrant) {
		invalid.At("/grant_types", "must contain authorization_code")
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		invalid.At("/response_types", "must contain code")
	}
	if !slices.Contains(methods, m.AuthMethod) {
		invalid.At("/token_endpoint_auth_method", "must be none")
	}
	if len(invalid.Fields) > 0 {
		return "", invalid
	}
	return name, nil
}

// nameOf returns the name of an unverified client for people, or why it cannot have it. Programs put names of servers into theirs, with
// characters that names of people cannot have, such as "Claude Code (plugin:notes)", so these become spaces.
func nameOf(sent, serviceName string) (name, reason string) {
	name = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r == '\\' {
			return ' '
		}
		return r
	}, sent)), " ")
	if name == "" {
		return unnamed, ""
	}
	if err := names.CheckFullName(name); err != nil {
		return "", err.Error()
	}
	switch {
	case utf8.RuneCountInString(name) > maxClientName:
		return "", fmt.Sprintf("has more than %d characters", maxClientName)
	case names.Reserved(name), serviceName != "" && names.LookAlike(name, serviceName):
		return "", "looks like a name of authority"
	}
	return name, ""
}

// RegisterClient registers a client that asks for it (RFC 7591). Errors: NotFound where it is off, InvalidRedirectURI,
// InvalidClientMetadata, TooManyRequests.
func (s *Service) RegisterClient(ctx context.Context, m Metadata) (Client, error) {
	if !s.Unverified.Registration {
		return Client{}, problem.New(problem.NotFound, "This server does not register clients. Ask its operator for a client_id.")
	}
	name, fault := m.check(s.Unverified.ServiceName, secretMethods)
	if fault != nil {
		return Client{}, fault
	}
	wait, err := s.identity.CountUse(ctx, s.identity.NetworkCounters(identity.ClientTries, network.FromContext(ctx), maxRegistrations), registrationWindow)
	if err == nil && wait == 0 {
		wait, err = s.makeRoom(ctx)
	}
	if err != nil {
		return Client{}, err
	}
	if wait > 0 {
		return Client{}, s.errClientThrottled(wait, "There were too many registrations of clients. Wait before the next attempt.")
	}
	for range 3 { // a second client with the same name and the same end of its id is very unlikely
		id, err := uuid.NewV7()
		if err != nil {
			return Client{}, fmt.Errorf("make a client id: %w", err)
		}
		row := s.unverifiedRow(id.String(), name, m.RedirectURIs)
		row.Registration = store.ByItself
		err = s.db.Tx(ctx, func(q *store.Queries) error {
			if err := q.CreateClient(ctx, row); err != nil {
				return err
			}
			return s.recordUnverified(ctx, q, row.ID)
		})
		if !errors.Is(err, store.ErrConflict) {
			return s.clientOf(row), err
		}
	}
	return Client{}, errors.New("three ids of clients ended in the same way")
}

// unverifiedRow is a client of which only the name and the addresses are its own choice.
func (s *Service) unverifiedRow(id, name string, redirects []string) store.Client {
	return store.Client{
		ID: id, Name: uniqueName(name, id), SecretHash: secret.New(""), CreatedAt: s.now(), Public: true, ThirdParty: true,
		RedirectURIs: strings.Join(redirects, "\n"),
	}
}

// recordUnverified records that a client has come here by itself.
func (s *Service) recordUnverified(ctx context.Context, q *store.Queries, id string) error {
	event := audit.Event(ctx, store.User{}, &audit.Actor{ID: audit.SelfRegistration, ClientID: id})
	return audit.Record(ctx, q, audit.ClientCreated, event, s.now())
}

// makeRoom deletes the oldest unused client if there are too many. It returns how long to wait if none is old enough.
func (s *Service) makeRoom(ctx context.Context) (wait time.Duration, err error) {
	n, err := s.db.CountUnusedClients(ctx)
	if err != nil || n < maxUnused {
		return 0, err
	}
	if err = s.db.DeleteOldestUnusedClient(ctx, s.now().Add(-unusedGrace)); errors.Is(err, store.ErrNotFound) {
		return time.Minute, nil
	}
	return 0, err
}

func (s *Service) errClientThrottled(wait time.Duration, detail string) error {
	s.identity.Count.Throttled(identity.ThrottledClient)
	e := problem.New(problem.TooManyRequests, detail)
	e.RetryAfter = wait
	return e
}

// Offered returns the scopes that a client can ask people for with the authorization code grant.
func (s *Service) Offered(c Client) []string { return s.allowedByCode(c) }
