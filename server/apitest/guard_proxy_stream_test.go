package apitest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A stream of events arrives event by event, and a stop ends it.
func TestTheGuardProxyPassesStreamsOn(t *testing.T) {
	t.Parallel()
	u, g, _ := guarded(t)
	response, err := http.Get(g.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := bufio.NewReader(response.Body)
	for n := range 3 {
		u.more <- fmt.Sprint(n)
		line, err := events.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", n) {
			t.Fatalf("%q %v", line, err)
		}
		events.ReadString('\n')
	}
	if code := g.stop(); code != 0 {
		t.Errorf("the guard ends with code %d", code)
	}
	if _, err = io.ReadAll(events); err == nil {
		t.Error("the stream seems to have ended by itself")
	}
}

func TestTheGuardProxyLimitsBodiesAndTimes(t *testing.T) {
	t.Parallel()
	u, g, token := guarded(t, "SESAME_GUARD_MAX_BODY=1")
	upload := func(body io.Reader) *answer {
		return g.send(t, request{method: "PUT", path: "/upload", raw: body, header: map[string]string{"Content-Type": "application/octet-stream"}})
	}
	whole := strings.Repeat("x", 1<<20)
	if a := upload(strings.NewReader(whole)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if r, body := u.seen(); r == nil || body != whole {
		t.Error("the body is not the one that was sent")
	}
	if a := upload(strings.NewReader(whole + "x")); a.status != 413 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := upload(io.MultiReader(strings.NewReader(whole), strings.NewReader("x"))); a.status != 413 { // no Content-Length
		t.Errorf("%d %s", a.status, a.body)
	}
	_, slow, _ := guarded(t, "SESAME_GUARD_ANSWER_TIME=50ms")
	if a := slow.send(t, request{method: "GET", path: "/slow"}); a.status != 504 || !strings.Contains(string(a.body), `"gateway_timeout"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.send(t, request{method: "POST", path: "/notes", token: token, json: `{"text":"` + strings.Repeat("x", 65<<10) + `"}`}); a.status != 413 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A request that lasts too long is cut off, even if its response has begun.
func TestTheGuardProxyEndsLongStreams(t *testing.T) {
	t.Parallel()
	_, g, _ := guarded(t, "SESAME_GUARD_LONGEST=1s")
	response, err := http.Get(g.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err = io.ReadAll(response.Body); err == nil {
		t.Error("the stream seems to have ended by itself")
	}
}

// upgrade asks for another protocol and returns the status, and what came back of a text that was sent then.
func upgrade(t *testing.T, g *server, protocol string) (status int, echoed string) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(connection, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	from := bufio.NewReader(connection)
	response, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		io.WriteString(connection, "hello\n")
		echoed, _ = from.ReadString('\n')
	}
	return response.StatusCode, echoed
}

func TestTheGuardProxyUpgradesOnlyToWebSocketsIfAllowed(t *testing.T) {
	t.Parallel()
	_, g, _ := guarded(t)
	if status, _ := upgrade(t, g, "websocket"); status != http.StatusUpgradeRequired {
		t.Errorf("got %d", status)
	}
	_, g, _ = guarded(t, "SESAME_GUARD_ALLOW_UPGRADE=true")
	if status, echoed := upgrade(t, g, "websocket"); status != http.StatusSwitchingProtocols || echoed != "hello\n" {
		t.Errorf("got %d %q", status, echoed)
	}
	if status, _ := upgrade(t, g, "h2c"); status != http.StatusUpgradeRequired {
		t.Errorf("got %d", status)
	}
}

func TestTheGuardProxyAnswersPreflights(t *testing.T) {
	t.Parallel()
	const app = "https://app.example"
	u, g, token := guarded(t, "SESAME_CORS_ORIGINS="+app)
	ask := func(method, origin, token string) *answer {
		return g.send(t, request{method: method, path: "/pages/1", token: token, header: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization, x-y",
		}})
	}
	if a := ask("OPTIONS", app, ""); a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != app || a.header.Get("Access-Control-Allow-Headers") != "authorization, x-y" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := ask("OPTIONS", "https://evil.example", ""); a.status != 405 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for origin, allowed := range map[string]string{app: app, "https://evil.example": "", "null": ""} {
		for _, token := range []string{token, ""} {
			a := ask("GET", origin, token)
			if got := a.header.Values("Access-Control-Allow-Origin"); strings.Join(got, ",") != allowed || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") || a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %d %v", origin, a.status, a.header)
			}
		}
	}
	if r, _ := u.seen(); r == nil || r.Method != "GET" {
		t.Errorf("%+v", r)
	}
}

// A guard starts without its issuer: it answers 503 where it needs a token, and is ready as soon as the issuer is.
func TestTheGuardProxyWaitsForTheIssuer(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	token := s.newcomer(t, "ann").AccessToken
	// The address of the issuer is that of a proxy which does not reach it yet.
	u, gate := startUpstream(t), make(chan struct{})
	target, _ := url.Parse(s.url)
	issuer := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			text := s.send(t, request{method: "GET", path: r.URL.Path}).body
			w.Write([]byte(strings.ReplaceAll(string(text), target.Host, r.Host)))
		default:
			w.WriteHeader(502)
		}
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go issuer.Serve(listener)
	t.Cleanup(func() { issuer.Close() })
	health := freePort(t)
	g := startGuard(t, guardedDocument, u.URL, "http://"+listener.Addr().String(), "SESAME_AUDIENCE="+s.url, "SESAME_GUARD_HEALTH_LISTEN="+health)
	probe := func(path string) int {
		response, err := http.Get("http://" + health + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if a := g.send(t, request{method: "GET", path: "/pages/1", token: token}); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.send(t, request{method: "GET", path: "/about"}); a.status != 200 { // it needs no token
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.send(t, request{method: "GET", path: "/pages/1"}); a.status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if live, ready, other := probe("/healthz"), probe("/readyz"), probe("/about"); live != 200 || ready != 503 || other != 404 {
		t.Errorf("healthz %d, readyz %d, about %d", live, ready, other)
	}
	close(gate)
	if a := g.ready(t, "/pages/1", token).send(t, request{method: "GET", path: "/pages/1", token: token}); a.status != 401 { // of another issuer
		t.Errorf("%d %s", a.status, a.body)
	}
	if ready := probe("/readyz"); ready != 200 {
		t.Errorf("readyz %d", ready)
	}
}

// The upstream may be a socket or have a path; a service that is down gets 502.
func TestTheGuardProxyReachesEveryKindOfUpstream(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	folder, err := os.MkdirTemp("", "guard") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(u.serve))
	u.Listener = listener
	u.Start()
	t.Cleanup(u.Close)
	if a := startGuard(t, guardedDocument, "unix:"+listener.Addr().String(), s.url).send(t, request{method: "GET", path: "/about"}); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if r, _ := u.seen(); r == nil || r.Host != "localhost" || r.RequestURI != "/about" {
		t.Errorf("%+v", r)
	}
	u = startUpstream(t)
	if a := startGuard(t, guardedDocument, u.URL+"/app%20one/", s.url, "SESAME_GUARD_BASE_PATH=/v1").send(t, request{method: "GET", path: "/v1/about"}); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if r, _ := u.seen(); r == nil || r.RequestURI != "/app%20one/v1/about" {
		t.Errorf("%+v", r)
	}
	if a := startGuard(t, guardedDocument, "http://"+freePort(t), s.url).send(t, request{method: "GET", path: "/about"}); a.status != 502 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// An MCP server needs no document: its URL is the audience, and a client finds the login server from a refusal.
func TestTheGuardProxyOfAnMCPServer(t *testing.T) {
	t.Parallel()
	const resource = "https://mcp.example.com/mcp"
	s := start(t, sqliteURL(t), "SESAME_AUDIENCES="+resource)
	s.register(t, "ann")
	u := startUpstream(t)
	g := launch(t, "sqlite:none.db", []string{"guard", "--mcp", "--scope", "me:read", "--scope", "me:write", "--resource", resource, "--upstream", u.URL, "--issuer", s.url})
	token := func(scope, resource string) string {
		t.Helper()
		grant := passwordGrant("ann", "a wooden horse")
		grant.form.Set("scope", scope)
		if resource != "" {
			grant.form.Set("resource", resource)
		}
		a := s.do(t, grant)
		return string(regexp.MustCompile(`"access_token":"([^"]+)"`).FindSubmatch(a.want(200).body)[1])
	}
	g.ready(t, "/mcp", token("me:read me:write", resource))
	call := request{method: "POST", path: "/mcp", json: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`}
	a := g.send(t, call)
	const metadata = "/.well-known/oauth-protected-resource/mcp"
	if a.status != 401 || !strings.Contains(a.header.Get("WWW-Authenticate"), `resource_metadata="https://mcp.example.com`+metadata+`"`) {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a = g.send(t, request{method: "GET", path: metadata}); a.status != 200 || !strings.Contains(string(a.body), `"authorization_servers":["`+s.url+`"]`) ||
		!strings.Contains(string(a.body), `"me:read"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, c := range []struct {
		token  string
		status int
	}{{token("me:read me:write", ""), 401}, {token("me:read", resource), 403}, {token("me:read me:write", resource), 200}} {
		call.token = c.token
		for _, call.method = range []string{"POST", "GET", "DELETE"} {
			u.seen()
			if a = g.send(t, call); a.status != c.status {
				t.Errorf("%s: %d %s, want %d", call.method, a.status, a.body, c.status)
			}
			if r, body := u.seen(); c.status == 200 && (r == nil || r.Header.Get("X-Forwarded-Host") != "mcp.example.com" || body != call.json) {
				t.Errorf("%+v %s", r, body)
			}
		}
	}
}

func TestTheGuardCommandExplainsItsMistakes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	open := filepath.Join(folder, "open.yaml")
	os.WriteFile(open, []byte("openapi: 3.0.3\ninfo: { title: x, version: '1' }\npaths: { /x: { get: { responses: { '200': { description: ok } } } } }\n"), 0o600)
	needed := []string{"--upstream", "http://127.0.0.1:1", "--issuer", "https://login.example"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--issuer"},
		{needed, "guard needs --spec FILE"},
		{append(needed, "--mcp"), "--mcp needs --resource"},
		{append(needed, "--mcp", "--resource", "mcp"), "--resource must be the URL of the MCP server"},
		{append(needed, "--spec", open), "no security"},
		{append(needed, "--spec", filepath.Join(folder, "none.yaml")), "there is no file"},
		{append(needed, "--spec", open, "--scope", "x"), "--scope belongs to --mcp"},
		{append(needed, "--spec", open, "--mcp"), "--spec and --mcp"},
		{[]string{"--spec", open, "--upstream", "ftp://x", "--issuer", "https://login.example"}, `--upstream is "ftp://x"; it must be a URL`},
	} {
		_, stderr, code := command(t, "", nil, append([]string{"guard"}, c.args...)...)
		if code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: code %d\n%s", c.args, code, stderr)
		}
	}
	_, stderr, code := command(t, "", map[string]string{"SESAME_GUARD_UPSTRAM": "x"}, "config")
	if code != 2 || !strings.Contains(stderr, "did you mean SESAME_GUARD_UPSTREAM?") {
		t.Errorf("code %d\n%s", code, stderr)
	}
}

// freePort returns an address of this machine at which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
