package apitest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"sesame/docs/sdk"
)

// allAtOnce asks for the profile from fifty goroutines.
func allAtOnce(t *testing.T, session *sdk.Session, address string) {
	t.Helper()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if status, err := statusOf(t.Context(), session, address); status != 200 || err != nil {
				t.Errorf("status %d: %v", status, err)
			}
		})
	}
	group.Wait()
}

func TestSDKRefreshesOnceForEverybody(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)

	// A token whose time is up by our own clock is not even sent.
	first := *tokenOf(t, session)
	first.Expiry = time.Now().Add(5 * time.Second) // too little to be worth sending
	session, err := sdk.Resume(w.context(t), s.url, &first)
	if err != nil {
		t.Fatal(err)
	}
	allAtOnce(t, session, s.url+"/users/me")
	w.want(t, map[string]int{"POST /token 200": 1, "GET /users/me 200": 50})
	second := tokenOf(t, session)
	if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Error("the session did not keep the new pair")
	}

	// It has expired by the server's clock, which the client learns from the answers.
	s.clock.advance(11 * time.Minute)
	allAtOnce(t, session, s.url+"/users/me")
	w.mu.Lock()
	refused := w.seen["GET /users/me 401"]
	delete(w.seen, "GET /users/me 401")
	w.mu.Unlock()
	if refused < 1 || refused > 50 {
		t.Errorf("%d requests were refused", refused)
	}
	w.want(t, map[string]int{"POST /token 200": 1, "GET /users/me 200": 50})
	if tokenOf(t, session).RefreshToken == second.RefreshToken {
		t.Error("the session did not keep the new refresh token")
	}
}

func TestSDKRepeatsARequestOnce(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)
	patch := func(body io.Reader) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.url+"/users/me", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := session.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || r.Header.Get("Authorization") != "" {
			t.Errorf("the caller's request was changed: %v %v", r.Header, err)
		}
		return string(text)
	}

	s.clock.advance(11 * time.Minute)
	if got := patch(strings.NewReader(`{"full_name":"Ann"}`)); !strings.Contains(got, `"full_name":"Ann"`) {
		t.Errorf("got %s", got)
	}
	w.want(t, map[string]int{"PATCH /users/me 401": 1, "POST /token 200": 1, "PATCH /users/me 200": 1})

	s.clock.advance(11 * time.Minute) // a stream is gone once it is sent
	if got := patch(io.MultiReader(strings.NewReader(`{"full_name":"Eve"}`))); !strings.Contains(got, "invalid_token") {
		t.Errorf("got %s", got)
	}
	w.want(t, map[string]int{"PATCH /users/me 401": 1})

	// If the fresh token is refused as well, that is the answer.
	w.before = func(r *http.Request) error {
		if r.URL.Path == "/users/me" {
			r.Header.Set("Authorization", "Bearer spoiled")
		}
		return nil
	}
	if status, err := statusOf(t.Context(), session, s.url+"/users/me"); status != 401 || err != nil {
		t.Errorf("status %d: %v", status, err)
	}
	w.want(t, map[string]int{"GET /users/me 401": 2, "POST /token 200": 1})
}

// Where a new password is wanted, a new token does not help.
func TestSDKDoesNotRefreshForALoginThatIsTooOld(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_ACCESS_TOKEN_TTL=30m")
	session, w := openSession(t, s, "me:read", "me:delete")
	s.clock.advance(11 * time.Minute)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+"/users/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := session.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	w.want(t, map[string]int{"DELETE /users/me 401": 1})
}

func TestSDKSignsOut(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)
	old := tokenOf(t, session)
	s.do(t, request{method: "GET", path: "/users/me", token: old.AccessToken}).want(200)

	// A sign-out that did not arrive can be repeated; meanwhile nothing is sent with the token.
	unplugged := errors.New("unplugged")
	w.before = func(*http.Request) error { return unplugged }
	if err := session.SignOut(t.Context()); !errors.Is(err, unplugged) {
		t.Errorf("got %v", err)
	}
	w.before = nil
	for range 2 {
		if err := session.SignOut(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.want(t, map[string]int{"POST /token/revoke 200": 2})
	s.do(t, request{method: "GET", path: "/users/me", token: old.AccessToken}).want(401, "invalid_token")
	s.do(t, refreshGrant(old.RefreshToken)).want(400, "invalid_grant")
	if _, err := session.Token(); !errors.Is(err, sdk.ErrSignedOut) {
		t.Errorf("got %v", err)
	}
	if _, err := statusOf(t.Context(), session, s.url+"/users/me"); !errors.Is(err, sdk.ErrSignedOut) {
		t.Errorf("got %v", err)
	}
	w.want(t, map[string]int{})
}

func TestSDKGivesTypedErrors(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)
	wantRefusal := func(err error) {
		t.Helper()
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "invalid_grant" ||
			refused.Response.StatusCode != 400 || refused.ErrorDescription == "" {
			t.Errorf("got %v", err)
		}
	}
	_, err := sdk.Login(t.Context(), s.url, "ann", "not the password")
	wantRefusal(err)

	// A network that fails ends nothing.
	s.clock.advance(11 * time.Minute)
	unplugged := errors.New("unplugged")
	w.before = func(r *http.Request) error {
		if r.URL.Path == "/token" {
			return unplugged
		}
		return nil
	}
	if _, err = statusOf(t.Context(), session, s.url+"/users/me"); !errors.Is(err, unplugged) {
		t.Errorf("got %v", err)
	}
	w.before = nil
	if status, err := statusOf(t.Context(), session, s.url+"/users/me"); status != 200 {
		t.Errorf("status %d: %v", status, err)
	}
	w.want(t, map[string]int{"GET /users/me 401": 2, "POST /token 200": 1, "GET /users/me 200": 1})

	// After a session was revoked elsewhere, the client sends no further requests.
	s.do(t, request{method: "DELETE", path: "/users/me/sessions", token: s.login(t, "ann").AccessToken}).want(204)
	for range 2 {
		_, err = statusOf(t.Context(), session, s.url+"/users/me")
		wantRefusal(err)
	}
	_, err = session.Token()
	wantRefusal(err)
	w.want(t, map[string]int{"GET /users/me 401": 1, "POST /token 400": 1})

	for _, address := range []string{"", "login.example.com", "ftp://login.example.com", "http://", "http://[::1"} {
		if _, err := sdk.Login(t.Context(), address, "ann", horse); err == nil || !strings.Contains(err.Error(), "the server's address") {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := sdk.Resume(t.Context(), s.url, &oauth2.Token{AccessToken: "alone"}); err == nil {
		t.Error("a session without a refresh token was resumed")
	}
}

// A refusal that arrives after the others have long refreshed is no reason to refresh again.
func TestSDKKnowsAnOldRefusal(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)
	s.clock.advance(11 * time.Minute)
	var first atomic.Bool
	begun, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.before = func(*http.Request) error {
		if first.CompareAndSwap(false, true) {
			close(begun)
			<-goOn
		}
		return nil
	}
	ask := func() {
		if status, err := statusOf(t.Context(), session, s.url+"/users/me"); status != 200 || err != nil {
			t.Errorf("status %d: %v", status, err)
		}
	}
	go func() { ask(); close(done) }()
	<-begun
	ask()
	close(goOn)
	<-done
	w.want(t, map[string]int{"GET /users/me 401": 2, "POST /token 200": 1, "GET /users/me 200": 2})
}

// Many requests wait for one refresh. One that gives up does not stop it for the others, and a
// sign-out is not undone by it.
func TestSDKWaitsForARefresh(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	session, w := openSession(t, s)
	s.clock.advance(11 * time.Minute)
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	w.before = func(r *http.Request) error {
		if r.URL.Path == "/token" {
			begun <- struct{}{}
			<-goOn
		}
		return nil
	}
	hasty, giveUp := context.WithCancel(t.Context())
	results := make(chan error, 2)
	go func() { _, err := statusOf(hasty, session, s.url+"/users/me"); results <- err }()
	<-begun
	giveUp()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	goOn <- struct{}{}
	if status, err := statusOf(t.Context(), session, s.url+"/users/me"); status != 200 {
		t.Errorf("status %d: %v", status, err)
	}
	w.mu.Lock()
	if w.seen["POST /token 200"] != 1 {
		t.Errorf("sent %v", w.seen)
	}
	w.mu.Unlock()

	s.clock.advance(11 * time.Minute)
	go func() { _, err := statusOf(t.Context(), session, s.url+"/users/me"); results <- err }()
	<-begun
	if err := session.SignOut(t.Context()); err != nil {
		t.Error(err)
	}
	goOn <- struct{}{}
	if err := <-results; !errors.Is(err, sdk.ErrSignedOut) {
		t.Errorf("got %v", err)
	}
}

func TestSDKSendsTheTokenToItsOriginAlone(t *testing.T) {
	t.Parallel()
	var told []string
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		told = append(told, r.Method+" "+r.Header.Get("Authorization")+string(body))
		if err != nil {
			t.Error(err)
		}
	}))
	defer stranger.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(stranger.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()

	s := start(t, sqliteURL(t))
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	s.register(t, "ann")
	session, err := sdk.Login(t.Context(), "http://LocalHost:"+port+"/", "ann", horse)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]int{
		"http://localhost:" + port + "/users/me": 200, s.url + "/users/me": 401, stranger.URL: 200, redirecting.URL: 200,
	} {
		if status, err := statusOf(t.Context(), session, address); status != want || err != nil {
			t.Errorf("%s: status %d, want %d: %v", address, status, want, err)
		}
	}
	// Nor does a redirect of the token endpoint take the password along.
	if _, err := sdk.Login(t.Context(), redirecting.URL, "ann", horse); err == nil {
		t.Error("a redirected login succeeded")
	}
	// A server that redirects gets the token, and the one that it sends to does not.
	aside, err := sdk.Resume(t.Context(), redirecting.URL, &oauth2.Token{AccessToken: "x", RefreshToken: "y"})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := statusOf(t.Context(), aside, redirecting.URL); status != 200 || err != nil {
		t.Errorf("status %d: %v", status, err)
	}
	for _, got := range told {
		if got != "GET " {
			t.Errorf("the stranger was told %q", got)
		}
	}
	if len(told) != 3 {
		t.Errorf("the stranger was asked %d times", len(told))
	}
}
