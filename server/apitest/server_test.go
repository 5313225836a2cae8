package apitest

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/cli"
	"sesame/server/internal/token"
)

// server is a running program under test.
type server struct {
	t      *testing.T
	url    string
	dbURL  string
	clock  *clock
	hashes *gate // which each password hash passes
	log    *lockedBuffer
	client *http.Client
	stop   func() int // ends the program and returns its exit code

	connect sync.Once // for rawSQL
	db      *sql.DB
	dbErr   error
}

var readyLine = regexp.MustCompile(`Address +(http\S+)`)

// socketLine is the ready line of a server that listens at a Unix socket.
var socketLine = regexp.MustCompile(`Socket +(\S+)`)

// start runs `sesame serve` on a free port until the test ends, and waits until it answers. The server compares every
// answer with the contract itself as well; the test fails if it logs a difference, or does not end with code 0.
func start(t *testing.T, databaseURL string, settings ...string) *server {
	t.Helper()
	return launch(t, databaseURL, []string{"serve"}, settings...)
}

// launch is start for another command that serves.
func launch(t *testing.T, databaseURL string, args []string, settings ...string) *server {
	t.Helper()
	environment := map[string]string{
		"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey(),
		"SESAME_CHECK_RESPONSES": "on", "SESAME_LOG_FORMAT": "json",
		"SESAME_SMTP_URL":           "log:", // many tests have a public URL, where it must be said
		"SESAME_REGISTRATION_LIMIT": "0",    // every account of a test is registered from 127.0.0.1
		"SESAME_DRAIN_TIME":         "0s",
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		environment[name] = value
	}
	s := &server{t: t, dbURL: databaseURL, clock: &clock{}, hashes: &gate{}, log: &lockedBuffer{}, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithCancel(context.Background())
	output, exited := newLines(), make(chan int, 1)
	go func() {
		exited <- run(ctx, args, environment, cli.Env{
			Stdin: strings.NewReader(""), Stdout: output, Stderr: s.log, Now: s.clock.now, Tests: app.Tests{HashBegun: s.hashes.pass},
		})
		output.Close()
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		s.client.CloseIdleConnections()
		return <-exited
	})
	if socket, ok := strings.CutPrefix(environment["SESAME_LISTEN"], "unix:"); ok && output.find(socketLine) == socket {
		s.url = "http://sesame"
		s.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	} else {
		s.url = output.find(readyLine)
	}
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
		if t.Failed() {
			t.Logf("what the server failed at:\n%s", s.failures())
		}
	})
	return s
}

// failures returns the first lines of the log that say why requests failed.
func (s *server) failures() string {
	lines := slices.DeleteFunc(strings.SplitAfter(s.log.String(), "\n"), func(line string) bool {
		return !strings.Contains(line, `"status":5`) && !strings.Contains(line, `"level":"WARN"`) && !strings.Contains(line, `"level":"ERROR"`)
	})
	return strings.Join(lines[:min(20, len(lines))], "")
}

// wholeLog ends the server, which may still hold its last lines back, and returns its log.
func (s *server) wholeLog() string {
	s.stop()
	return s.log.String()
}

// sesame runs another command on the server's database and returns what it printed.
func (s *server) sesame(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return command(t, stdin, map[string]string{"SESAME_DATABASE_URL": s.dbURL, "SESAME_MASTER_KEY": testKey()}, args...)
}

// must is sesame for a command that has to succeed; the test ends if it does not.
func (s *server) must(t *testing.T, stdin string, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, code := s.sesame(t, stdin, args...)
	if code != 0 {
		t.Fatalf("sesame %s: code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

func command(t *testing.T, stdin string, environment map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, environment, cli.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Now: time.Now})
	return out.String(), errs.String(), code
}

// realHashes is a setting of the harness: password hashes cost what they cost in production.
const realHashes = "real hashes"

// idle is a setting of the harness: no worker of the server looks by itself whether there is something to do.
const idle = "idle"

// trustedAuthority is a setting of the harness: the file with the certificate of a certification authority, which the server trusts.
const trustedAuthority = "trusted authority"

// trustedDocuments is a setting of the harness: the file with the certificate of the hosts of client ID metadata documents.
const trustedDocuments = "trusted documents"

// run is cli.Run with an environment and cheap password hashes.
func run(ctx context.Context, args []string, environment map[string]string, e cli.Env) int {
	_, real := environment[realHashes]
	e.Tests.CheapHashes, e.Tests.Every, e.Tests.FirstIDKey = !real, 50*time.Millisecond, idTokenKey
	if _, idle := environment[idle]; idle {
		e.Tests.Every = time.Hour
	}
	if file, ok := environment[trustedAuthority]; ok {
		e.Tests.Authority = clientTrusting(poolOf(file))
	}
	if file, ok := environment[trustedDocuments]; ok {
		e.Tests.DocumentRoots = poolOf(file)
	}
	e.Getenv = func(name string) string { return environment[name] }
	for name, value := range environment {
		e.Environ = append(e.Environ, name+"="+value)
	}
	return cli.Run(ctx, args, e)
}

// idTokenKey makes the first key of ID tokens of every server once, since making an RSA key costs more than all else of a start.
var idTokenKeys sync.Map

func idTokenKey(alg string) (token.Key, error) {
	make, _ := idTokenKeys.LoadOrStore(alg, sync.OnceValues(func() (token.Key, error) { return token.GenerateKey(alg) }))
	return make.(func() (token.Key, error))()
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

// lines is an output stream in which a test can wait for a line.
type lines struct {
	*io.PipeWriter
	reader *io.PipeReader
}

func newLines() *lines {
	r, w := io.Pipe()
	return &lines{w, r}
}

// find reads until the text matches, and returns the first group of the match, or "" if the stream ends before. It
// discards what comes later.
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
