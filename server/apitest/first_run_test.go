package apitest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sesame/server/internal/cli"
)

// startWithLink is start for a server that other machines may reach by its public URL. It also returns what the start says of the
// first run.
func startWithLink(t *testing.T, databaseURL string, settings ...string) (s *server, said string) {
	t.Helper()
	listen := freePort(t)
	environment := map[string]string{
		"SESAME_LISTEN": listen, "SESAME_DATABASE_URL": databaseURL, "SESAME_MASTER_KEY": testKey(), "SESAME_PUBLIC_URL": "https://login.example",
		"SESAME_SMTP_URL": "log:", "SESAME_DRAIN_TIME": "0s", "SESAME_LOG_FORMAT": "json",
	}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		environment[name] = value
	}
	s = &server{t: t, url: "http://" + listen, dbURL: databaseURL, clock: &clock{}, log: &lockedBuffer{}, client: &http.Client{
		Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	ctx, cancel := context.WithCancel(context.Background())
	output, exited := newLines(), make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"serve"}, environment, cli.Env{Stdin: strings.NewReader(""), Stdout: output, Stderr: s.log, Now: s.clock.now})
		output.Close()
	}()
	s.stop = sync.OnceValue(func() int { cancel(); s.client.CloseIdleConnections(); return <-exited })
	said = output.find(regexp.MustCompile(`(?s)First run +([^\n]+)\n|Stop       Ctrl-C`))
	t.Cleanup(func() {
		if code := s.stop(); code != 0 {
			t.Errorf("the server ended with code %d\n%s", code, s.log)
		}
	})
	return s, said
}

// firstRunLink returns the path and the query of the link in what a start says.
func firstRunLink(t *testing.T, said string) string {
	t.Helper()
	link, _, _ := strings.Cut(said, " ")
	path, ok := strings.CutPrefix(link, "https://login.example")
	if !ok || !strings.HasPrefix(path, "/first-run?code=") {
		t.Fatalf("the start says %q", said)
	}
	return path
}

// firstRun opens the page of the first run as a browser does.
func firstRun() request {
	return request{method: "GET", path: "/first-run", header: map[string]string{"Connection": "keep-alive"}}
}

// claim sends the form of the first run as a browser of this machine does.
func (s *server) claim(t *testing.T, username string, header map[string]string, code string) *answer {
	t.Helper()
	a, err := s.tryClaim(username, header, code)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *server) tryClaim(username string, header map[string]string, code string) (*answer, error) {
	all := map[string]string{"Origin": s.url, "Sec-Fetch-Site": "same-origin", "Connection": "keep-alive"}
	for name, value := range header {
		all[name] = value
	}
	form := url.Values{"username": {username}, "password": {horse}}
	if code != "" {
		form.Set("code", code)
	}
	return s.try(request{method: "POST", path: "/first-run", form: form, header: all})
}

// administrators counts the accounts that have a scope of an administrator.
func (s *server) administrators(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(s.value(t, `SELECT CAST(count(*) AS TEXT) FROM users WHERE scopes LIKE '%users:write%'`))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// With no administrator, a browser of this machine is led to the page that makes one; then the page is gone.
func TestTheFirstRunOnThisMachine(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		b, origin := s.newBrowser(), map[string]string{"Origin": s.url}
		for _, path := range []string{"/admin", "/admin/"} {
			if a := b.send(t, get(path)).want(302); a.header.Get("Location") != "/first-run" {
				t.Errorf("%s leads to %s", path, a.header.Get("Location"))
			}
		}
		page := b.send(t, get("/first-run")).want(200).shows("Create the first administrator")
		weak := b.send(t, request{method: "POST", path: "/first-run", form: url.Values{"username": {"admin"}, "password": {"password"}}, header: origin})
		weak.want(422).shows("admin")
		if n := s.administrators(t); n != 0 {
			t.Fatalf("there are %d administrators", n)
		}
		german := b.send(t, request{method: "GET", path: "/first-run", header: map[string]string{"Accept-Language": "de"}})
		german.want(200).shows("Das erste Konto für die Verwaltung anlegen")
		page.form()
		form := url.Values{"username": {"admin"}, "email": {"admin@example.com"}, "password": {horse}} // a name that no stranger can have
		done := b.send(t, request{method: "POST", path: "/first-run", form: form, header: origin}).want(303)
		if at := done.header.Get("Location"); at != s.url+"/admin/" || b.cookie == "" {
			t.Errorf("the browser is sent to %s with the session %q", at, b.cookie)
		}
		b.send(t, get("/account")).want(200).shows("admin")
		scopes := strings.Fields(s.value(t, `SELECT scopes FROM users WHERE username = 'admin'`))
		for _, scope := range rules.Scopes().Administrative {
			if !slices.Contains(scopes, scope) {
				t.Errorf("the administrator lacks %s", scope)
			}
		}
		b.send(t, get("/admin/")).want(200)
		s.do(t, firstRun()).want(404, "not_found")
		s.claim(t, "bea", nil, "").want(404, "not_found")
		if n := s.administrators(t); n != 1 {
			t.Errorf("there are %d administrators", n)
		}
	})
}

// proxied is the server behind a proxy like nginx 1.29.7 without settings: it speaks HTTP/1.1, sends the address of the server as the
// Host, and adds no header that names the client.
func (s *server) proxied(t *testing.T) *server {
	t.Helper()
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = to.Host
	}})
	t.Cleanup(proxy.Close)
	return &server{t: t, url: proxy.URL, client: s.client}
}

// Nobody else gets the page, even while there is no administrator: what a proxy, another machine or another website sends differs
// from what a browser of this machine sends.
func TestTheFirstRunIsNotForStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t))
	port := s.url[strings.LastIndex(s.url, ":"):]
	for name, header := range map[string]map[string]string{
		"DNS rebinding":               {"Host": "evil.example" + port, "Origin": "http://evil.example" + port},
		"a name that begins well":     {"Host": "127.0.0.1.evil.example", "Origin": "http://127.0.0.1.evil.example"},
		"another address":             {"Host": "192.0.2.1" + port, "Origin": "http://192.0.2.1" + port},
		"every address":               {"Host": "0.0.0.0" + port, "Origin": "http://0.0.0.0" + port},
		"a proxy":                     {"X-Forwarded-For": "192.0.2.1"},
		"a proxy for this machine":    {"X-Forwarded-For": "127.0.0.1"},
		"an empty X-Forwarded-For":    {"X-Forwarded-For": ""},
		"a proxy with Forwarded":      {"Forwarded": "for=192.0.2.1"},
		"a proxy with Via":            {"Via": "1.1 proxy"},
		"a proxy with X-Real-IP":      {"X-Real-IP": "192.0.2.1"},
		"a proxy with the host":       {"X-Forwarded-Host": "127.0.0.1"},
		"Cloudflare":                  {"CF-Connecting-IP": "192.0.2.1"},
		"an underscore in the name":   {"X_Forwarded_For": "192.0.2.1"},
		"a header of Envoy":           {"X-Envoy-External-Address": "192.0.2.1"},
		"a header of a load balancer": {"True-Client-IP": "192.0.2.1"},
	} {
		q := firstRun()
		for field, value := range header {
			q.header[field] = value
		}
		if a := s.send(t, q); a.status != 404 {
			t.Errorf("%s: GET is answered with %d", name, a.status)
		}
		q.path, q.header = "/admin/", map[string]string{"Accept": "text/html"}
		for field, value := range header {
			q.header[field] = value
		}
		if a := s.send(t, q); a.status != 200 {
			t.Errorf("%s: the page of administrators is answered with %d", name, a.status)
		}
		if a := s.claim(t, "mallory", header, ""); a.status != 404 {
			t.Errorf("%s: POST is answered with %d", name, a.status)
		}
	}
	for name, header := range map[string]map[string]string{ // of forms alone
		"another website":                 {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
		"another website, an old browser": {"Origin": "https://evil.example", "Sec-Fetch-Site": ""},
		"another server of this machine":  {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
		"a page without an origin":        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
		"a program":                       {"Origin": "", "Sec-Fetch-Site": ""},
		"a proxy that hides itself":       {"Origin": "https://login.example", "Sec-Fetch-Site": "same-origin"},
	} {
		if a := s.claim(t, "mallory", header, ""); a.status != 404 && a.status != 400 {
			t.Errorf("%s: POST is answered with %d", name, a.status)
		}
	}
	proxied := s.proxied(t)
	for _, connection := range []string{"keep-alive", "close", "keep-alive, Origin", "X-Forwarded-For"} {
		if a := proxied.claim(t, "mallory", map[string]string{"Origin": s.url, "Connection": connection}, ""); a.status != 404 {
			t.Errorf("through a proxy that says nothing, with Connection: %s: POST is answered with %d", connection, a.status)
		}
	}
	for _, text := range []string{
		"GET /first-run HTTP/1.0\nHost: 127.0.0.1\nConnection: keep-alive\n\n", // as nginx before 1.29.7 sends it
		"GET /first-run HTTP/1.1\nHost: \nConnection: close\n\n", "GET http://evil.example/first-run HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n",
	} {
		if response, _ := s.sendRaw(t, text); response.StatusCode != 404 {
			t.Errorf("%q is answered with %d", text, response.StatusCode)
		}
	}
	for _, code := range []string{"x", strings.Repeat("A", 64), "1700000000"} {
		if a := s.claim(t, "mallory", nil, code); a.status != 404 { // a wrong code is no code
			t.Errorf("a forged code is answered with %d", a.status)
		}
	}
	if n := s.administrators(t); n != 0 {
		t.Errorf("there are %d administrators", n)
	}
	if a := s.newBrowser().send(t, get("/admin/")); a.status != 302 {
		t.Errorf("the page of administrators is answered with %d", a.status)
	}
	if a := s.claim(t, "ann", map[string]string{"Host": "localhost" + port, "Origin": "http://localhost" + port}, ""); a.status != 303 {
		t.Errorf("the person at the machine gets %d", a.status)
	}
}

// A server that others can reach, by its listener or through a proxy, has no page without a link, wherever the request comes from.
func TestTheFirstRunNeedsALinkWhereOthersReachTheServer(t *testing.T) {
	t.Parallel()
	for _, settings := range [][]string{
		{"SESAME_LISTEN=0.0.0.0:0"}, {"SESAME_PUBLIC_URL=https://login.example"}, {"SESAME_ADMIN=off"},
	} {
		s := start(t, sqliteURL(t), settings...)
		s.url = strings.Replace(s.url, "[::]", "127.0.0.1", 1)
		if a := s.send(t, firstRun()); a.status != 404 {
			t.Errorf("%v: GET is answered with %d", settings, a.status)
		}
		if a := s.claim(t, "mallory", nil, ""); a.status != 404 && a.status != 400 {
			t.Errorf("%v: POST is answered with %d", settings, a.status)
		}
	}
}

// Of visitors at the same time one becomes the administrator, and no other account is made.
func TestTheFirstRunMakesOne(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		const visitors = 12
		statuses := make(chan int, visitors)
		var all sync.WaitGroup
		for n := range visitors {
			all.Go(func() {
				a, err := s.tryClaim(fmt.Sprintf("visitor%d", n/2), nil, "") // two have the same name
				if err != nil {
					statuses <- 0
					return
				}
				statuses <- a.status
			})
		}
		all.Wait()
		close(statuses)
		got := map[int]int{}
		for status := range statuses {
			got[status]++
		}
		if got[303] != 1 || got[404] != visitors-1 {
			t.Errorf("the answers are %v", got)
		}
		if accounts := s.value(t, `SELECT CAST(count(*) AS TEXT) FROM users`); accounts != "1" || s.administrators(t) != 1 {
			t.Errorf("there are %s accounts, %d administrators", accounts, s.administrators(t))
		}
	})
}

// The link of a start works once, from everywhere, at every replica, for an hour.
func TestTheLinkOfTheFirstRun(t *testing.T) {
	t.Parallel()
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			database := databaseURL(t)
			first, said := startWithLink(t, database)
			path := firstRunLink(t, said)
			code := strings.TrimPrefix(path, "/first-run?code=")
			far := map[string]string{"Host": "login.example", "Origin": "https://login.example", "X-Forwarded-For": "192.0.2.1"}
			if a := first.send(t, request{method: "GET", path: path, header: far}); a.status != 200 {
				t.Fatalf("the link is answered with %d", a.status)
			}
			replica, again := startWithLink(t, database)
			if firstRunLink(t, again) == path {
				t.Error("two starts have printed the same link")
			}
			replica.clock.advance(61 * time.Minute)
			if a := replica.send(t, request{method: "GET", path: path, header: far}); a.status != 410 {
				t.Errorf("an expired link is answered with %d", a.status)
			}
			if a := replica.claim(t, "late", far, code); a.status != 410 {
				t.Errorf("the form of an expired link is answered with %d", a.status)
			}
			replica.clock.advance(-2 * time.Minute)
			if a := replica.claim(t, "mallory", map[string]string{"Host": "login.example", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, code); a.status != 400 {
				t.Errorf("a form of another website is answered with %d", a.status)
			}
			for _, forged := range []string{code[1:], "A" + code, code + "A", code + "=", ""} {
				if a := replica.claim(t, "mallory", far, forged); a.status != 404 {
					t.Errorf("the code %q is answered with %d", forged, a.status)
				}
			}
			if a := replica.claim(t, "ann", far, code); a.status != 303 || a.header.Get("Location") != "https://login.example/admin/" {
				t.Fatalf("%d %s", a.status, a.body)
			}
			for _, s := range []*server{first, replica} {
				if a := s.claim(t, "bea", far, code); a.status != 404 {
					t.Errorf("a used link is answered with %d", a.status)
				}
			}
			if n := first.administrators(t); n != 1 {
				t.Errorf("there are %d administrators", n)
			}
			replica.stop()
			if _, said = startWithLink(t, database); said != "" {
				t.Errorf("a start with an administrator says %q", said)
			}
			if log := first.wholeLog(); strings.Contains(log, code) {
				t.Error("the code is in the log of requests")
			}
		})
	}
}

// N17: the link is a secret. Where mails are sent and the output is no terminal, the start names the command in its place.
func TestTheLinkOfTheFirstRunStaysOutOfLogs(t *testing.T) {
	t.Parallel()
	for _, settings := range [][]string{{"SESAME_SMTP_URL=smtp://127.0.0.1:1"}, {"SESAME_ADMIN=off"}} {
		s, said := startWithLink(t, sqliteURL(t), settings...)
		if !strings.Contains(said, "sesame user create NAME --administrator") || strings.Contains(said, "code=") || strings.Contains(s.wholeLog(), "code=") {
			t.Errorf("%v: the start says %q", settings, said)
		}
	}
	_, said := startWithLink(t, sqliteURL(t), "SESAME_PUBLIC_URL=") // on this machine no link is needed
	if !regexp.MustCompile(`^http://127\.0\.0\.1:\d+/first-run +\(`).MatchString(said) {
		t.Errorf("the start says %q", said)
	}
}

// N8: an administrator is an enabled account that may appoint others. While there is none, the first run is open again, after a restart,
// too; other accounts and other scopes do not close it.
func TestWhoCountsAsAnAdministratorForTheFirstRun(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.register(t, "ann")
		s.must(t, horse+"\n", "user", "create", "bea", "--scope", "users:read")
		s.do(t, firstRun()).want(200)
		s.must(t, horse+"\n", "user", "create", "cleo", "--scope", "users:write")
		s.do(t, firstRun()).want(404, "not_found")
		s.sql(t, `UPDATE users SET disabled = TRUE WHERE username = 'cleo'`)
		restarted := start(t, s.dbURL)
		restarted.do(t, firstRun()).want(200)
		restarted.claim(t, "dora", nil, "").want(303)
		restarted.do(t, firstRun()).want(404, "not_found")
		start(t, s.dbURL).do(t, firstRun()).want(404, "not_found")
	})
}

// An account that cannot sign in yet gets the reason: an address that is not confirmed, or a second factor that is missing.
func TestTheFirstAdministratorMeetsThePolicies(t *testing.T) {
	t.Parallel()
	s := start(t, sqliteURL(t), "SESAME_SIGN_IN_UNCONFIRMED=off", "SESAME_REGISTRATION=closed")
	if a := s.claim(t, "ann", nil, ""); a.status != 422 || !strings.Contains(string(a.body), "address") {
		t.Errorf("%d %s", a.status, a.body)
	}
	s = start(t, sqliteURL(t), "SESAME_REQUIRE_SECOND_FACTOR=administrators", "SESAME_SECOND_FACTOR_GRACE=0s")
	if a := s.claim(t, "ann", nil, ""); a.status != 200 && a.status != 303 || strings.Contains(strings.Join(a.header["Set-Cookie"], " "), "sesame-session=") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if kinds := s.value(t, `SELECT kind FROM events ORDER BY id LIMIT 1`); kinds != "account.created" && kinds != "account_created" {
		t.Errorf("the first event is %s", kinds)
	}
}
