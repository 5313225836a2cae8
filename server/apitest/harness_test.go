package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sesame"

	"sesame/gen/api"
	"sesame/server/internal/account"
	"sesame/server/internal/cli"
	"sesame/server/internal/contract"
	"sesame/server/internal/identity"
	"sesame/server/internal/oauth"
	"sesame/server/internal/password"
	"sesame/server/internal/postgrestest"
	"sesame/server/internal/store"
	"sesame/server/internal/token"
)

// The tests speak HTTP to the real program, on SQLite always and on PostgreSQL where its programs
// are installed or SESAME_TEST_POSTGRES names a server.

var (
	postgres      *postgrestest.Server
	postgresError error
	// rules is the contract that every answer is held against.
	rules *contract.Contract
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" { // see process
		if uid, err := strconv.Atoi(os.Getenv(asUser)); err == nil {
			if err := syscall.Setuid(uid); err != nil {
				panic(err)
			}
		}
		os.Exit(cli.Main())
	}
	os.Exit(func() int {
		var err error
		if rules, err = contract.Compile(sesame.OpenAPI, map[string]contract.Scheme{"OAuth2Password": nobody, "ClientBasic": nobody}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if postgres, postgresError = postgrestest.Start(ctx, postgrestest.Fast); postgresError == nil {
			defer postgres.Stop()
		}
		return m.Run()
	}())
}

// nobody stands for the server's security schemes where nothing is served.
func nobody(context.Context, *http.Request) (contract.Caller, error) { return nil, nil }

// The account of --demo.
const (
	demoUsername = "johndoe"
	demoPassword = "knock-knock"
)

// onEachEngine runs a test against a fresh server on each database engine.
func onEachEngine(t *testing.T, test func(t *testing.T, s *server), settings ...string) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, sqliteURL(t), settings...))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, postgresURL(t), settings...))
	})
}

func sqliteURL(t *testing.T) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "sesame.db")
}

func postgresURL(t *testing.T) string {
	t.Helper()
	switch {
	case errors.Is(postgresError, postgrestest.ErrNotInstalled) && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1":
		t.Skip("PostgreSQL is not installed, and SESAME_TEST_POSTGRES names no server")
	case postgresError != nil:
		t.Fatal(postgresError)
	}
	databaseURL, err := postgres.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.DropDatabase(context.Background(), databaseURL); err != nil {
			t.Error(err)
		}
	})
	return databaseURL
}

// testKey is a master key that exists for one test run.
var testKey = sync.OnceValue(func() string {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("sesame-test-%d.key", os.Getpid()))
	defer os.Remove(file)
	if _, err := token.MakeMasterKey(file); err != nil {
		panic(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(text))
})

// clock is the time that a server under test goes by.
type clock struct {
	mu      sync.Mutex
	stopped time.Time // if set
	ahead   time.Duration
	asks    int    // until then is called
	then    func() // if set
	where   string // only asks inside this function count, if set
}

func (c *clock) now() time.Time {
	if then := c.due(); then != nil {
		then()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

// due counts an ask, and gives what is to be done at it.
func (c *clock) due() (then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks == 0 || c.where != "" && !strings.Contains(string(debug.Stack()), c.where+"(") {
		return nil
	}
	if c.asks--; c.asks == 0 {
		return c.then
	}
	return nil
}

// at calls f when the server asks for the time for the nth time from Now: a place in the midst of a
// request.
func (c *clock) at(n int, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks, c.then, c.where = n, f, ""
}

// inside is at for a function of the server, whatever else asks meanwhile.
func (c *clock) inside(function string, n int, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks, c.then, c.where = n, f, function
}

// stop lets time pass by advance alone.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now().Truncate(time.Hour) // a full hour, so that none begins in the middle of a test
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// server is a running program under test.
type server struct {
	t      *testing.T
	url    string
	dbURL  string
	clock  *clock
	log    *lockedBuffer
	client *http.Client
	stop   func() int // ends the program and gives its exit code
}

var readyLine = regexp.MustCompile(`Address +(http\S+)`)

// start runs `sesame serve` on a free port and waits until it answers. Every answer that it gives
// is checked against the contract by the server itself as well, and its log is read at the end.
func start(t *testing.T, databaseURL string, settings ...string) *server {
	t.Helper()
	return launch(t, databaseURL, []string{"serve"}, settings...)
}

// launch is start for any command that serves.
func launch(t *testing.T, databaseURL string, args []string, settings ...string) *server {
	t.Helper()
	environment := map[string]string{
		"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey(),
		"SESAME_CHECK_RESPONSES": "on", "SESAME_LOG_FORMAT": "json",
		"SESAME_SMTP_URL":           "log:", // many tests have a public URL, where it must be said
		"SESAME_REGISTRATION_LIMIT": "0",    // every account of a test is registered from 127.0.0.1
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		environment[name] = value
	}
	s := &server{t: t, dbURL: databaseURL, clock: &clock{}, log: &lockedBuffer{}, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithCancel(context.Background())
	output, exited := newLines(), make(chan int, 1)
	go func() {
		exited <- cli.Run(ctx, args, cli.Env{
			Getenv: func(name string) string { return environment[name] }, Environ: environ(environment),
			Stdin: strings.NewReader(""), Stdout: output, Stderr: s.log, Now: s.clock.now,
		})
		output.Close()
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		s.client.CloseIdleConnections()
		return <-exited
	})
	s.url = output.find(readyLine)
	if s.url == "" {
		t.Fatalf("the server did not start: exit code %d\n%s", s.stop(), s.log)
	}
	t.Cleanup(func() {
		if code := s.stop(); code != 0 {
			t.Errorf("the server ended with code %d\n%s", code, s.log)
		}
		if strings.Contains(s.log.String(), "departs from the contract") {
			t.Errorf("an answer departs from the contract:\n%s", s.log)
		}
	})
	return s
}

// wholeLog ends the server, which holds its last lines back for a moment, and gives its log.
func (s *server) wholeLog() string {
	s.stop()
	return s.log.String()
}

// request is what a test sends.
type request struct {
	method, path string
	token        string            // Bearer
	json         any               // a body: a string goes as it is
	form         url.Values        // or a form
	raw          io.Reader         // or anything, with its Content-Type in header
	header       map[string]string // overrides
}

// answer is what came back, already checked against the contract.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request and checks the answer against the contract, errors included.
func (s *server) do(t *testing.T, r request) *answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	a.t = t
	if err = checkAnswer(r.method, r.path, a); err != nil {
		t.Errorf("%s %s: %v\n%s", r.method, r.path, err, a.body)
	}
	return a
}

// try is do for the goroutines of a test, which must not end it.
func (s *server) try(r request) (*answer, error) {
	body, contentType := r.raw, ""
	switch {
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	case r.json != nil:
		text, ok := r.json.(string)
		if !ok {
			encoded, err := json.Marshal(r.json)
			if err != nil {
				return nil, err
			}
			text = string(encoded)
		}
		body, contentType = strings.NewReader(text), "application/json"
	}
	q, err := http.NewRequest(r.method, s.url+r.path, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		q.Header.Set("Content-Type", contentType)
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	for name, value := range r.header {
		if q.Header.Set(name, value); name == "Host" {
			q.Host = value
		}
	}
	response, err := s.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return &answer{t: s.t, status: response.StatusCode, header: response.Header, body: text}, err
}

var parameter = regexp.MustCompile(`\\\{[^}]+\\\}`)

// findOperation gives the operation that a request meets, or nil. A fixed path wins over one with
// a parameter.
func findOperation(method, path string) *contract.Operation {
	path, _, _ = strings.Cut(path, "?")
	var found *contract.Operation
	for _, op := range rules.Operations() {
		pattern := "^" + parameter.ReplaceAllString(regexp.QuoteMeta(op.Path), "[^/]+") + "$"
		if op.Method == method && regexp.MustCompile(pattern).MatchString(path) && (found == nil || op.Path == path) {
			found = op
		}
	}
	return found
}

// checkAnswer holds an answer against its operation; outside of all operations only a problem may
// be answered.
func checkAnswer(method, path string, a *answer) error {
	if a.header.Get("X-Request-ID") == "" {
		return errors.New("the answer has no X-Request-ID")
	}
	if op := findOperation(method, path); op != nil {
		return errors.Join(checkCaching(op, a), op.CheckResponse(a.status, a.header, a.body))
	}
	if a.status < 400 || method == http.MethodHead {
		return nil // the pages of package docs
	}
	var p api.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || !p.Code.Valid() || a.header.Get("Content-Type") != "application/problem+json" {
		return fmt.Errorf("%d is not answered with a problem", a.status)
	}
	return nil
}

// checkCaching reports a response that a cache could keep, other than the two that declare it (N12). So every test
// that speaks to an operation looks for this.
func checkCaching(op *contract.Operation, a *answer) error {
	want := "no-store"
	if a.status == 200 && (op.ID == "getMetadata" || op.ID == "getKeys") {
		want = "public, max-age=300"
	}
	if got := a.header.Values("Cache-Control"); !slices.Equal(got, []string{want}) {
		return fmt.Errorf("%s: %d: Cache-Control is %q, want %q", op.ID, a.status, got, want)
	}
	return nil
}

// want fails the test unless the answer has this status and, given one, this code.
func (a *answer) want(status int, code ...string) *answer {
	a.t.Helper()
	if a.status != status || len(code) > 0 && a.code() != code[0] {
		a.t.Fatalf("got %d %s, want %d %s\n%s", a.status, a.code(), status, strings.Join(code, ""), a.body)
	}
	return a
}

// code is the code of a problem, or the error of an OAuth answer.
func (a *answer) code() string {
	var e struct {
		Code  string `json:"code"`
		Error string `json:"error"`
	}
	_ = json.Unmarshal(a.body, &e) // a success has neither
	return e.Code + e.Error
}

// pointsAt fails the test unless one of the problem's errors has this pointer.
func (a *answer) pointsAt(pointer string) *answer {
	a.t.Helper()
	if !slices.ContainsFunc(decode[api.Problem](a).Errors, func(e api.FieldError) bool { return e.Pointer == pointer }) {
		a.t.Fatalf("no error points at %s\n%s", pointer, a.body)
	}
	return a
}

func decode[T any](a *answer) (value T) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, &value); err != nil {
		a.t.Fatalf("%v\n%s", err, a.body)
	}
	return value
}

const horse = "a wooden horse"

// register makes an account with that password.
func (s *server) register(t *testing.T, username string) api.User {
	t.Helper()
	return decode[api.User](s.do(t, request{method: "POST", path: "/users", json: map[string]any{
		"username": username, "password": horse, "email": strings.ToLower(username) + "@example.com",
	}}).want(201))
}

func passwordGrant(username, password string) request {
	return request{method: "POST", path: "/token", form: url.Values{
		"grant_type": {"password"}, "username": {username}, "password": {password},
	}}
}

func refreshGrant(token string) request {
	return request{method: "POST", path: "/token", form: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}}
}

// login logs an account in that register made.
func (s *server) login(t *testing.T, username string) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, passwordGrant(username, horse)).want(200))
}

// loginToDelete is login with every scope that an account has over itself: one has to ask for me:delete.
func (s *server) loginToDelete(t *testing.T, username string) api.Token {
	t.Helper()
	return decode[api.Token](s.do(t, withScope(passwordGrant(username, horse), strings.Join(slices.Concat(rules.Scopes().Default, rules.Scopes().OnRequest), " "))).want(200))
}

// newcomer registers and logs in.
func (s *server) newcomer(t *testing.T, username string) api.Token {
	t.Helper()
	s.register(t, username)
	return s.login(t, username)
}

// sesame runs another command on the server's database and gives what it printed.
func (s *server) sesame(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return command(t, stdin, map[string]string{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}, args...)
}

func command(t *testing.T, stdin string, environment map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), args, cli.Env{
		Getenv: func(name string) string { return environment[name] }, Environ: environ(environment),
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Now: time.Now,
	})
	return out.String(), errs.String(), code
}

// environ is an environment as os.Environ gives it.
func environ(environment map[string]string) (list []string) {
	for name, value := range environment {
		list = append(list, name+"="+value)
	}
	return list
}

// lockedBuffer is a bytes.Buffer for many writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines is a stream that can be watched for a line.
type lines struct {
	*io.PipeWriter
	reader *io.PipeReader
}

func newLines() *lines {
	r, w := io.Pipe()
	return &lines{w, r}
}

// find reads on until a line matches, and gives its first group; "" when the stream ends before.
// What comes later is thrown away.
func (l *lines) find(pattern *regexp.Regexp) (group string) {
	var seen []byte
	chunk := make([]byte, 1024)
	for {
		n, err := l.reader.Read(chunk)
		seen = append(seen, chunk[:n]...)
		if m := pattern.FindSubmatch(seen); m != nil {
			go io.Copy(io.Discard, l.reader)
			return string(m[1])
		}
		if err != nil {
			return ""
		}
	}
}

// domain makes the domain as the program does, with the scopes of the contract, for tests that need it without HTTP.
func domain(db *store.DB, hasher *password.Hasher, issuer *token.Issuer, settings identity.Settings) (*identity.Service, *account.Service, *oauth.Service) {
	settings.Scopes, settings.AdminScope = identity.Scopes(rules.Scopes()), rules.Operation("updateUser").Scopes()[0]
	id := identity.New(db, hasher, issuer, settings)
	return id, account.New(db, hasher, id, account.Settings{}), oauth.New(db, issuer, token.NewRefresher(token.MasterKey{}), id, oauth.Settings{AccessTTL: time.Minute})
}
