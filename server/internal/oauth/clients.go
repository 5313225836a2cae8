package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"sesame/server/internal/audit"
	"sesame/server/internal/identity"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Client sends requests to the token endpoints (RFC 6749 §2). It has a secret unless it is public.
type Client struct {
	ID            string
	Name          string
	Scopes        []string // that it may have for itself, and receive of those of a person
	PasswordGrant bool     // whether people may log in through it
	CreatedAt     time.Time
	Public        bool          // it has no secret: a single-page or native app
	ThirdParty    bool          // people are asked whether they agree
	PKCEOptional  bool          // it need not send a code_challenge
	RedirectURIs  []string      // where people are sent after they sign in
	SignOutURIs   []string      // where people are sent after they sign out
	DeviceGrant   bool          // whether people may sign in through it on devices without a browser
	AccessTTL     time.Duration // of its access tokens; 0 for that of the server
	SessionTTL    time.Duration // of its sessions, from the sign-in on; likewise
	LogoutURI     string        // where the server sends logout tokens; "" for nowhere
	LogoHash      string        // of its logo; "" for none
	Registration  string        // how it came here: store.ByOperator, ByItself or ByDocument
	DocumentURI   string        // the client_id that it sends, if it has a metadata document
	BuiltIn       bool          // it is part of the server: in no table, and it may receive every scope of a person
}

// builtIn returns the built-in client with an id. All are public. The documentation and the administrator's page are clients only
// while they are served.
func (s *Service) builtIn(id string) (c Client, ok bool) {
	switch {
	case id == token.FirstParty:
		return Client{ID: id, BuiltIn: true, Public: true, PasswordGrant: true}, true
	case id == token.Docs && s.DocsRedirect != "":
		return Client{ID: id, BuiltIn: true, Public: true, Name: "the API documentation", RedirectURIs: []string{s.DocsRedirect}}, true
	case id == token.Admin && s.AdminPage != "":
		page := []string{s.AdminPage}
		return Client{ID: id, BuiltIn: true, Public: true, Name: "the administration", RedirectURIs: page, SignOutURIs: page}, true
	}
	return Client{}, false
}

// hasRedirect reports whether people may be sent to an address. A built-in client has one address, while the port of an app on
// the person's own machine may differ.
func (c Client) hasRedirect(address string) bool {
	return slices.Contains(c.RedirectURIs, address) || !c.BuiltIn && matchRedirect(c.RedirectURIs, address)
}

// HasScope reports whether the client may have a scope. It implements contract.Caller, for the operations that a client
// calls with its id and secret.
func (c Client) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

func (s *Service) clientOf(row store.Client) Client {
	c := Client{
		ID: row.ID, Name: row.Name, Scopes: strings.Fields(row.Scopes), PasswordGrant: row.PasswordGrant, CreatedAt: row.CreatedAt,
		Public: row.Public, ThirdParty: row.ThirdParty, PKCEOptional: row.PKCEOptional,
		RedirectURIs: lines(row.RedirectURIs), SignOutURIs: lines(row.SignOutURIs), DeviceGrant: row.DeviceGrant, LogoutURI: row.LogoutURI,
		AccessTTL: row.AccessTTL, SessionTTL: row.SessionTTL, LogoHash: row.LogoHash, Registration: row.Registration, DocumentURI: row.DocumentURI,
	}
	if c.Unverified() { // so that a change of the setting applies to those that exist
		c.Scopes = s.Unverified.Scopes
	}
	return c
}

// NewClient is a client to be created.
type NewClient struct {
	Name          string
	Scopes        []string
	PasswordGrant bool
	Public        bool
	ThirdParty    bool
	PKCEOptional  bool
	RedirectURIs  []string
	SignOutURIs   []string
	DeviceGrant   bool
	LogoutURI     string
	AccessTTL     time.Duration
	SessionTTL    time.Duration
	Logo          []byte // an image; empty for none
}

// maxClientName counts code points.
const maxClientName = 64

// By is who changes a client: a caller of the API, or nil for the command line.
type By = *identity.Caller

// CreateClient creates a client and returns its secret, which is not stored and cannot be shown again. A public one has none.
// Errors: ValidationFailed, ClientNameTaken.
func (s *Service) CreateClient(ctx context.Context, by By, n NewClient) (Client, secret.Text, error) {
	if invalid := s.checkClient(by, n); len(invalid.Fields) > 0 {
		return Client{}, secret.Text{}, invalid
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Client{}, secret.Text{}, fmt.Errorf("make a client id: %w", err)
	}
	var created secret.Text
	hash := ""
	if !n.Public {
		created = token.NewSecret()
		hash = token.HashSecret(created)
	}
	row := s.clientRow(id.String(), n, hash)
	if err = s.insertClient(ctx, by, row, n.Logo); errors.Is(err, store.ErrConflict) {
		err = errClientNameTaken()
	}
	return s.clientOf(row), created, err
}

func errClientNameTaken() error {
	return problem.New(problem.ClientNameTaken, "Another client has this name.").At("/name", "is taken")
}

func errNoClient() error { return problem.New(problem.NotFound, "There is no client with this id.") }

// checkClient returns an error with a field for each fault, and without fields if there is none.
func (s *Service) checkClient(by By, n NewClient) *problem.Error {
	invalid := problem.New(problem.ValidationFailed, "The client cannot have these settings.")
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if n.Name == "" || n.Name != strings.TrimSpace(n.Name) || !utf8.ValidString(n.Name) ||
		utf8.RuneCountInString(n.Name) > maxClientName || strings.ContainsFunc(n.Name, unprintable) {
		invalid.At("/name", fmt.Sprintf("must have 1 to %d printable characters, and no space at its ends", maxClientName))
	}
	scopes := s.identity.Scopes
	for _, scope := range n.Scopes {
		switch {
		case !slices.Contains(scopes.Declared, scope):
			invalid.At("/scopes", "names a scope that the contract does not declare")
		case len(s.identity.Beyond(by, []string{scope})) > 0:
			invalid.At("/scopes", "names a scope that your token does not have")
		case !n.ThirdParty && !slices.Contains(scopes.OfClients(), scope):
			invalid.At("/scopes", "names a scope over one's own account, and a client has no account")
		}
	}
	checkAddresses(invalid, "/redirect_uris", n.RedirectURIs)
	checkAddresses(invalid, "/post_logout_redirect_uris", n.SignOutURIs)
	if fault := checkLogoutURI(n.LogoutURI); fault != "" {
		invalid.At("/backchannel_logout_uri", fault)
	}
	if len(n.Logo) > 0 {
		if _, fault := examineLogo(n.Logo); fault != "" {
			invalid.At("/logo", fault)
		}
	}
	if n.ThirdParty && n.PasswordGrant {
		invalid.At("/password_grant", "is not for the client of a third party, which must not see passwords")
	}
	s.checkTTL(invalid, "/access_token_ttl", n.AccessTTL, s.AccessTTL)
	s.checkTTL(invalid, "/session_ttl", n.SessionTTL, s.identity.RefreshTTL)
	switch {
	case n.Public && n.PKCEOptional:
		invalid.At("/require_pkce", "is required of a public client")
	case n.Public && len(n.RedirectURIs) == 0 && !n.PasswordGrant && !n.DeviceGrant:
		invalid.At("/redirect_uris", "is empty, and the client has no other way to get a token")
	}
	return invalid
}

// checkTTL refuses a lifetime that is longer than the server's, which keys and clean-up count on.
func (s *Service) checkTTL(invalid *problem.Error, field string, ttl, longest time.Duration) {
	if ttl != 0 && (ttl < minTTL || ttl > longest) {
		invalid.At(field, fmt.Sprintf("must be 0, or from %d to %d seconds", int(minTTL.Seconds()), int(longest.Seconds())))
	}
}

// minTTL is the shortest lifetime that a client can have for its tokens and sessions.
const minTTL = time.Minute

func checkAddresses(invalid *problem.Error, field string, addresses []string) {
	if len(addresses) > maxRedirects {
		invalid.At(field, fmt.Sprintf("has more than %d addresses", maxRedirects))
	}
	for i, address := range addresses {
		if fault := checkRedirect(address); fault != "" {
			invalid.At(fmt.Sprintf("%s/%d", field, i), fault)
		}
	}
}

func (s *Service) clientRow(id string, n NewClient, secretHash string) store.Client {
	return store.Client{
		ID: id, Name: n.Name, SecretHash: secret.New(secretHash), Scopes: strings.Join(identity.Intersect(n.Scopes, n.Scopes), " "),
		PasswordGrant: n.PasswordGrant, CreatedAt: s.now(),
		Public: n.Public, ThirdParty: n.ThirdParty, PKCEOptional: n.PKCEOptional,
		RedirectURIs: strings.Join(n.RedirectURIs, "\n"), SignOutURIs: strings.Join(n.SignOutURIs, "\n"), DeviceGrant: n.DeviceGrant, LogoutURI: n.LogoutURI,
		AccessTTL: n.AccessTTL, SessionTTL: n.SessionTTL, LogoHash: hashOf(string(n.Logo)), Registration: store.ByOperator,
	}
}

// insertClient stores a client. Errors: store.ErrConflict when its name or its id is taken.
func (s *Service) insertClient(ctx context.Context, by By, row store.Client, logo []byte) error {
	return s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.CreateClient(ctx, row); err != nil {
			return err
		}
		if len(logo) > 0 {
			if err := q.SetClientLogo(ctx, row.ID, row.LogoHash, logo); err != nil {
				return err
			}
		}
		return s.recordClient(ctx, q, audit.ClientCreated, by, row.ID)
	})
}

// recordClient records a change of a client, which the event names.
func (s *Service) recordClient(ctx context.Context, q *store.Queries, kind audit.Kind, by By, id string) error {
	event := audit.Event(ctx, store.User{}, by.Actor())
	event.ClientID = id
	return audit.Record(ctx, q, kind, event, s.now())
}

// sessionBatch is how many sessions of a client one commit ends.
const sessionBatch = 500

// endMostSessions ends the sessions of a client in batches, but for a few. After each batch it waits as long as the batch took,
// so that at least half of the time is left for other writers.
func (s *Service) endMostSessions(ctx context.Context, id string) error {
	for {
		begun := time.Now()
		ended, err := s.db.EndSessionsOfClient(ctx, id, sessionBatch)
		if err != nil || ended < sessionBatch {
			return err
		}
		select {
		case <-time.After(time.Since(begun)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// DeleteClient deletes a service client and ends the sessions of the people who logged in through it. Once it returns, the
// server refuses its tokens. If it is interrupted, the client and some of the sessions are left, and it can be called again.
// Errors: NotFound.
func (s *Service) DeleteClient(ctx context.Context, by By, id string) error {
	if !isClientID(id) {
		return errNoClient()
	}
	if err := s.endMostSessions(ctx, id); err != nil {
		return err
	}
	err := s.db.Tx(ctx, func(q *store.Queries) error {
		if err := q.DeleteClient(ctx, id); err != nil {
			return err
		}
		if err := q.EndRemainingSessionsOfClient(ctx, id); err != nil {
			return err
		}
		return s.recordClient(ctx, q, audit.ClientDeleted, by, id)
	})
	if errors.Is(err, store.ErrNotFound) {
		return errNoClient()
	}
	return err
}
