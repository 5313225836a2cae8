package guard

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"sesame/server/internal/contract"
	"sesame/server/internal/problem"
)

// wellKnown is where clients look for the metadata, in front of the path of the resource (RFC 9728 §3).
const wellKnown = "/.well-known/oauth-protected-resource"

// resourceMetadata tells clients which authorization server issues the tokens for a service (RFC 9728 §2).
type resourceMetadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported"`
	ResourceName           string   `json:"resource_name,omitempty"`
}

// published is the metadata and where it is.
type published struct {
	url, path string
	text      []byte
}

// publish makes the metadata of a service from its document.
func publish(o Options, document *contract.Contract) (*published, error) {
	u, err := url.Parse(o.Audience)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(o.Audience, `?#"\<>`) {
		return nil, errors.New("for Metadata the Audience must be the URL of the service, such as https://api.example, without a query")
	}
	if o.Audience == o.Issuer {
		return nil, errors.New("for Metadata the Audience must be the URL of the service, and not that of the issuer; register it in SESAME_AUDIENCES")
	}
	text, err := json.Marshal(resourceMetadata{
		Resource: o.Audience, AuthorizationServers: []string{o.Issuer}, ScopesSupported: document.Scopes().Declared,
		BearerMethodsSupported: []string{"header"}, ResourceName: document.Title,
	})
	path := wellKnown
	if u.Path != "/" { // RFC 9728 §3.1: a slash that is all of the path is left out
		path += u.EscapedPath()
	}
	return &published{url: u.Scheme + "://" + u.Host + path, path: path, text: text}, err
}

// isFor reports whether a request is for the metadata. An operation of the document at the same path takes precedence.
func (p *published) isFor(r *http.Request, found contract.Match) bool {
	return p != nil && found.Operation == nil && len(found.Allowed) == 0 && r.URL.EscapedPath() == p.path
}

// serve answers a request for the metadata. It is public, so a page of every website may read it.
func (p *published) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return problem.New(problem.MethodNotAllowed, "This address does not take the method; Allow lists those that it takes.")
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "public, max-age=300")
	if header.Get("Access-Control-Allow-Origin") == "" {
		header.Set("Access-Control-Allow-Origin", "*")
	}
	_, _ = w.Write(p.text) // fails only if the client has closed the connection
	return nil
}

// challenge adds the address of the metadata to a challenge for access tokens (RFC 9728 §5.1).
func (p *published) challenge(challenge string) string {
	if p == nil || !strings.HasPrefix(challenge, "Bearer ") {
		return challenge
	}
	return challenge + `, resource_metadata="` + p.url + `"`
}
