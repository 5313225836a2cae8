package apitest

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
)

// An answer of a provider that is an error comes into the log and into the terminal shortened, and without control characters: anybody can
// make the server ask for it, as often as they like.
func TestErrorsOfAProviderAreShort(t *testing.T) {
	const discovery = "/.well-known/openid-configuration"
	page := "<h1>Sorry</h1>\x1b[2J\u202e" + strings.Repeat("long ", 40_000)
	status := func(path string, status int, body string) func(*issuer) {
		return func(i *issuer) {
			i.answers[path] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}
		}
	}
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		i.set(func() { status(discovery, 503, page)(i) })
		_, stderr, code := s.provider(t, "add", "corp", "--label", "Corp", "--issuer", i.URL, "--client-id", clientAtIssuer, "--client-secret-file", secretFile(t, secretAtIssuer))
		if code != 0 || !strings.Contains(stderr, "503") || len(stderr) > 1000 || strings.ContainsFunc(strings.TrimSpace(stderr), unprintable) {
			t.Errorf("%d, %d bytes: %.1000q", code, len(stderr), stderr)
		}
		for name, change := range map[string]func(*issuer){
			"discovery":         status(discovery, 503, page),
			"another issuer":    status(discovery, 200, `{"issuer":"`+strings.Repeat("x", 100_000)+`"}`),
			"keys":              status("/keys", 500, page),
			"keys without JSON": status("/keys", 200, page),
			"token endpoint":    status("/token", 400, `{"error":"\u001b[2J`+strings.Repeat("x", 100_000)+`"}`),
			"another audience":  func(i *issuer) { i.claims = func(c jwt.MapClaims) { c["aud"] = strings.Repeat("x", 100_000) } },
			"userinfo endpoint": func(i *issuer) {
				delete(i.person, "email")
				i.userInfo = map[string]any{}
				status("/userinfo", 500, page)(i)
			},
		} {
			i.set(func() { i.claims = nil; clear(i.answers); change(i) })
			s.clock.advance(2 * time.Hour)
			b := s.newBrowser()
			a := b.submit(t, b.send(t, get("/sign-in")).providerForm("corp"))
			if a.status == 200 {
				_, asked := a.leaves()
				a = b.send(t, get(i.consents(asked).RequestURI()))
			}
			t.Log(name)
			b.refused(t, a, "failed")
		}
		failures := 0
		for line := range strings.Lines(s.wholeLog()) {
			if !strings.Contains(line, "signing in at a provider failed") {
				continue
			}
			if failures++; len(line) > 1500 || strings.Contains(line, "\u202e") || strings.Contains(line, `\u202e`) {
				t.Errorf("the log has a line of %d bytes: %.1000s", len(line), line)
			}
		}
		if failures != 7 {
			t.Errorf("the log has %d failures", failures)
		}
	}, privateProviders)
}

func unprintable(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// F18: the browser carries the request to sign in again, so its user could leave that out. A provider that says when the person has signed in
// shows it.
func TestAProviderThatDoesNotAskAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		i := newIssuer(t, s.clock.now)
		s.addProvider(t, i)
		signedIn := func(at time.Time) { i.set(func() { i.claims = func(c jwt.MapClaims) { c["auth_time"] = at.Unix() } }) }
		b := s.newBrowser()
		signedIn(s.clock.now().Add(-time.Hour)) // the first sign-in asks for nothing else
		b.arrives(t, i)
		s.clock.advance(11 * time.Minute)
		again := func() *answer {
			t.Helper()
			page := b.follow(t, b.send(t, get(identitiesPage)).want(200), "Sign in once more to change something here").want(200)
			_, asked := b.submit(t, page.providerForm("corp")).leaves()
			return b.send(t, get(i.consents(asked).RequestURI()))
		}
		signedIn(s.clock.now().Add(-2 * time.Minute))
		if got := again().want(303).sentTo(s.url + "/sign-in").Get("fault"); got != "failed" {
			t.Errorf("the callback says %q", got)
		}
		b.send(t, get(identitiesPage)).want(200).shows("Sign in once more to change something here")
		signedIn(s.clock.now().Add(-30 * time.Second)) // by another clock
		b.lands(t, again(), identitiesPage).want(200)
		if page := b.send(t, get(identitiesPage)).want(200); !strings.Contains(string(page.body), "Remove this link") {
			t.Errorf("%s", page.body)
		}
	}, privateProviders)
}
