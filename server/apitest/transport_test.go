package apitest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"sesame/docs/sdk"
)

// recorder is an HTTP transport that counts what a session sends, by "METHOD /path status". A test can change or refuse a
// request before it is sent.
type recorder struct {
	before func(*http.Request) error

	mu   sync.Mutex
	seen map[string]int
}

func (w *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.before != nil {
		if err := w.before(r); err != nil {
			return nil, err
		}
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[fmt.Sprint(r.Method, " ", r.URL.Path, " ", response.StatusCode)]++
	}
	return response, err
}

// want fails the test unless exactly this was sent since the last call.
func (w *recorder) want(t *testing.T, counts map[string]int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !maps.Equal(w.seen, counts) {
		t.Errorf("sent %v, want %v", w.seen, counts)
	}
	w.seen = map[string]int{}
}

// openSession registers ann and logs her in. The recorder does not count the login.
func openSession(t *testing.T, s *server, scopes ...string) (*sdk.Session, *recorder) {
	t.Helper()
	s.register(t, "ann")
	w := &recorder{seen: map[string]int{}}
	session, err := sdk.Login(w.context(t), s.url, "ann", horse, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	w.want(t, map[string]int{"POST /token 200": 1})
	return session, w
}

func (w *recorder) context(t *testing.T) context.Context {
	return context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: w})
}

// statusOf asks the session's client for a page and gives the status.
func statusOf(ctx context.Context, session *sdk.Session, address string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	response, err := session.Client().Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func tokenOf(t *testing.T, session *sdk.Session) *oauth2.Token {
	t.Helper()
	token, err := session.Token()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
