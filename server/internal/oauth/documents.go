package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"sesame/server/internal/identity"
	"sesame/server/internal/network"
	"sesame/server/internal/problem"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// A client_id may be the https URL of a document that describes the client (draft-ietf-oauth-client-id-metadata-document). The server
// reads it when somebody is sent to GET /authorize (documents_read.go), and stores the client when a person agrees. The token endpoint
// uses what is stored, so a stranger's request for tokens never makes the server send a request.

// Documents say whose client ID metadata documents are read.
type Documents struct {
	Hosts   []string       // with the port, where a URL has one
	Any     bool           // every host
	Private bool           // the hosts may be at private network addresses
	Roots   *x509.CertPool // nil for those of the system
	Log     *slog.Logger   // receives why a document is refused
}

// On reports whether any document is read.
func (d Documents) On() bool { return d.Any || len(d.Hosts) > 0 }

// maxDocumentURI is in bytes; the contract bounds client_id in the same way.
const maxDocumentURI = 256

// checkURI says what is wrong with the URL of a document, or returns "". It needs no request.
func (d Documents) checkURI(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil || len(uri) > maxDocumentURI || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		return "is not a URL of at most 256 ASCII characters"
	case u.Scheme != "https" || u.User != nil || strings.ContainsAny(uri, "?#"):
		return "has another scheme than https, a username, a query or a fragment"
	case !hostText.MatchString(u.Host) || strings.ToLower(u.Host) != u.Host || strings.HasSuffix(u.Hostname(), "."):
		return "has a host that is not a name in lower case"
	case u.Path == "" || u.Path == "/":
		return "has no path"
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(segment string) bool { return segment == "." || segment == ".." }):
		return "has a path with dots for a segment"
	case !d.Any && !slices.Contains(d.Hosts, u.Host):
		return "has a host that is not in SESAME_CLIENT_DOCUMENTS"
	case d.Private:
		return ""
	}
	if _, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err == nil || u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") {
		return "has an address for its host, or the name of this machine"
	}
	return ""
}

// maxFetches is how many documents that nobody here has agreed to one network can make the server read in fetchWindow.
const (
	maxFetches  = 30
	fetchWindow = registrationWindow
)

// The answers for a client whose document cannot be used. The log says why: the answer of a host must not reach a stranger.
const (
	noDocument   = "The application is not known here: its client_id is a URL at which this server finds no valid description."
	busyDocument = "The description of the application cannot be read now. Try again in a few minutes."
)

// documentClient returns the client that a document describes. An error that wraps ErrUnsafe is for a page.
func (s *Service) documentClient(ctx context.Context, uri string) (Client, error) {
	refused := func(reason string) (Client, error) {
		s.Unverified.Documents.Log.InfoContext(ctx, "a client ID metadata document is refused", "reason", reason)
		return Client{}, unsafeRequest(noDocument)
	}
	if !s.Unverified.Documents.On() {
		return Client{}, store.ErrNotFound
	}
	if reason := s.Unverified.Documents.checkURI(uri); reason != "" {
		return refused("the client_id " + reason)
	}
	if m, ok := s.documents.cached(uri); ok {
		return s.described(uri, m), nil
	}
	stored, err := s.db.ClientByID(ctx, token.ClientKey(uri))
	if store.IgnoreNotFound(err) != nil {
		return Client{}, err
	}
	known := err == nil
	from := network.FromContext(ctx)
	if !known {
		wait, err := s.identity.CountUse(ctx, s.identity.NetworkCounters(identity.DocumentFetches, from, maxFetches), fetchWindow)
		if err != nil {
			return Client{}, err
		}
		if wait > 0 {
			s.identity.Count.Throttled(identity.ThrottledClient)
			return Client{}, unsafeRequest(busyDocument)
		}
	}
	m, err := s.documents.read(ctx, uri, from.Site, known)
	switch {
	case err == nil:
		return s.described(uri, m), nil
	case errors.Is(err, errDocument):
		return refused(err.Error())
	case known: // the host does not answer: what it has said before is used
		return s.clientOf(stored), nil
	}
	s.Unverified.Documents.Log.InfoContext(ctx, "a client ID metadata document cannot be read", "reason", err.Error())
	return Client{}, unsafeRequest(busyDocument)
}

// described is the client that a document describes.
func (s *Service) described(uri string, m Metadata) Client {
	id := token.ClientKey(uri)
	row := s.unverifiedRow(id, m.Name, m.RedirectURIs)
	row.Registration, row.DocumentURI = store.ByDocument, uri
	return s.clientOf(row)
}

// keepDocument stores a client with a document, as the document describes it now, before a person agrees to it or it gets a code: the
// token endpoint knows it from then on.
func (s *Service) keepDocument(ctx context.Context, c Client) error {
	if c.Registration != store.ByDocument {
		return nil
	}
	stored, err := s.db.ClientByID(ctx, c.ID)
	if store.IgnoreNotFound(err) != nil || err == nil && stored.Name == c.Name && slices.Equal(lines(stored.RedirectURIs), c.RedirectURIs) {
		return err
	}
	row := s.unverifiedRow(c.ID, c.Title(), c.RedirectURIs)
	row.Registration, row.DocumentURI = store.ByDocument, c.DocumentURI
	err = s.db.Tx(ctx, func(q *store.Queries) error {
		created, err := q.SaveDocumentClient(ctx, row, s.now())
		if err == nil && created {
			err = s.recordUnverified(ctx, q, row.ID)
		}
		return err
	})
	if errors.Is(err, store.ErrConflict) { // another request has stored it at this moment
		return problem.Wrap(problem.Unavailable, "The server cannot process the request now. Try again shortly.", err)
	}
	return err
}

// storedDocument returns a client with a document for the token endpoint, which reads no document. Errors: store.ErrNotFound.
func (s *Service) storedDocument(ctx context.Context, uri string) (store.Client, error) {
	if s.Unverified.Documents.checkURI(uri) != "" || !s.Unverified.Documents.On() {
		return store.Client{}, store.ErrNotFound
	}
	return s.db.ClientByID(ctx, token.ClientKey(uri))
}
