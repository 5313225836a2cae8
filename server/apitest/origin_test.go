package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sesame/gen/api"
)

func preflight(origin, path, method string) request {
	return request{method: "OPTIONS", path: path, header: map[string]string{
		"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type",
	}}
}

// corsHeaders are the permissions in an answer.
func corsHeaders(a *answer) (names []string) {
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

var strangeOrigins = []string{
	"null", "*", "https://evil.example", "https://app.example.com.evil.example", "https://evil-app.example.com", "https://app.example.com:8443",
	"http://app.example.com", "HTTPS://APP.EXAMPLE.COM", "https://app.example.com/", "https://sub.app.example.com",
	"https://app.example.com,http://localhost:3000", "https://appxexample.com",
}

// H3: pages of the origins that are set may call, without credentials.
func TestListedOriginsAreLetIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		token := s.newcomer(t, "ann").AccessToken
		for _, origin := range []string{"https://app.example.com", "http://localhost:3000", "capacitor://localhost", "tauri://localhost"} {
			asked := s.do(t, preflight(origin, "/users/me", "PATCH")).want(204)
			for name, part := range map[string]string{
				"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "PATCH",
				"Access-Control-Allow-Headers": "Authorization,Content-Type,traceparent,tracestate,baggage,sentry-trace", "Access-Control-Max-Age": "600", "Vary": "Origin",
			} {
				if !strings.Contains(asked.header.Get(name), part) {
					t.Errorf("preflight: %s is %q", name, asked.header.Get(name))
				}
			}
			for _, r := range []request{me(token), me("garbage"), patch(token, "{"), passwordGrant("ann", wrong), {method: "GET", path: "/nothing"}, {method: "PUT", path: "/users/me"}} {
				r.header = map[string]string{"Origin": origin}
				a := s.do(t, r)
				if got := a.header.Get("Access-Control-Allow-Origin"); got != origin {
					t.Errorf("%s %s: Access-Control-Allow-Origin is %q", r.method, r.path, got)
				}
				for _, name := range []string{"Retry-After", "WWW-Authenticate", "X-Request-ID"} {
					if !strings.Contains(strings.ToLower(a.header.Get("Access-Control-Expose-Headers")), strings.ToLower(name)) {
						t.Errorf("%s is not exposed", name)
					}
				}
				if slices.Contains(corsHeaders(a), "Access-Control-Allow-Credentials") || slices.Contains(corsHeaders(asked), "Access-Control-Allow-Credentials") {
					t.Error("credentials are allowed")
				}
			}
		}
	}, "SESAME_CORS_ORIGINS=https://app.example.com, http://localhost:3000,capacitor://localhost,tauri://localhost")
}

// H3: no other origin gets permission, and none at all where none is set; OPTIONS is then no operation.
func TestOtherOriginsGetNoPermission(t *testing.T) {
	for name, setting := range map[string]string{"some": "https://app.example.com,http://localhost:3000", "none": ""} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				token := s.newcomer(t, "ann").AccessToken
				for _, origin := range append(strangeOrigins, "") {
					if a := s.do(t, preflight(origin, "/users/me", "GET")).want(405); len(corsHeaders(a)) > 0 {
						t.Errorf("%s: preflight has %v", origin, corsHeaders(a))
					}
					r := me(token)
					r.header = map[string]string{"Origin": origin}
					a := s.do(t, r).want(200)
					if len(corsHeaders(a)) > 0 {
						t.Errorf("%s: the answer has %v", origin, corsHeaders(a))
					}
					if setting != "" && a.header.Get("Vary") != "Origin" {
						t.Errorf("%s: Vary is %q", origin, a.header.Get("Vary"))
					}
				}
			}, "SESAME_CORS_ORIGINS="+setting)
		})
	}
}

// H5: every answer says what a browser needs to know, whatever it answers.
func TestHeadersOfEveryAnswer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		for _, path := range []string{"/healthz", "/users/me", "/nothing", "/docs/", "/admin/", "/redoc", "/openapi.yaml", "/docs/postman.json", "/.well-known/jwks.json"} {
			for _, method := range []string{"GET", "DELETE"} {
				a := s.do(t, request{method: method, path: path})
				for name, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000",
				} {
					if got := a.header.Get(name); got != want {
						t.Errorf("%s %s: %s is %q", method, path, name, got)
					}
				}
			}
		}
	}, "SESAME_PUBLIC_URL=https://login.example.com")
}

// H5: HSTS over plain HTTP would be ignored, and is not claimed.
func TestNoHSTSWithoutTLS(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		if a := s.do(t, request{method: "GET", path: "/healthz"}); a.header.Get("Strict-Transport-Security") != "" {
			t.Error(a.header)
		}
	})
}

// L7, N16: only a trusted proxy can say where a request comes from, in every form of the header.
func TestForwardedAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		setting string
		header  string // several are separated by a line break
		want    string
	}{
		"nobody is trusted":              {"", "203.0.113.9", "127.0.0.1"},
		"another proxy is trusted":       {"10.0.0.0/8,192.0.2.1/32", "203.0.113.9", "127.0.0.1"},
		"the proxy is trusted":           {"127.0.0.1/32", "203.0.113.9", "203.0.113.9"},
		"what the client has made up":    {"127.0.0.1/32", "198.51.100.1, 203.0.113.9", "203.0.113.9"},
		"a private address made up":      {"127.0.0.1/32", "198.51.100.1, 10.1.1.1", "10.1.1.1"},
		"two proxies in a row":           {"127.0.0.1/32, 10.0.0.0/8", "198.51.100.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"},
		"an address that is none":        {"127.0.0.1/32", "203.0.113.9, evil", "127.0.0.1"},
		"none behind a second proxy":     {"127.0.0.1/32,10.0.0.0/8", "203.0.113.9, unknown, 10.1.1.1", "127.0.0.1"},
		"none further left":              {"127.0.0.1/32", "evil, 203.0.113.9", "203.0.113.9"},
		"nothing":                        {"127.0.0.1/32", "", "127.0.0.1"},
		"IPv6":                           {"127.0.0.1/32", "2001:DB8::1", "2001:db8::1"},
		"a loopback address that is one": {"127.0.0.1/32", "127.0.0.2", "127.0.0.2"},
		"proxies alone":                  {"127.0.0.1/32,10.0.0.0/8", "10.1.1.1:99, 10.2.2.2", "10.1.1.1"},
		"a port":                         {"127.0.0.1/32", "198.51.100.1:1, 203.0.113.7:51234", "203.0.113.7"},
		"IPv6 with a port":               {"127.0.0.1/32", "[2001:db8::1]:443", "2001:db8::1"},
		"IPv6 in brackets":               {"127.0.0.1/32", "[2001:db8::1]", "2001:db8::1"},
		"IPv6 with a zone":               {"127.0.0.1/32", "fe80::1%eth0", "fe80::1"},
		"IPv6 with a zone and a port":    {"127.0.0.1/32", "[fe80::1%25eth0]:443", "fe80::1"},
		"a proxy with a zone":            {"127.0.0.1/32,fe80::/10", "203.0.113.7, [fe80::1%eth0]:443", "203.0.113.7"},
		"IPv4 written as IPv6":           {"127.0.0.1/32", "::ffff:203.0.113.7", "203.0.113.7"},
		"that with a port":               {"127.0.0.1/32", "[::ffff:203.0.113.7]:443", "203.0.113.7"},
		"a proxy written as IPv6":        {"127.0.0.1/32,10.0.0.0/8", "203.0.113.7:1, [::ffff:10.1.1.1]:443", "203.0.113.7"},
		"a second proxy with a port":     {"127.0.0.1/32,10.0.0.0/8", "203.0.113.7:1, 10.1.1.1:8443", "203.0.113.7"},
		"white space and empty elements": {"127.0.0.1/32", " , 198.51.100.1 ,\t203.0.113.7:1 , ,", "203.0.113.7"},
		"several headers":                {"127.0.0.1/32,10.0.0.0/8", "198.51.100.1\n203.0.113.7:1, 10.2.2.2\n10.1.1.1:8443", "203.0.113.7"},
		"a port that is none":            {"127.0.0.1/32", "203.0.113.7:99999", "127.0.0.1"},
		"an open bracket":                {"127.0.0.1/32", "[2001:db8::1", "127.0.0.1"},
		"too long":                       {"127.0.0.1/32", strings.Repeat("9", 5000), "127.0.0.1"},
		"a script":                       {"127.0.0.1/32", "fe80::1%<script>", "fe80::1"},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *server) {
				s.register(t, "ann")
				token := s.loginThrough(t, strings.Split(c.header, "\n"))
				list := decode[api.SessionPage](s.do(t, request{method: "GET", path: "/users/me/sessions", token: token}).want(200))
				if got := list.Items[0].IPAddress; got != c.want {
					t.Errorf("the address is %q, want %q", got, c.want)
				}
			}, "SESAME_TRUSTED_PROXIES="+c.setting)
		})
	}
}

// loginThrough logs ann in with these headers of a proxy.
func (s *server) loginThrough(t *testing.T, forwarded []string) (token string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodPost, s.url+"/token", strings.NewReader(passwordGrant("ann", horse).form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header["X-Forwarded-For"] = forwarded
	response, err := s.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var tokens api.Token
	if err = json.NewDecoder(response.Body).Decode(&tokens); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v: status %d", err, response.StatusCode)
	}
	return tokens.AccessToken
}

// L7: without a trusted proxy, other addresses in the header give no more tries.
func TestAMadeUpAddressGivesNoMoreTries(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		s.clock.stop()
		s.newcomer(t, "ann") // 127.0.0.1 is known from now on
		for i := range 5 {
			s.do(t, from(fmt.Sprintf("203.0.113.%d", i), passwordGrant("ann", wrong))).want(400)
		}
		s.do(t, from("203.0.113.99", passwordGrant("ann", horse))).throttled(1)
	})
}

// N16: the server warns once of an X-Forwarded-For that it ignores, however many arrive.
func TestAnUnnamedProxyIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	const warning = "X-Forwarded-For is ignored"
	for setting, times := range map[string]int{"": 1, "10.0.0.0/8": 1, "127.0.0.1/32": 0} {
		s := start(t, sqliteURL(t), "SESAME_TRUSTED_PROXIES="+setting)
		s.do(t, get("/healthz")).want(200)
		if strings.Contains(s.log.String(), warning) {
			t.Error("a request without the header is warned of")
		}
		done := make(chan error)
		for i := range 20 {
			go func() {
				a, err := s.try(request{method: "GET", path: "/healthz", header: map[string]string{"X-Forwarded-For": fmt.Sprintf("203.0.113.%d", i)}})
				if err == nil && a.status != http.StatusOK {
					err = fmt.Errorf("status %d", a.status)
				}
				done <- err
			}()
		}
		for range 20 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if log := s.wholeLog(); strings.Count(log, warning) != times || times > 0 && !regexp.MustCompile(warning+`.*"from":"127\.0\.0\.1"`).MatchString(log) {
			t.Errorf("%q: the log has\n%s", setting, log)
		}
	}
}
