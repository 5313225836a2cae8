package guard_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/server/guard"
	"sesame/server/internal/token/personal"
	"sesame/server/secret"
)

// lookups is the endpoint of an issuer where it looks up tokens. A test changes it with (*issuer).change.
type lookups struct {
	known   map[string]object // the answers, by token
	asked   []string
	status  int           // instead of an answer, if it is not 0
	waits   chan struct{} // an answer waits for it, if it is not nil
	running int           // requests that wait
	most    int           // the most of them at a time
}

const clientID, clientSecret = "service", "p:ss +wörd"

// looksUp gives an issuer the endpoint.
func looksUp(t *testing.T) (*issuer, *lookups) {
	t.Helper()
	i, l := newIssuer(t), &lookups{known: map[string]object{}}
	i.lookups = l
	return i, l
}

// serve answers a request about a token.
func (l *lookups) serve(i *issuer, w http.ResponseWriter, r *http.Request) {
	id, text, _ := r.BasicAuth()
	if id != "service" || text != "p%3Ass+%2Bw%C3%B6rd" || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	given := r.PostFormValue("token")
	l.asked = append(l.asked, given)
	l.running++
	l.most = max(l.most, l.running)
	if wait := l.waits; wait != nil {
		i.mu.Unlock()
		<-wait
		i.mu.Lock()
	}
	l.running--
	if l.status != 0 {
		w.WriteHeader(l.status)
		return
	}
	answer := l.known[given]
	if answer == nil {
		answer = object{"active": false}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// add makes a token that the issuer knows.
func (l *lookups) add(i *issuer, changes object) string {
	text, now := personal.New().Reveal(), time.Now().Unix()
	i.change(func() {
		l.known[text] = object{
			"active": true, "sesame_token_kind": "personal_access_token", "iss": i.URL, "aud": audience, "sub": "ann", "username": "ann",
			"scope": "notes:read", "token_type": "bearer", "jti": "7", "iat": now, "exp": now + 3600,
		}.with(changes)
	})
	return text
}

// times is how often the issuer was asked about a token.
func (l *lookups) times(i *issuer, text string) (n int) {
	i.change(func() {
		for _, asked := range l.asked {
			if asked == text {
				n++
			}
		}
	})
	return n
}

func introspecting(o *guard.Options) {
	o.Introspect = &guard.ServiceClient{ID: clientID, Secret: secret.New(clientSecret)}
}

// at is introspecting with a clock.
func at(now *time.Time) func(*guard.Options) {
	return func(o *guard.Options) { introspecting(o); o.Now = func() time.Time { return *now } }
}

func refuses(detail string) string {
	return `Bearer realm="sesame", error="invalid_token", error_description="` + detail + `"`
}

// A personal access token is accepted with Introspect alone. Its scopes count, and the handler sees what it is.
func TestPersonalTokensAreLookedUp(t *testing.T) {
	t.Parallel()
	i, l := looksUp(t)
	text := l.add(i, nil)
	want(t, call(served(t, i, nil), "GET /v1/notes", text, ""), 401, "invalid_token", refuses("This service accepts no personal access tokens."))
	var who *guard.Caller
	h := newGuard(t, i, introspecting).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who = guard.CallerFrom(r.Context()) }))
	want(t, call(h, "GET /v1/notes", text, ""), 200, "", "")
	if who == nil || !who.Personal || who.Subject != "ann" || who.ClientID != "" || !slices.Equal(who.Scopes, []string{"notes:read"}) || who.Claims["jti"] != "7" ||
		who.ACR != "" || who.AMR != nil || !who.AuthTime.IsZero() {
		t.Errorf("the caller is %+v", who)
	}
	want(t, call(h, "POST /v1/notes", text, "{}"), 403, "insufficient_scope", lacks("notes:write"))
	want(t, call(h, "GET /v1/notes", personal.New().Reveal(), ""), 401, "invalid_token", invalid)
	want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, nil), ""), 200, "", "")
	if who.Personal {
		t.Error("the token of a session is a personal one")
	}
	for name, changes := range map[string]object{
		"another audience": {"aud": "https://api.example"}, "no audience": {"aud": nil}, "another issuer": {"iss": i.URL + "/"}, "no issuer": {"iss": nil},
		"another kind": {"sesame_token_kind": "session"}, "no kind": {"sesame_token_kind": nil}, "no subject": {"sub": nil},
		"no expiry": {"exp": nil}, "expired": {"exp": time.Now().Unix() - 1}, "not active": {"active": false},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, call(h, "GET /v1/notes", l.add(i, changes), ""), 401, "invalid_token", invalid)
		})
	}
	want(t, call(h, "GET /v1/notes", l.add(i, object{"aud": []string{"https://x.example", audience}}), ""), 200, "", "")
}

// F12: a personal access token meets no demand for a sign-in, whatever the answer says.
func TestPersonalTokensMeetNoDemand(t *testing.T) {
	t.Parallel()
	i, l := looksUp(t)
	text := l.add(i, object{"scope": "notes:write", "acr": "2", "amr": []string{"mfa"}, "auth_time": time.Now().Unix()})
	for _, extension := range []string{"x-requires-acr: '1'", "x-requires-max-age: 300"} {
		h := served(t, i, func(o *guard.Options) { demand(extension)(o); introspecting(o) })
		if w := call(h, "POST /v1/notes", text, `{"text":"a"}`); w.Code != 401 || !strings.Contains(w.Body.String(), "insufficient_user_authentication") {
			t.Errorf("%s: %d %s", extension, w.Code, w.Body)
		}
	}
}

// The answer about a token is used for 30 seconds, and no longer than the token is valid. Requests at once share one lookup.
func TestLookupsAreShared(t *testing.T) {
	t.Parallel()
	i, l := looksUp(t)
	now := time.Now()
	h := served(t, i, at(&now))
	text, short, unknown := l.add(i, nil), l.add(i, object{"exp": now.Unix() + 10}), personal.New().Reveal()
	for _, status := range inParallel(50, func() int { return call(h, "GET /v1/notes", text, "").Code }) {
		if status != 200 {
			t.Errorf("got %d", status)
		}
	}
	for range 3 {
		want(t, call(h, "GET /v1/notes", short, ""), 200, "", "")
		want(t, call(h, "GET /v1/notes", unknown, ""), 401, "invalid_token", invalid)
	}
	now = now.Add(29 * time.Second)
	i.change(func() { delete(l.known, text) }) // it is revoked
	want(t, call(h, "GET /v1/notes", text, ""), 200, "", "")
	want(t, call(h, "GET /v1/notes", short, ""), 401, "invalid_token", invalid)
	for name, c := range map[string]struct {
		text  string
		times int
	}{"valid": {text, 1}, "expired": {short, 2}, "unknown": {unknown, 1}} {
		if n := l.times(i, c.text); n != c.times {
			t.Errorf("the %s token was looked up %d times, want %d", name, n, c.times)
		}
	}
	now = now.Add(time.Second)
	want(t, call(h, "GET /v1/notes", text, ""), 401, "invalid_token", invalid)
	now = now.Add(-time.Minute) // the clock is set back: the refusal replaces the answer before it
	want(t, call(h, "GET /v1/notes", text, ""), 401, "invalid_token", invalid)
}

// A token that cannot be looked up gets 503: it may have been revoked. The failure is not kept.
func TestPersonalTokensFailClosed(t *testing.T) {
	t.Parallel()
	i, l := looksUp(t)
	now := time.Now()
	h := served(t, i, at(&now))
	text := l.add(i, nil)
	want(t, call(h, "GET /v1/notes", text, ""), 200, "", "")
	for _, status := range []int{500, 401, 302, 204} {
		i.change(func() { l.status = status })
		want(t, call(h, "GET /v1/notes", text, ""), 200, "", "") // the answer is recent
		other := l.add(i, nil)
		down := call(h, "GET /v1/notes", other, "")
		want(t, down, 503, "unavailable", "")
		if down.Header().Get("Retry-After") == "" {
			t.Error("it does not say when to try again")
		}
		i.change(func() { l.status = 0 })
		want(t, call(h, "GET /v1/notes", other, ""), 200, "", "")
	}
	now = now.Add(31 * time.Second)
	i.change(func() { l.status = 500 })
	want(t, call(h, "GET /v1/notes", text, ""), 503, "unavailable", "")
	want(t, call(h, "GET /v1/notes", i.token(t, "first", nil, nil), ""), 200, "", "") // which is verified here
	i.change(func() { l.status = 0; l.known[text] = nil })
	want(t, call(h, "GET /v1/notes", text, ""), 401, "invalid_token", invalid)
}

// However many tokens come at once, at most 16 lookups are in progress. A mistyped token causes none.
func TestLookupsAreBounded(t *testing.T) {
	t.Parallel()
	i, l := looksUp(t)
	h := served(t, i, introspecting)
	text := l.add(i, nil)
	for _, mistyped := range []string{"ssm_", text[:39], text + "0", strings.ToLower(text), "ssm_" + strings.Repeat("a", 1<<20)} {
		want(t, call(h, "GET /v1/notes", mistyped, ""), 401, "invalid_token", invalid)
	}
	i.change(func() {
		if len(l.asked) != 1 { // at the start
			t.Errorf("%d lookups", len(l.asked))
		}
		l.waits = make(chan struct{})
	})
	var all sync.WaitGroup
	for range 40 {
		token := l.add(i, nil)
		all.Go(func() { want(t, call(h, "GET /v1/notes", token, ""), 200, "", "") })
	}
	for full := false; !full; {
		i.change(func() { full = l.running == 16 })
	}
	i.change(func() { close(l.waits) })
	all.Wait()
	if l.most != 16 {
		t.Errorf("%d lookups were in progress at a time, want 16", l.most)
	}
}

// A guard that could look nothing up does not start.
func TestTheGuardRefusesToStartWithoutItsClient(t *testing.T) {
	t.Parallel()
	i, _ := looksUp(t)
	silent := newIssuer(t)
	for name, c := range map[string]struct {
		client guard.ServiceClient
		issuer *issuer
		reason string
	}{
		"no id":          {guard.ServiceClient{Secret: secret.New(clientSecret)}, i, "the id and the secret of a service client are needed"},
		"no secret":      {guard.ServiceClient{ID: clientID}, i, "the id and the secret of a service client are needed"},
		"a wrong secret": {guard.ServiceClient{ID: clientID, Secret: secret.New("other")}, i, "the issuer refuses the client service"},
		"no endpoint":    {guard.ServiceClient{ID: clientID, Secret: secret.New(clientSecret)}, silent, "introspection_endpoint"},
	} {
		o := guard.Options{OpenAPI: []byte(notes), Issuer: c.issuer.URL, Audience: audience, Log: slog.New(slog.DiscardHandler), Introspect: &c.client}
		if g, err := guard.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.reason) || strings.Contains(err.Error(), "other") {
			t.Errorf("%s: got %v %v, want %q", name, g, err, c.reason)
		}
	}
}

// A2: neither the log nor the answers contain a personal access token, or the secret of the client.
func TestLookupsRepeatNothing(t *testing.T) {
	t.Parallel()
	i, l := looksUp(t)
	var log bytes.Buffer
	h := served(t, i, func(o *guard.Options) {
		introspecting(o)
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Log.Info("options", "options", *o)
	})
	known, unknown := l.add(i, nil), personal.New().Reveal()
	texts := []string{known, unknown, known + "x", l.add(i, object{"active": "yes"}), l.add(i, object{"exp": "never"})}
	for _, status := range []int{0, 500} {
		i.change(func() { l.status = status })
		for _, text := range texts {
			if w := call(h, "GET /v1/notes", text, ""); strings.Contains(w.Body.String(), text[4:]) || strings.Contains(w.Header().Get("WWW-Authenticate"), text[4:]) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	}
	for _, text := range append(slices.Clone(texts), clientSecret) {
		if strings.Contains(log.String(), text[4:]) {
			t.Errorf("%s is in the log:\n%s", text, log.String())
		}
	}
	if !strings.Contains(log.String(), "could not be looked up") {
		t.Errorf("the log is\n%s", log.String())
	}
}
