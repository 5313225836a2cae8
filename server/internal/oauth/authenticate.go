package oauth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
	"sesame/server/secret"
)

// Credentials are how a request to a token endpoint identifies its client (RFC 6749 §2.3.1).
type Credentials struct {
	Authorization []secret.Text // the values of the header; other schemes than Basic are ignored
	FormID        string        // client_id
	FormSecret    secret.Text   // client_secret
}

// ErrClient is the one answer for an unknown client and a wrong secret (RFC 6749 §5.2).
func ErrClient() error {
	return problem.New(problem.InvalidClient, "The client is unknown or its secret is wrong.")
}

// AuthenticateClient returns the client that sends a request. Without credentials it is the built-in client with the id
// first-party. A public client gives its id alone. Errors: InvalidClient, InvalidRequest.
func (s *Service) AuthenticateClient(ctx context.Context, c Credentials) (Client, error) {
	id, given, err := c.read()
	if err != nil {
		return Client{}, err
	}
	if client, ok := s.builtIn(cmp.Or(id, token.FirstParty)); ok && given.Empty() {
		return client, nil
	}
	var row store.Client
	switch {
	case token.IsDocumentURI(id):
		row, err = s.storedDocument(ctx, id)
	case isClientID(id):
		row, err = s.db.ClientByID(ctx, id)
	}
	if store.IgnoreNotFound(err) != nil {
		return Client{}, err
	}
	client := s.clientOf(row)
	if row.Public && given.Empty() && client.PublicID() == id {
		return client, nil
	}
	if !s.hasSecret(row, given) {
		return Client{}, ErrClient()
	}
	return client, nil
}

// hasSecret reports whether a secret is that of a client, or the one before, while that is valid. For an unknown client the
// stored hashes are empty, and no hash equals them.
func (s *Service) hasSecret(row store.Client, given secret.Text) bool {
	hash := []byte(token.HashSecret(given))
	current := subtle.ConstantTimeCompare([]byte(row.SecretHash.Reveal()), hash) == 1
	old := subtle.ConstantTimeCompare([]byte(row.OldSecretHash.Reveal()), hash) == 1
	return current || old && store.Pending(row.OldSecretUntil, s.now(), MaxKeepSecret)
}

// isClientID reports whether a text can be the id of a client. A database cannot store every text.
func isClientID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}

// AuthenticateBasic authenticates a service client by the Authorization header alone. present is false if the header holds
// no Basic credentials. Errors: InvalidClient, InvalidRequest.
func (s *Service) AuthenticateBasic(ctx context.Context, authorization []secret.Text) (client Client, present bool, err error) {
	c := Credentials{Authorization: authorization}
	id, given, err := c.basic()
	if err != nil || id == "" && given.Empty() {
		return Client{}, false, err
	}
	if client, err = s.AuthenticateClient(ctx, c); err == nil && client.Public {
		err = ErrClient()
	}
	return client, true, err
}

// Check returns an error if the credentials contradict each other. AuthenticateClient does it too. Errors:
// InvalidClient, InvalidRequest.
func (c Credentials) Check() error {
	_, _, err := c.read()
	return err
}

// read returns the id and the secret from the header, or from the form where the header has none. The form may repeat the
// id of the header, as many libraries do. It must not name another client or hold a second secret.
func (c Credentials) read() (id string, given secret.Text, err error) {
	id, given, err = c.basic()
	switch {
	case err != nil:
		return "", secret.Text{}, err
	case id == "" && given.Empty(): // Swagger UI sends such a header
		return c.FormID, c.FormSecret, nil
	case !c.FormSecret.Empty():
		return "", secret.Text{}, problem.New(problem.InvalidRequest, "The client authenticates in the Authorization header, so the form must not contain a client_secret.")
	case c.FormID != "" && c.FormID != id:
		return "", secret.Text{}, problem.New(problem.InvalidRequest, "The client_id of the form is not the client of the Authorization header.")
	}
	return id, given, nil
}

// basic returns the credentials in the header; both are empty where there are none.
func (c Credentials) basic() (id string, given secret.Text, err error) {
	if len(c.Authorization) > 1 {
		return "", secret.Text{}, problem.New(problem.InvalidRequest, "There is more than one Authorization header.")
	}
	for _, header := range c.Authorization {
		if scheme, encoded, _ := strings.Cut(header.Reveal(), " "); strings.EqualFold(scheme, "Basic") {
			if id, given, err = decodeBasic(strings.TrimLeft(encoded, " ")); err != nil {
				return "", secret.Text{}, ErrClient()
			}
		}
	}
	return id, given, nil
}

// decodeBasic decodes client credentials: base64 of two form-encoded texts.
func decodeBasic(encoded string) (id string, given secret.Text, err error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", secret.Text{}, err
	}
	id, escaped, _ := strings.Cut(string(raw), ":")
	if id, err = url.QueryUnescape(id); err != nil {
		return "", secret.Text{}, err
	}
	plain, err := url.QueryUnescape(escaped)
	return id, secret.New(plain), err
}
