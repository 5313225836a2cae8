package apitest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/server/guard"
)

// T1, O4, O5: another service, with nothing but its own document and the issuer's address, lets the right
// tokens in.
func TestAnotherServiceTrustsOurTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		document, err := os.ReadFile("../guard/example/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		g, err := guard.New(t.Context(), guard.Options{
			OpenAPI: document, Issuer: s.url, Audience: s.url, Log: slog.New(slog.DiscardHandler), ValidateRequests: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		var who *guard.Caller
		notes := httptest.NewServer(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who = guard.CallerFrom(r.Context())
		})))
		t.Cleanup(notes.Close)
		ask := func(method, token string, status int, challenge string) {
			t.Helper()
			q, err := http.NewRequest(method, notes.URL+"/notes", strings.NewReader(`{"text":"buy a horse"}`))
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set("Content-Type", "application/json")
			if token != "" {
				q.Header.Set("Authorization", "Bearer "+token)
			}
			a, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			a.Body.Close()
			if got := a.Header.Get("WWW-Authenticate"); a.StatusCode != status || !strings.HasPrefix(got, challenge) || (challenge == "") != (got == "") {
				t.Errorf("%s: got %d %s, want %d %s", method, a.StatusCode, got, status, challenge)
			}
		}
		const refused = `Bearer realm="sesame", error="invalid_token"`
		ann := s.register(t, "ann")
		tokens := s.login(t, "ann")
		ask("GET", tokens.AccessToken, 200, "")
		if who == nil || who.Subject != ann.ID || who.ClientID != "first-party" || !who.HasScope("me:write") || who.HasScope("users:read") {
			t.Errorf("the caller is %+v", who)
		}
		ask("POST", tokens.AccessToken, 200, "")
		ask("GET", "", 401, `Bearer realm="sesame"`)
		ask("GET", tokens.RefreshToken, 401, refused)
		ask("DELETE", tokens.AccessToken, 200, "")
		access := s.access(t, tokens.AccessToken)
		ask("GET", s.signed(t, s.issuer(t, s.url, s.url), access), 200, "")
		ask("GET", s.signed(t, s.issuer(t, s.url, "https://api.example"), access), 401, refused)
		ask("GET", s.signed(t, s.issuer(t, "https://evil.example", s.url), access), 401, refused)
		access.AuthTime = access.AuthTime.Add(-6 * time.Minute)
		ask("DELETE", s.signed(t, s.issuer(t, s.url, s.url), access), 401, `Bearer realm="sesame", error="insufficient_user_authentication"`)
		access.Scope = "me:read"
		ask("POST", s.signed(t, s.issuer(t, s.url, s.url), access), 403, `Bearer realm="sesame", error="insufficient_scope"`)
	})
}

// The guide shows what the example has, and its commands print what it says.
func TestTheGuideOfTheGuard(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
		t.Skip("the commands of the guide need curl")
	}
	text, err := os.ReadFile("../../docs/guides/guard.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("../guard/example/main.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```(go|sh)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 || !strings.Contains(string(program), blocks[0][2]) {
		t.Fatal("the guide shows something else than the example")
	}
	binary := filepath.Join(t.TempDir(), "notes")
	if output, err := exec.Command("go", "build", "-o", binary, "../guard/example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	s := launch(t, sqliteURL(t), []string{"serve", "--demo"})
	notes := exec.Command(binary, s.url)
	notes.Env = append(os.Environ(), "NOTES_LISTEN=127.0.0.1:0")
	output := newLines()
	notes.Stdout, notes.Stderr = output, os.Stderr
	if err = notes.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notes.Process.Kill(); notes.Wait() })
	address := output.find(regexp.MustCompile(`Notes at (http\S+)/notes`))
	commands := strings.NewReplacer("http://127.0.0.1:8080", s.url, "http://127.0.0.1:8090", address).Replace(blocks[1][2])
	printed, err := exec.Command("sh", "-euc", commands).Output()
	if err != nil || string(printed) != "401\n200\n403\n" {
		t.Errorf("they print %q (%v)", printed, err)
	}
}
