package apitest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/cli"
)

var codeLine = regexp.MustCompile(`/device in a browser, and enter the code (\S+)\.`)

// sesame login prints where to go, waits, and prints the token.
func TestLoginAtTheCommandLine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		b, tool := s.signedIn(t, "ann"), s.device(t, "--public")
		// login runs the command until the person has decided.
		login := func(decision string, args ...string) (stdout string, code int) {
			t.Helper()
			errs, out, done := newLines(), &lockedBuffer{}, make(chan int, 1)
			go func() {
				done <- run(t.Context(), append([]string{"login", s.url + "/", "--client-id", tool.ID, "--scope", "openid"}, args...), nil,
					cli.Env{Stdin: strings.NewReader(""), Stdout: out, Stderr: errs, Now: time.Now})
				errs.Close()
			}()
			b.submit(t, b.enters(t, errs.find(codeLine)).want(200).form(), "decision", decision).want(200)
			code = <-done
			return strings.TrimSpace(out.String()), code
		}
		if out, code := login("deny"); code != 1 || out != "" {
			t.Errorf("a denied login ends with %d and prints %q", code, out)
		}
		token, _ := login("allow")
		s.do(t, request{method: "GET", path: "/userinfo", token: token}).want(200)
		all, _ := login("allow", "--json")
		tokens := decode[api.Token](&answer{t: t, body: []byte(all)})
		s.idToken(t, tokens.IDToken)
	})
}

// It sends no code to a server that is not the one that was named, or over an open connection.
func TestWhereTheCommandLineLogsIn(t *testing.T) {
	t.Parallel()
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issuer := "http://" + r.Host
		switch {
		case strings.HasPrefix(r.URL.Path, "/other"):
			issuer = "https://login.example.com"
		case strings.HasPrefix(r.URL.Path, "/open"):
			issuer += "/open"
		case strings.HasPrefix(r.URL.Path, "/moved"):
			http.Redirect(w, r, "/other/.well-known/openid-configuration", http.StatusFound)
			return
		case strings.HasPrefix(r.URL.Path, "/old"):
			io.WriteString(w, `{"issuer": "`+issuer+`/old"}`)
			return
		}
		io.WriteString(w, `{"issuer": "`+issuer+`", "device_authorization_endpoint": "http://evil.example/d", "token_endpoint": "http://evil.example/t"}`)
	}))
	defer liar.Close()
	for address, says := range map[string]string{
		"http://login.example.com": "must begin with https://", "login.example.com": "must be a URL", "https://login.example.com/?x": "must be a URL",
		liar.URL + "/other": `says that it is "https://login.example.com"`, liar.URL + "/open": "must begin with https://",
		liar.URL + "/moved": "status 302", liar.URL + "/old": "no device authorization grant",
	} {
		_, stderr, code := command(t, "", nil, "login", address, "--client-id", newID())
		if code == 0 || !strings.Contains(stderr, says) {
			t.Errorf("%s: code %d, %s", address, code, stderr)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"login", liar.URL, "--client-id", newID()}, nil, cli.Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Now: time.Now}); code != 1 {
		t.Errorf("an interrupted login ends with %d", code)
	}
}
