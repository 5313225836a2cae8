package apitest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/gen/api"
)

// guardedDocument is the document of the service that the tests put behind sesame guard.
const guardedDocument = `
openapi: 3.0.3
info: { title: Pages, version: '1' }
security: [{ Login: ['me:read'] }]
paths:
  /pages/{slug}:
    parameters: [{ name: slug, in: path, required: true, schema: { type: string } }]
    get: { operationId: getPage, responses: { '200': { description: ok } } }
    post: { operationId: postPage, responses: { '200': { description: ok } } }
  /pages/drafts:
    get: { operationId: getDrafts, security: [{ Login: ['users:write'] }], responses: { '200': { description: ok } } }
  /notes:
    post:
      operationId: addNote
      requestBody: { required: true, content: { application/json: { schema: { type: object, required: [text], properties: { text: { type: string, maxLength: 5 } } } } } }
      responses: { '200': { description: ok } }
  /fresh:
    get: { operationId: getFresh, x-requires-acr: '2', responses: { '200': { description: ok }, '401': { description: no } } }
  /about:
    get: { operationId: about, security: [], responses: { '200': { description: ok } } }
    head: { operationId: headAbout, security: [], responses: { '200': { description: ok } } }
  /upload:
    put:
      operationId: upload
      security: []
      requestBody: { content: { application/octet-stream: {} } }
      responses: { '200': { description: ok } }
  /stream: { get: { operationId: stream, security: [], responses: { '200': { description: ok } } } }
  /slow: { get: { operationId: slow, security: [], responses: { '200': { description: ok } } } }
  /gone: { get: { operationId: gone, security: [], responses: { '200': { description: ok } } } }
  /socket: { get: { operationId: socket, security: [], responses: { '101': { description: ok } } } }
components:
  securitySchemes:
    Login:
      type: oauth2
      flows: { password: { tokenUrl: 'https://login.example/token', scopes: { 'me:read': read, 'users:write': write } } }
`

// upstream is a service behind a guard. It remembers the last request.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	last *http.Request
	body string
	more chan string // lines of /stream
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{more: make(chan string)}
	u.Server = httptest.NewServer(http.HandlerFunc(u.serve))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		<-r.Context().Done()
		return
	case "/gone":
		panic(http.ErrAbortHandler)
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush() // the headers, before there is an event
		for {
			select {
			case line := <-u.more:
				fmt.Fprintf(w, "data: %s\n\n", line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	case "/socket":
		u.echo(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.last, u.body = r, string(body)
	u.mu.Unlock()
	w.Header().Set("X-Upstream", "yes")
	w.Header().Set("X-Request-Id", "of the upstream")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.URL.Query().Get("cache") != "" {
		w.Header().Set("Cache-Control", "private, max-age=60")
	}
	fmt.Fprint(w, "from the upstream")
}

// echo upgrades a connection and sends back what it gets.
func (u *upstream) echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	buffered.Flush()
	io.Copy(connection, buffered)
}

// seen returns the last request that has reached the upstream since the last call, or nil.
func (u *upstream) seen() (*http.Request, string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	r, body := u.last, u.body
	u.last, u.body = nil, ""
	return r, body
}

// startGuard runs sesame guard in front of a service.
func startGuard(t *testing.T, document, upstream, issuer string, settings ...string) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "service.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return launch(t, "sqlite:"+filepath.Join(t.TempDir(), "none.db"), []string{"guard"}, append([]string{
		"SESAME_GUARD_SPEC=" + file, "SESAME_GUARD_UPSTREAM=" + upstream, "SESAME_GUARD_ISSUER=" + issuer,
	}, settings...)...)
}

// ready waits until the guard has the issuer's keys.
func (s *server) ready(t *testing.T, path, token string) *server {
	t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; {
		if a := s.send(t, request{method: "GET", path: path, token: token}); a.status != 503 {
			return s
		}
	}
	t.Fatal("the guard does not become ready")
	return nil
}

// send is do without a comparison with the contract, which is not that of the service.
func (s *server) send(t *testing.T, r request) *answer {
	t.Helper()
	a, err := s.try(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return a
}

// sendRaw sends a request as it is written, and returns the response.
func (s *server) sendRaw(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(connection, strings.ReplaceAll(text, "\n", "\r\n"))
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	return response, string(body)
}

// guarded returns a login server, a service, a guard between them, and a token of ann.
func guarded(t *testing.T, settings ...string) (u *upstream, g *server, token string) {
	t.Helper()
	s := start(t, sqliteURL(t))
	u = startUpstream(t)
	token = s.newcomer(t, "ann").AccessToken
	g = startGuard(t, guardedDocument, u.URL, s.url, settings...)
	g.ready(t, "/pages/x", token)
	u.seen()
	return u, g, token
}

// The command enforces the document for a service that knows nothing of tokens, and tells it who calls.
func TestTheGuardProxyEnforcesTheDocument(t *testing.T) {
	t.Parallel()
	u, g, token := guarded(t)
	for _, c := range []struct {
		r      request
		status int
		code   string
	}{
		{request{method: "GET", path: "/pages/1"}, 401, "unauthenticated"},
		{request{method: "GET", path: "/pages/1", token: "garbage"}, 401, "invalid_token"},
		{request{method: "GET", path: "/pages/drafts", token: token}, 403, "insufficient_scope"},
		{request{method: "GET", path: "/fresh", token: token}, 401, "insufficient_user_authentication"},
		{request{method: "GET", path: "/unknown", token: token}, 404, "not_found"},
		{request{method: "DELETE", path: "/notes", token: token}, 405, "method_not_allowed"},
		{request{method: "OPTIONS", path: "/notes"}, 405, "method_not_allowed"},
		{request{method: "TRACE", path: "/notes"}, 405, "method_not_allowed"},
		{request{method: "POST", path: "/notes", token: token, json: `{"text":"too long"}`}, 422, "validation_failed"},
		{request{method: "POST", path: "/notes", token: token, json: `{"text":"a","text":"b"}`}, 400, "bad_request"},
		{request{method: "GET", path: "/gone"}, 502, "bad_gateway"},
	} {
		a := g.send(t, c.r)
		var p struct {
			Status int
			Code   string
		}
		if err := json.Unmarshal(a.body, &p); err != nil || a.status != c.status || p.Status != c.status || p.Code != c.code ||
			a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %s %v", c.r.method, c.r.path, a.status, a.body, a.header)
		}
		if r, _ := u.seen(); r != nil {
			t.Errorf("%s %s has reached the service", c.r.method, c.r.path)
		}
	}
	a := g.send(t, request{method: "POST", path: "/notes?a=1", token: token, json: `{"text":"hello"}`})
	r, body := u.seen()
	if a.status != 200 || string(a.body) != "from the upstream" || a.header.Get("X-Upstream") != "yes" || r == nil || r.RequestURI != "/notes?a=1" || body != `{"text":"hello"}` {
		t.Fatalf("%d %s %+v %s", a.status, a.body, r, body)
	}
	if id := a.header.Values("X-Request-Id"); len(id) != 1 || id[0] != r.Header.Get("X-Request-Id") || id[0] == "of the upstream" {
		t.Errorf("the client has the id %v, the service %s", id, r.Header.Get("X-Request-Id"))
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %s", a.header.Get("Cache-Control"))
	}
	if a = g.send(t, request{method: "GET", path: "/pages/1?cache=1", token: token}); strings.Join(a.header.Values("Cache-Control"), ",") != "private, max-age=60" {
		t.Errorf("the service decides about caches: %v", a.header)
	}
	if a = g.send(t, request{method: "HEAD", path: "/about"}); a.status != 200 || len(a.body) > 0 || a.header.Get("Cache-Control") != "" {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
	if log := g.wholeLog(); !strings.Contains(log, `"operation":"addNote"`) || strings.Contains(log, token) {
		t.Errorf("the log is\n%s", log)
	}
}

// The caller of the service is the one of the token, whatever headers the client sends.
func TestTheGuardProxyNamesTheCaller(t *testing.T) {
	t.Parallel()
	u, g, token := guarded(t, "SESAME_GUARD_REMOVE_HEADER=X-Tenant,X-Plan", "SESAME_PUBLIC_URL=https://pages.example")
	hostile := "GET /pages/1 HTTP/1.1\nHost: evil.example\nAuthorization: Bearer " + token + "\n" +
		"X-Auth-Request-User: root\nX-Auth-Request-Client: root\nX-Auth-Request-Scope: all\nX-Auth-Request-Email: root@example.com\n" +
		"x_auth_request_user: root\nX-Auth_Request-User: root\nX.Auth.Request.User: root\n" +
		"X-Forwarded-For: 10.0.0.1\nX-Forwarded-Host: evil.example\nX-Forwarded-Proto: ftp\nX-Forwarded-User: root\nX_Forwarded_Email: root\nForwarded: for=10.0.0.1\nX-Real-IP: 10.0.0.1\n" +
		"SCRIPT_NAME: /pages\nProxy: http://evil.example\nPath-Info: /pages/drafts\nX-Script-Name: /pages\nX-Original-Path: /pages/drafts\nX-Envoy-Original-Path: /pages/drafts\nX-Rewrite-Uri: /pages/drafts\n" +
		"Remote-Groups: root\nRemote-Email: root\nRemote-Name: root\nX-Remote-Groups: root\nX-Remote-Extra-Scopes: root\nX-Webauth-Email: root\nX-Authenticated-Scope: all\nX-Ssl-Client-Verify: SUCCESS\n" +
		"Ssl-Client-S-Dn: CN=root\nX-Client-Verify: SUCCESS\nX-Client-Dn: CN=root\nClient-Cert: :AA==:\nClient-Cert-Chain: :AA==:\nX-Consumer-Username: root\nX-Envoy-External-Address: 10.0.0.1\n" +
		"Remote-User: root\nX-Original-URL: /pages/drafts\nX-Rewrite-URL: /pages/drafts\nX-HTTP-Method-Override: DELETE\nX_Http_Method_Override: DELETE\n" +
		"X-Request-Id: chosen\nX-Tenant: other\nx_plan: gold\nX-Harmless: kept\nTransfer_Encoding: chunked\nProxy-Authorization: Basic eDp5\n" +
		"Connection: close, X-Auth-Request-User, X-Auth-Request-Client, X-Auth-Request-Scope, X-Forwarded-For, X-Request-Id\nTrailer: X-Auth-Request-User\n\n"
	response, body := g.sendRaw(t, hostile)
	r, _ := u.seen()
	if response.StatusCode != 200 || r == nil {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	subject, client := r.Header.Get("X-Auth-Request-User"), r.Header.Get("X-Auth-Request-Client")
	if len(subject) != 36 || client != "first-party" || !strings.Contains(" "+r.Header.Get("X-Auth-Request-Scope")+" ", " me:read ") {
		t.Errorf("the caller is %q of %q with %q", subject, client, r.Header.Get("X-Auth-Request-Scope"))
	}
	if h := r.Header; h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Host") != "pages.example" || h.Get("X-Forwarded-Proto") != "https" ||
		h.Get("X-Harmless") != "kept" || h.Get("X-Request-Id") != response.Header.Get("X-Request-Id") || r.Host != strings.TrimPrefix(u.URL, "http://") {
		t.Errorf("%s %v", r.Host, h)
	}
	for name, values := range r.Header {
		switch name {
		case "X-Auth-Request-User", "X-Auth-Request-Client", "X-Auth-Request-Scope", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Harmless", "X-Request-Id":
			if len(values) != 1 {
				t.Errorf("%s is %q", name, values)
			}
		default:
			t.Errorf("the service got %s: %q", name, values)
		}
	}
	// Nobody is named where nobody is.
	response, _ = g.sendRaw(t, "GET /about HTTP/1.1\nHost: x\nConnection: close\nX-Auth-Request-User: root\nAuthorization: Basic eDp5\n\n")
	if r, _ = u.seen(); response.StatusCode != 200 || r == nil || r.Header.Get("X-Auth-Request-User")+r.Header.Get("Authorization") != "" {
		t.Errorf("%d %+v", response.StatusCode, r)
	}
}

func TestTheGuardProxyForwardsTheTokenIfAsked(t *testing.T) {
	t.Parallel()
	u, g, token := guarded(t, "SESAME_GUARD_FORWARD_TOKEN=true")
	g.sendRaw(t, "GET /pages/1 HTTP/1.1\nHost: x\nConnection: close, Authorization\nAuthorization: Bearer "+token+"\n\n")
	if r, _ := u.seen(); r == nil || r.Header.Get("Authorization") != "" { // what the connection names is for the guard alone
		t.Errorf("%+v", r)
	}
	g.sendRaw(t, "GET /pages/1 HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Bearer "+token+"\n\n")
	if r, _ := u.seen(); r == nil || r.Header.Get("Authorization") != "Bearer "+token {
		t.Errorf("%+v", r)
	}
}

// N1: the path that the guard has authorized is the path that the service gets, in one spelling; what another router may read as
// another operation reaches nothing.
func TestTheGuardProxyForwardsThePathThatItAuthorized(t *testing.T) {
	t.Parallel()
	u, g, token := guarded(t)
	for path, forwarded := range map[string]string{
		"/pages/1": "/pages/1", "/pages/%61": "/pages/a", "/pages/a%20b?x=%2F..%2F&y=a%3Bb": "/pages/a%20b?x=%2F..%2F&y=a%3Bb", "/pages/%3Fx=1": "/pages/%3Fx=1",
		"/pages/%23": "/pages/%23", "/pages/100%25": "/pages/100%25", "/pages/gr%C3%BC%C3%9Fe": "/pages/gr%C3%BC%C3%9Fe", "/pages/drafts2": "/pages/drafts2", "/pages/...": "/pages/...",
		"http://evil.example/pages/1": "/pages/1", "/pages/a:b@c,d=e+f": "/pages/a:b@c,d=e+f",

		"/pages/drafts": "403", "/pages/%64rafts": "403", "http://evil.example/pages/drafts": "403", // known for what they are
		"/pages/Drafts": "", "/pages/DRAFTS": "", "/pages/drafts.json": "", "/pages/Drafts.tar.gz": "", "/pages/drafts.": "", "/pages/drafts%20": "",
		"/pages/drafts;x": "", "/pages/drafts%3Bx=1": "", "/pages/..;/drafts": "", "/pages/%2564rafts": "", "/pages/%252e%252e": "",
		"/pages/1/": "", "/pages/drafts/": "", "/pages//1": "", "//pages/1": "", "/pages/./1": "", "/pages/../about": "", "/pages/%2e%2e": "", "/pages/1%2f..": "",
		"/pages/1%5c..": "", "/pages/%00": "", "/pages/%ff": "", "/%70ages%2f1": "", "*": "", "/": "",
	} {
		response, body := g.sendRaw(t, "GET "+path+" HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Bearer "+token+"\n\n")
		r, _ := u.seen()
		switch {
		case forwarded == "403" || forwarded == "":
			if r != nil || forwarded == "403" && response.StatusCode != 403 || forwarded == "" && response.StatusCode != 404 && response.StatusCode != 400 {
				t.Errorf("%s: %d %s", path, response.StatusCode, body)
			}
		case r == nil || r.RequestURI != forwarded:
			t.Errorf("%s: %d %s, forwarded as %+v", path, response.StatusCode, body, r)
		}
	}
}

// Two programs that read the end of a request differently would let a client smuggle a second one past the guard.
func TestTheGuardProxyFramesRequestsAnew(t *testing.T) {
	t.Parallel()
	u, g, _ := guarded(t)
	smuggled := "GET /pages/drafts HTTP/1.1\nHost: x\n\n"
	for name, head := range map[string]string{
		"length and chunks":  "PUT /upload HTTP/1.1\nHost: x\nContent-Length: 4\nTransfer-Encoding: chunked\nConnection: close\n\n0\n\n" + smuggled,
		"two lengths":        "PUT /upload HTTP/1.1\nHost: x\nContent-Length: 0\nContent-Length: 40\nConnection: close\n\n" + smuggled,
		"a coding unknown":   "PUT /upload HTTP/1.1\nHost: x\nTransfer-Encoding: chunked, identity\nConnection: close\n\n0\n\n" + smuggled,
		"a space in front":   "PUT /upload HTTP/1.1\nHost: x\nTransfer-Encoding : chunked\nConnection: close\n\n0\n\n" + smuggled,
		"a negative length":  "PUT /upload HTTP/1.1\nHost: x\nContent-Length: -1\nConnection: close\n\n" + smuggled,
		"an upgrade to h2c":  "GET /about HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\n\n",
		"a line in a header": "GET /about HTTP/1.1\nHost: x\nX-A: b\n GET /pages/drafts\nConnection: close\n\n",
	} {
		response, body := g.sendRaw(t, head)
		r, sent := u.seen()
		if r != nil && (r.URL.Path != "/upload" && r.URL.Path != "/about" || sent != "" || r.Header.Get("Upgrade") != "" || r.Header.Get("HTTP2-Settings") != "") {
			t.Errorf("%s: %d %s; the service got %s %v %q", name, response.StatusCode, body, r.RequestURI, r.Header, sent)
		}
		if r == nil && response.StatusCode/100 != 4 && response.StatusCode != 501 {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
	}
}

// careless is a service that reads no bodies. What is left of one is then the next request of the connection, unless that is closed.
type careless struct {
	net.Listener
	served chan string // the first lines of requests
}

func startCareless(t *testing.T) *careless {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &careless{listener, make(chan string, 10)}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := c.Accept()
			if err != nil {
				return
			}
			go c.serve(connection)
		}
	}()
	return c
}

func (c *careless) serve(connection net.Conn) {
	defer connection.Close()
	for from := textproto.NewReader(bufio.NewReader(connection)); ; {
		line, err := from.ReadLine()
		if err != nil {
			return
		}
		header, err := from.ReadMIMEHeader()
		if err != nil {
			return
		}
		c.served <- line
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if header.Get("Connection") == "close" {
			return
		}
	}
}

// A service that does not read a body takes it for the next request, which would be one that the guard has not seen. So a connection with
// a body that may be one is not used again.
func TestTheGuardProxyLetsNoBodyBecomeARequest(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	u := startCareless(t)
	g := startGuard(t, guardedDocument, "http://"+u.Addr().String(), s.url, "SESAME_GUARD_ALLOW_UPGRADE=true")
	smuggled := "GET /pages/drafts HTTP/1.1\nHost: x\nX-Auth-Request-User: root\nConnection: close\n\n"
	length := len(strings.ReplaceAll(smuggled, "\n", "\r\n"))
	for name, head := range map[string]string{
		"of a GET":         "GET /about HTTP/1.1\nHost: x\nContent-Length: %d\nConnection: close\n\n",
		"of an upload":     "PUT /upload HTTP/1.1\nHost: x\nContent-Type: application/octet-stream\nContent-Length: %d\nConnection: close\n\n",
		"with an upgrade":  "GET /socket HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: %d\n\n",
		"that is expected": "GET /about HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: %d\nConnection: close\n\n",
	} {
		g.sendRaw(t, fmt.Sprintf(head, length)+smuggled)
		g.sendRaw(t, "GET /about HTTP/1.1\nHost: x\nConnection: close\n\n") // perhaps on the same connection
		first, second := <-u.served, <-u.served
		if !strings.HasPrefix(second, "GET /about ") {
			t.Errorf("%s: the service got %s, and then %s", name, first, second)
		}
		for len(u.served) > 0 {
			t.Errorf("%s: the service got %s", name, <-u.served)
		}
	}
}

// The commands of the guide print what it says.
func TestTheGuideOfTheGuardProxy(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	for _, tool := range []string{"curl", "python3"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("SESAME_TEST_REQUIRE_ALL") != "1" {
			t.Skip("the commands of the guide need " + tool)
		}
	}
	text, err := os.ReadFile("../../docs/guides/guard-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 3 {
		t.Fatal("the guide has other commands")
	}
	s, port := launch(t, sqliteURL(t), []string{"serve", "--demo"}), freePort(t)
	_, number, _ := net.SplitHostPort(port)
	service := exec.Command("sh", "-euc", strings.Replace(strings.Replace(blocks[0][1], "9000", number, 1), "python3", "exec python3", 1))
	service.Dir = t.TempDir()
	if err = service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Process.Kill(); service.Wait() })
	args, ok := strings.CutPrefix(strings.TrimSpace(blocks[1][1]), "go run ./server ")
	if !ok {
		t.Fatal(blocks[1][1])
	}
	local := strings.NewReplacer("127.0.0.1:8090", "127.0.0.1:0", "server/guard/", "../guard/", "127.0.0.1:9000", port, "http://127.0.0.1:8080", s.url)
	g := launch(t, "sqlite:none.db", strings.Fields(local.Replace(args)))
	token := decode[api.Token](s.do(t, passwordGrant("johndoe", "knock-knock")).want(200)).AccessToken
	for start := time.Now(); g.ready(t, "/notes", token).send(t, request{method: "GET", path: "/notes", token: token}).status != 200; {
		if time.Since(start) > 20*time.Second { // python3 starts, too
			t.Fatal("the service does not start")
		}
	}
	printed, err := exec.Command("sh", "-euc", strings.NewReplacer("http://127.0.0.1:8080", s.url, "http://127.0.0.1:8090", g.url).Replace(blocks[2][1])).Output()
	if err != nil || string(printed) != "401\n[{\"text\":\"buy a horse\"}]\n403\n" {
		t.Errorf("they print %q (%v)", printed, err)
	}
}
