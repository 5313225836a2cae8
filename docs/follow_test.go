package docs_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"sesame"
	"sesame/docs"
)

// newFollower serves a contract that is being written, and returns a function that saves it.
func newFollower(t *testing.T, publicURL string) (e *echo.Echo, save func(text string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	save = func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(string(sesame.OpenAPI))
	e = newServer(t, publicURL)
	if err := docs.Follow(e, file, publicURL); err != nil {
		t.Fatal(err)
	}
	return e, save
}

func TestThePagesFollowTheFile(t *testing.T) {
	e, save := newFollower(t, publicURL+"/auth")
	const path = "/docs/openapi.yaml"
	if !bytes.Equal(get(t, e, path), get(t, newServer(t, publicURL+"/auth"), path)) {
		t.Error("the first version of the file is shown differently")
	}
	tag := do(e, http.MethodGet, path).Header.Get("ETag")
	if res := do(e, http.MethodGet, path, "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged: %s, want 304", res.Status)
	}

	save(strings.Replace(string(sesame.OpenAPI), "title: Sesame", "title: Barley", 1))
	res := do(e, http.MethodGet, path, "If-None-Match", tag)
	text := string(read(t, res))
	if res.StatusCode != http.StatusOK || !strings.Contains(text, "title: Barley") || !strings.Contains(text, "tokenUrl: /auth/token") {
		t.Errorf("changed: %s, %.200s", res.Status, text)
	}
	if bytes.Contains(get(t, e, "/openapi.yaml"), []byte("Barley")) {
		t.Error("/openapi.yaml is not the contract that the program was built from")
	}
}

func TestAFileThatCannotBeReadIsShownAsItIs(t *testing.T) {
	e, save := newFollower(t, publicURL)
	for _, broken := range []string{"", "openapi: [", "servers:\n  - url: '/'\n"} {
		save(broken)
		if got := string(get(t, e, "/docs/openapi.yaml")); got != broken {
			t.Errorf("%q is shown as %q", broken, got)
		}
	}
	save(string(sesame.OpenAPI))
	if !bytes.Contains(get(t, e, "/docs/openapi.yaml"), []byte("title: Sesame")) {
		t.Error("the corrected file is not shown")
	}
}

func TestOnlyAFollowingPageAsksForChanges(t *testing.T) {
	e, _ := newFollower(t, publicURL)
	script := get(t, e, "/docs/dev.js")
	if !bytes.Contains(script, []byte("updateSpec")) {
		t.Errorf("dev.js is %.100s", script)
	}
	for _, page := range []string{"/docs/", "/redoc"} {
		if !bytes.Contains(get(t, e, page), []byte(`dev.js"></script>`)) {
			t.Errorf("%s does not ask for changes", page)
		}
		plain, followed := do(common(), http.MethodGet, page), do(e, http.MethodGet, page)
		if a, b := plain.Header.Get("Content-Security-Policy"), followed.Header.Get("Content-Security-Policy"); a != b || a == "" {
			t.Errorf("%s has the policy %q, and %q when it follows", page, a, b)
		}
		if bytes.Contains(read(t, plain), []byte("dev.js")) {
			t.Errorf("%s asks for changes without --follow", page)
		}
	}
	if res := do(common(), http.MethodGet, "/docs/dev.js"); res.StatusCode != http.StatusNotFound {
		t.Errorf("dev.js without --follow: %s, want 404", res.Status)
	}
}
