// Package logintest runs a server that uses package login, for tests that speak HTTP to it.
//
//	func TestNotes(t *testing.T) {
//		logintest.OnEachEngine(t, mount, func(t *testing.T, s *logintest.Server) {
//			ann := s.Token(t, "ann")
//			s.Do(t, "POST", "/notes", ann, `{"text":"Buy bread."}`).Want(t, 201)
//		})
//	}
//
// A test runs on SQLite, and on PostgreSQL where its programs are installed or SESAME_TEST_POSTGRES names a server.
package logintest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"sesame/server/internal/cli"
	"sesame/server/internal/postgrestest"
	"sesame/server/login"
)

// Password is that of every account that Token makes.
const Password = "a wooden horse"

// Server is a server under test.
type Server struct {
	URL string // http://127.0.0.1:PORT
	App *login.App
	Log *Log // what it has logged, as text

	environ []string
}

// Mount puts operations on a server: what a program does between login.Open and Serve.
type Mount func(ctx context.Context, app *login.App) (*echo.Echo, error)

// OnEachEngine runs a test on a fresh server on each database engine. Settings are SESAME_ variables, NAME=value.
func OnEachEngine(t *testing.T, mount Mount, test func(t *testing.T, s *Server), settings ...string) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, Start(t, mount, append(settings, "SESAME_DATABASE_URL=sqlite:"+filepath.Join(t.TempDir(), "test.db"))...))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Start(t, mount, append(settings, "SESAME_DATABASE_URL="+postgrestest.Empty(t), "SESAME_MASTER_KEY="+randomKey())...))
	})
}

func randomKey() string {
	var key [32]byte
	rand.Read(key[:])
	return base64.StdEncoding.EncodeToString(key[:])
}

// Start runs a server on a free port until the test ends, and fails the test if it does not start or does not end
// well. Its database is a new SQLite file, unless the settings name one.
func Start(t *testing.T, mount Mount, settings ...string) *Server {
	t.Helper()
	environ := append([]string{
		"SESAME_LISTEN=127.0.0.1:0", "SESAME_CHECK_RESPONSES=on", "SESAME_REGISTRATION_LIMIT=0",
		"SESAME_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "test.db"),
	}, settings...)
	parsed, err := login.FromEnv(environ)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	log := &Log{}
	app, err := login.Open(ctx, parsed, login.Log(slog.New(slog.NewTextHandler(log, nil))))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	e, err := mount(ctx, app)
	if err != nil {
		cancel()
		t.Fatal(errors.Join(err, app.Close()))
	}
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, e) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := errors.Join(<-served, app.Close()); err != nil {
			t.Error(err)
		}
		if text := log.String(); strings.Contains(text, "departs from the contract") {
			t.Errorf("an answer departs from the contract:\n%s", text)
		}
	})
	return &Server{app.URL(), app, log, environ}
}

// Token registers an account, where there is none of that name, and logs in. With scopes it asks for these alone.
func (s *Server) Token(t *testing.T, username string, scopes ...string) string {
	t.Helper()
	body := fmt.Sprintf(`{"username":%q,"password":%q}`, username, Password)
	if r := s.Do(t, "POST", "/users", "", body); r.Status != http.StatusCreated && r.Status != http.StatusConflict {
		t.Fatalf("register %s: %d %s", username, r.Status, r.Body)
	}
	form := url.Values{"grant_type": {"password"}, "username": {username}, "password": {Password}, "scope": {strings.Join(scopes, " ")}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, response).Want(t, http.StatusOK)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	r.JSON(t, &token)
	return token.AccessToken
}

// Response is an answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request. token may be empty, and so may body, which is JSON.
func (s *Server) Do(t *testing.T, method, path, token, body string) *Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) *Response {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &Response{response.StatusCode, response.Header, body}
}

// Want fails the test unless the answer has a status.
func (r *Response) Want(t *testing.T, status int) *Response {
	t.Helper()
	if r.Status != status {
		t.Fatalf("got %d, want %d\n%s", r.Status, status, r.Body)
	}
	return r
}

// JSON decodes the body.
func (r *Response) JSON(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, into); err != nil {
		t.Fatalf("%v\n%s", err, r.Body)
	}
}

// Sesame runs a command of the program sesame on the server's database, and gives what it prints: user grant, for
// example.
func (s *Server) Sesame(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	values := map[string]string{}
	for _, variable := range s.environ {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	var out strings.Builder
	code := cli.Run(t.Context(), args, cli.Env{
		Getenv: func(name string) string { return values[name] }, Environ: s.environ,
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Now: time.Now,
	})
	if code != 0 {
		err = fmt.Errorf("exit code %d", code)
	}
	return out.String(), err
}

// Log is text that many write.
type Log struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
