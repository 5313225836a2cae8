package apitest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sesame/gen/api"
)

// A proxy reaches the server through a Unix socket, and the server trusts its X-Forwarded-For. The file belongs to owner and
// group, one that a server has left behind is replaced, and any other is kept.
func TestAServerListensAtASocket(t *testing.T) {
	folder, err := os.MkdirTemp("", "") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "s")
	settings := []string{"SESAME_LISTEN=unix:" + path, "SESAME_PUBLIC_URL=https://login.example.com"}

	abandoned, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	abandoned.SetUnlinkOnClose(false)
	if err = abandoned.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, sqliteURL(t), settings...)
	s.register(t, "ann")
	for header, want := range map[string]string{
		"": "127.0.0.1", "203.0.113.7": "203.0.113.7", "198.51.100.1, 203.0.113.8": "203.0.113.8",
		"198.51.100.1, 127.0.0.1": "127.0.0.1", // a program on this machine calls the proxy
	} {
		var lines []string
		if header != "" {
			lines = []string{header}
		}
		token := s.loginThrough(t, lines)
		list := decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: token}).want(200))
		if got := list.Items[0].IPAddress; got != want {
			t.Errorf("with X-Forwarded-For %q the address is %q, want %q", header, got, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info, err)
	}
	environment := environment{"SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_SMTP_URL": "log:"}
	refused := func(want string, settings ...string) {
		t.Helper()
		for _, setting := range settings {
			name, value, _ := strings.Cut(setting, "=")
			environment[name] = value
		}
		_, stderr, code := command(t, "", environment, "serve")
		if code == 0 || !strings.Contains(stderr, want) || !strings.Contains(stderr, "SESAME_LISTEN") {
			t.Errorf("code %d, said %q, want %q", code, stderr, want)
		}
	}
	refused("already listening", settings...)
	succeeds(t, "", environment, "healthcheck")
	if code := s.stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	if n := strings.Count(s.log.String(), "has no X-Forwarded-For"); n != 1 {
		t.Errorf("a proxy that does not name the client is warned of %d times", n)
	}
	if _, err = os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if err = os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("not a socket", settings...)
	if text, err := os.ReadFile(path); string(text) != "data" {
		t.Errorf("the file is now %q (%v)", text, err)
	}
	refused("SESAME_PUBLIC_URL", "SESAME_LISTEN=unix:"+path, "SESAME_PUBLIC_URL=")
	refused("at most 103 bytes", "SESAME_LISTEN=unix:"+strings.Repeat("x", 104))
	refused("the path of a socket", "SESAME_LISTEN=unix:@sesame", "SESAME_PUBLIC_URL=https://login.example.com")
	refused("the folder must exist", "SESAME_LISTEN=unix:"+path+".d/s")
	refused("unix:PATH", "SESAME_LISTEN=unix")
}

// Requests are the same with and without the path of the public URL, whether the proxy removes it or not.
func TestTheProxyMayKeepTheBasePath(t *testing.T) {
	s := start(t, sqliteURL(t), "SESAME_PUBLIC_URL=https://example.com/auth/v1")
	token := s.newcomer(t, "ann").AccessToken
	for _, path := range []string{
		"/healthz", "/users/me", "/users/" + newID(), "/.well-known/jwks.json", "/openapi.yaml", "/docs/", "/docs/swagger-ui.css", "/docs", "/redoc", "/admin/", "/admin",
		"/confirm-email?code=x", "/users/me/", "/nothing", "/", "/users/%6de", "/users/me%2fsessions", "/users/me?access_token=x",
	} {
		plain, err := s.try(request{method: "GET", path: path, token: token})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := s.try(request{method: "GET", path: "/auth/v1" + path, token: token})
		if err != nil {
			t.Fatal(err)
		}
		if kept.status != plain.status || kept.header.Get("Location") != plain.header.Get("Location") || kept.status == 200 && string(kept.body) != string(plain.body) {
			t.Errorf("%s: got %d %s with the base path, %d %s without", path, kept.status, kept.body, plain.status, plain.body)
		}
	}
	for path, status := range map[string]int{
		"/auth/v1": 302, "/auth/v1users/me": 404, "/auth/v2/users/me": 404, "/auth/users/me": 404, "/auth/v1/auth/v1/users/me": 404, "/auth/v1//users/me": 404, "/auth/v1/../users/me": 404,
	} {
		if a := s.do(t, request{method: "GET", path: path, token: token}); a.status != status {
			t.Errorf("%s: got %d, want %d", path, a.status, status)
		}
	}
	s.do(t, request{method: "GET", path: "/auth/v1/users/me"}).want(401)

	// Where operations begin with the path, a request keeps its one meaning.
	s = start(t, sqliteURL(t), "SESAME_PUBLIC_URL=https://example.com/users")
	token = s.newcomer(t, "ann").AccessToken
	s.do(t, request{method: "GET", path: "/users/me", token: token}).want(200)
	s.do(t, request{method: "GET", path: "/users/healthz", token: token}).want(403)
	s.stop() // which writes the log
	if !strings.Contains(s.log.String(), "the proxy must remove it") {
		t.Errorf("the log says %s", s.log)
	}
}
