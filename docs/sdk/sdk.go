// Package sdk keeps a login to Sesame alive in a Go program. It sends the password once, adds the access token to every
// request, refreshes it before it expires, and ends the session when the program signs out.
//
//	session, err := sdk.Login(ctx, "https://login.example.com", username, password)
//	if err != nil {
//		return err // a refusal is an *oauth2.RetrieveError
//	}
//	defer session.SignOut(ctx)
//	api, err := client.NewClientWithResponses("https://login.example.com", client.WithHTTPClient(session.Client()))
//	...
//	me, err := api.GetMeWithResponse(ctx)
//
// The client is package gen/client, or any that takes an *http.Client. A [Session] is an
// [oauth2.TokenSource] as well, for libraries that ask for one. This file depends on golang.org/x
// alone, and may be copied.
//
// The password grant is for first-party programs, which would show a password field in any case.
package sdk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// ErrSignedOut is the error of every request after [Session.SignOut].
var ErrSignedOut = errors.New("sdk: signed out")

// refreshTimeout limits a refresh. Several requests may wait for it, so it does not use the context of any of them.
const refreshTimeout = 30 * time.Second

// Session is one login. It holds the tokens in memory only. Its methods are safe for concurrent use.
type Session struct {
	origin    string
	config    oauth2.Config
	revokeURL string
	base      *http.Client // sends the program's requests
	tokens    *http.Client // the same for the token endpoints, without redirects
	flights   singleflight.Group

	mu    sync.Mutex
	token *oauth2.Token // never nil
	ended error         // why the session has ended, or nil
}

// Login starts a session with a username and a password (RFC 6749 §4.3). Without scopes it gets the default ones. A refusal is an [*oauth2.RetrieveError], with an ErrorCode such as
// "invalid_grant".
//
// The address is the server's public URL. The context applies to the login alone, except that the session keeps using an
// [*http.Client] in it, under [oauth2.HTTPClient].
func Login(ctx context.Context, address, username, password string, scopes ...string) (*Session, error) {
	s, err := open(ctx, address)
	if err != nil {
		return nil, err
	}
	s.config.Scopes = scopes
	s.token, err = s.config.PasswordCredentialsToken(context.WithValue(ctx, oauth2.HTTPClient, s.tokens), username, password)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Resume continues a session with a token that [Session.Token] has returned, for example one that a command line tool has
// stored. It sends no request, and uses the context's client as [Login] does. A refresh token is valid for one use, so store
// the one that Token returns last.
func Resume(ctx context.Context, address string, token *oauth2.Token) (*Session, error) {
	s, err := open(ctx, address)
	if err != nil {
		return nil, err
	}
	if token == nil || token.RefreshToken == "" {
		return nil, errors.New("sdk: the token has no refresh token")
	}
	s.token = token
	return s, nil
}

func open(ctx context.Context, address string) (*Session, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("sdk: the server's address: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("sdk: the server's address must be absolute, such as https://login.example.com")
	}
	base, ok := ctx.Value(oauth2.HTTPClient).(*http.Client)
	if !ok {
		base = http.DefaultClient
	}
	tokens := *base
	tokens.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Session{
		origin: originOf(u),
		config: oauth2.Config{Endpoint: oauth2.Endpoint{
			TokenURL: u.JoinPath("token").String(), AuthStyle: oauth2.AuthStyleInParams,
		}},
		revokeURL: u.JoinPath("token/revoke").String(),
		base:      base,
		tokens:    &tokens,
	}, nil
}

// originOf returns the origin of a URL (RFC 6454 §4), with the default port of the scheme.
func originOf(u *url.URL) string {
	implied := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + cmp.Or(u.Port(), implied)
}

// Token returns an access token that has not expired, and refreshes it if necessary. If the server refuses the refresh, here
// or in a request, the error is an [*oauth2.RetrieveError] and the person has to log in again.
func (s *Session) Token() (*oauth2.Token, error) {
	return s.valid(context.Background())
}

// Client returns an HTTP client that sends the access token to the origin of the session and to no other. It repeats a
// request that is answered 401 once, with a new token, if the request has no body or a GetBody function, which
// http.NewRequest sets for bytes and strings.
func (s *Session) Client() *http.Client {
	c := *s.base
	c.Transport = &transport{session: s, base: cmp.Or[http.RoundTripper](s.base.Transport, http.DefaultTransport)}
	return &c
}

// SignOut ends the session on the server (RFC 7009) and with it all of its tokens. From the call on, requests fail with
// [ErrSignedOut]. If SignOut fails, it may be called again.
func (s *Session) SignOut(ctx context.Context) error {
	s.mu.Lock()
	s.ended = ErrSignedOut
	form := url.Values{"token": {s.token.RefreshToken}}
	s.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.revokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("sdk: sign out: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := s.tokens.Do(r)
	if err != nil {
		return fmt.Errorf("sdk: sign out: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return refusal(response)
	}
	return nil
}

// refusal returns the error that x/oauth2 has for an answer of the token endpoints.
func refusal(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("sdk: sign out: %w", err)
	}
	var said struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &said) // a proxy's answer has neither
	return &oauth2.RetrieveError{Response: response, Body: body, ErrorCode: said.Code, ErrorDescription: said.Description}
}

// current returns the token of the session, which may have expired.
func (s *Session) current() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.ended
}

func (s *Session) valid(ctx context.Context) (*oauth2.Token, error) {
	token, err := s.current()
	if err != nil || token.Valid() {
		return token, err
	}
	return s.renew(ctx, token)
}

// renew replaces a token that has expired or was refused. Concurrent calls with the same token share one refresh, and a call
// with an older token returns the current one, so each refresh token is used once.
func (s *Session) renew(ctx context.Context, used *oauth2.Token) (*oauth2.Token, error) {
	answer := s.flights.DoChan(used.AccessToken, func() (any, error) {
		if token, err := s.current(); err != nil || token != used {
			return token, err
		}
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), oauth2.HTTPClient, s.tokens), refreshTimeout)
		defer cancel()
		fresh, err := s.config.TokenSource(ctx, &oauth2.Token{RefreshToken: used.RefreshToken}).Token()
		return s.settle(fresh, err)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answer:
		token, _ := a.Val.(*oauth2.Token)
		return token, a.Err
	}
}

// settle stores the result of a refresh. Only a refused refresh token ends the session; after any other error the next
// request retries.
func (s *Session) settle(fresh *oauth2.Token, err error) (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil { // signed out in the meantime
		return nil, s.ended
	}
	if err == nil {
		s.token = fresh
		return fresh, nil
	}
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_grant" {
		s.ended = err
	}
	return nil, err
}

// transport adds the token to requests.
type transport struct {
	session *Session
	base    http.RoundTripper
}

// RoundTrip sends a request, and repeats it once with a new token after a 401.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if originOf(r.URL) != t.session.origin { // a redirect, or a request of the program, to another server
		return t.base.RoundTrip(r)
	}
	token, err := t.session.valid(r.Context())
	if err != nil {
		if r.Body != nil {
			r.Body.Close() // as a RoundTripper must
		}
		return nil, err
	}
	response, err := t.base.RoundTrip(withToken(r, token, r.Body))
	if err != nil || !staleToken(response) || hasBody(r) && r.GetBody == nil {
		return response, err
	}
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be reused
	response.Body.Close()
	if token, err = t.session.renew(r.Context(), token); err != nil {
		return nil, err
	}
	body := r.Body
	if hasBody(r) {
		if body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return t.base.RoundTrip(withToken(r, token, body))
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody
}

// withToken returns a copy of a request with the token. A RoundTripper must not change the request itself.
func withToken(r *http.Request, token *oauth2.Token, body io.ReadCloser) *http.Request {
	q := r.Clone(r.Context())
	q.Body = body
	token.SetAuthHeader(q)
	return q
}

// staleToken reports whether the answer may be different with a new token. It is not where the person has to log in again
// (RFC 9470).
func staleToken(response *http.Response) bool {
	return response.StatusCode == http.StatusUnauthorized &&
		!strings.Contains(response.Header.Get("WWW-Authenticate"), "insufficient_user_authentication")
}
