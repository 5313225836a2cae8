package apitest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/cli"
	"sesame/server/internal/smtptest"
)

// A7: replicas that start together make one schema and one key.
func TestFiveServersStartAtOnce(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range emptyEngines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := databaseURL(t)
			var servers [5]*server
			var wait sync.WaitGroup
			for i := range servers {
				wait.Go(func() { servers[i] = start(t, shared, "SESAME_PUBLIC_URL=https://login.example") })
			}
			wait.Wait()
			if t.Failed() {
				return
			}
			tokens := servers[0].newcomer(t, "ann")
			var keys string
			for i, s := range servers {
				s.do(t, me(tokens.AccessToken)).want(200)
				served := string(s.do(t, request{method: "GET", path: "/.well-known/jwks.json"}).want(200).body)
				if keys = keys + served; i > 0 && keys[:len(served)] != served {
					t.Error("the servers have different keys")
				}
			}
			if n := servers[0].value(t, `SELECT CAST(COUNT(*) AS TEXT) FROM signing_keys`); n != "1" {
				t.Errorf("there are %s keys", n)
			}
		})
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	address := strings.TrimPrefix(s.url, "http://")
	if said := succeeds(t, "", environment{"SESAME_LISTEN": address}, "healthcheck"); said != "ready\n" {
		t.Error(said)
	}
	_, port, _ := net.SplitHostPort(address)
	succeeds(t, "", environment{"SESAME_LISTEN": "0.0.0.0:" + port}, "healthcheck")
	fails(t, "", environment{"SESAME_LISTEN": "127.0.0.1:1"}, "not ready", "healthcheck")
	fails(t, "", environment{"SESAME_LISTEN": address, "SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_MASTER_KEY": testKey()}, "in use") // serve
	unready := httptest.NewServer(http.NotFoundHandler())
	defer unready.Close()
	fails(t, "", environment{"SESAME_LISTEN": strings.TrimPrefix(unready.URL, "http://")}, "status 404", "healthcheck")
}

func TestDemoAndFollowAreForLoopbackAlone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0"} {
		e := environment{"SESAME_LISTEN": address, "SESAME_DATABASE_URL": emptySQLiteURL(t)}
		fails(t, "", e, "loopback", "serve", "--demo")
		fails(t, "", e, "loopback", "serve", "--follow", "../../openapi.yaml")
	}
	// N13: a proxy may make a loopback address public.
	for _, address := range []string{"https://login.example", "http://192.0.2.1:8080", "http://localhost.example", "https://127.0.0.1.example"} {
		e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_PUBLIC_URL": address, "SESAME_DATABASE_URL": emptySQLiteURL(t), "SESAME_SMTP_URL": "log:"}
		fails(t, "", e, "SESAME_PUBLIC_URL is "+address, "serve", "--demo")
		fails(t, "", e, "SESAME_PUBLIC_URL is "+address, "serve", "--follow", "../../openapi.yaml")
	}
	fails(t, "", environment{}, "there is no file", "serve", "--follow", "there-is-none.yaml")
	databaseURL := emptySQLiteURL(t)
	for range 2 { // the second time the account is there
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		output, log, exited := newLines(), &lockedBuffer{}, make(chan int, 1)
		e := environment{"SESAME_LISTEN": "127.0.0.1:0", "SESAME_DATABASE_URL": databaseURL}
		go func() {
			exited <- run(ctx, []string{"serve", "--demo"}, e, cli.Env{Stdin: strings.NewReader(""), Stdout: output, Stderr: log, Now: time.Now})
			output.Close()
		}()
		address := output.find(readyLine)
		form := url.Values{"grant_type": {"password"}, "username": {demoUsername}, "password": {demoPassword}}
		response, err := http.PostForm(address+"/token", form)
		if err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		var tokens api.Token
		if err = json.NewDecoder(response.Body).Decode(&tokens); err != nil || tokens.Scope != defaultScopes() {
			t.Errorf("%v: status %d, scope %q", err, response.StatusCode, tokens.Scope)
		}
		response.Body.Close()
		cancel()
		if code := <-exited; code != 0 {
			t.Errorf("code %d\n%s", code, log)
		}
	}
}

// A6: a server that receives a signal to stop is not ready, and goes on answering until load balancers have noticed. Its clients then
// open other connections.
func TestAStoppingServerAnswersUntilItIsNoticed(t *testing.T) {
	t.Parallel()
	post := smtptest.Start(t, "127.0.0.1:0", smtptest.Options{})
	s := start(t, sqliteURL(t), "SESAME_PUBLIC_URL=https://login.example.com", "SESAME_DRAIN_TIME=5s", "SESAME_SMTP_URL="+post.URL)
	tokens := s.newcomer(t, "ann")
	stopped := make(chan int, 1)
	go func() { stopped <- s.stop() }()
	until(t, "the server is not ready", func() bool {
		a, err := s.try(get("/readyz"))
		return err == nil && a.status == 503
	})
	for _, r := range []request{me(tokens.AccessToken), passwordGrant("ann", horse), get("/healthz")} {
		s.do(t, r).want(200)
	}
	s.mustEnqueue(t, s.resetMail("bob@example.com"))
	until(t, "a mail is sent", func() bool { return slices.Contains(recipients(post.Mails()), "bob@example.com") })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "\r\nConnection: close\r\n") { // and the server has closed it
		t.Errorf("%s (%v)", answer, err)
	}
	if code := <-stopped; code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	if _, err := s.try(get("/healthz")); err == nil {
		t.Error("the server still answers")
	}
}

// A6: a server that is stopped finishes the requests that it has begun, and accepts no new ones.
func TestAShutdownFinishesWhatHasBegun(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		address := strings.TrimPrefix(s.url, "http://")
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := passwordGrant("ann", horse).form.Encode()
		fmt.Fprintf(conn, "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
		reader := bufio.NewReader(conn)
		// The server says 100 when the handler asks for the body: from here on it is in flight.
		if line, err := reader.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("%v %s", err, line)
		}
		if _, err = reader.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		exited := make(chan int, 1)
		go func() { exited <- s.stop() }()
		for deadline := time.Now().Add(5 * time.Second); ; {
			other, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			other.Close()
			if time.Now().After(deadline) {
				t.Fatal("the server still takes connections")
			}
		}
		fmt.Fprint(conn, body)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if code := <-exited; response.StatusCode != 200 || code != 0 {
			t.Errorf("status %d, exit code %d\n%s", response.StatusCode, code, s.log)
		}
	})
}

// Without the pages there is an API and nothing else.
func TestDocsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_DOCS=off")
	for _, path := range []string{"/", "/docs", "/docs/", "/redoc", "/openapi.yaml", "/openapi.json"} {
		s.do(t, get(path)).want(404, "not_found")
	}
	s.newcomer(t, "ann")
}
